//! Active checks of endpoints: probes the targets that the loop wants to have checked, and reports
//! targets that fail or recover.
//!
//! [`schedule`] decides when a target is probed and what its results mean; it has no socket and no
//! clock. [`probe`] makes one probe, for which [`authorities`] has the certificates. [`run`] connects
//! them.

pub mod authorities;
pub mod page;
pub mod probe;
pub mod schedule;
#[cfg(test)]
mod tests;
pub mod wanted;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::policy::CheckTarget;
use tokio::task::{Id, JoinSet};
use tokio::time::sleep_until;

pub use self::authorities::Authorities;
pub use self::probe::{Outcome, probe};
pub use self::schedule::{Schedule, Started};
pub use self::wanted::{WantedObserver, WantedTargets};
use crate::health::Moment;
use crate::mailbox::NodeEvents;
use crate::metrics::Metrics;

/// Minimum time between two reports to the loop.
const REPORT_GAP: Duration = Duration::from_millis(100);

/// The schedule, shared with the page `/healthchecks`.
#[derive(Clone, Debug, Default)]
pub struct Checks(Arc<Mutex<Schedule>>);

impl Checks {
    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Probes that are under way.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<(Outcome, Duration)>,
    /// Start of each task.
    started: HashMap<Id, (Started, Instant)>,
}

impl UnderWay {
    fn start(&mut self, started: Started, probe: impl Future<Output = Outcome> + Send + 'static) {
        let begin = Instant::now();
        let task = self.tasks.spawn(async move {
            let outcome = probe.await;
            (outcome, begin.elapsed())
        });
        self.started.insert(task.id(), (started, begin));
    }

    /// Waits for the end of a probe. A probe that panicked, which is a bug, says nothing about its
    /// endpoint. Returns `None` if no probe is under way.
    async fn join(&mut self) -> Option<(Started, Outcome, Duration)> {
        let (id, ended) = match self.tasks.join_next_with_id().await? {
            Ok((id, ended)) => (id, Some(ended)),
            Err(error) => (error.id(), None),
        };
        // Each task is entered when it is spawned.
        let (started, begin) = self.started.remove(&id)?;
        let (outcome, took) = ended.unwrap_or_else(|| {
            let CheckTarget { address, port, .. } = &started.target;
            tracing::error!("the probe of {address} port {port} panicked; it is made again");
            (Outcome::Local("the probe panicked".into()), begin.elapsed())
        });
        Some((started, outcome, took))
    }
}

/// Probes the targets of `wanted` by `probe`, at most `limit` at a time, until the loop ends.
pub async fn run<F, P>(
    checks: Checks,
    mut wanted: WantedTargets,
    to_loop: NodeEvents,
    metrics: Arc<Metrics>,
    limit: usize,
    probe: F,
) where
    F: Fn(CheckTarget) -> P,
    P: Future<Output = Outcome> + Send + 'static,
{
    let mut under_way = UnderWay::default();
    let mut reported = Instant::now();
    loop {
        let may_start = under_way.tasks.len() < limit;
        let (due, has_changes) = {
            let schedule = checks.schedule();
            (schedule.next_due(), schedule.has_changes())
        };
        let due = due.filter(|_| may_start);
        let report = has_changes.then_some(reported + REPORT_GAP);
        tokio::select! {
            changes = wanted.recv() => match changes {
                Some(changes) => checks.schedule().want(changes, Moment::now()),
                None => return,
            },
            Some((started, outcome, took)) = under_way.join() => {
                finish(&checks, &started, outcome, took, &metrics);
            }
            () = at(due), if due.is_some() => {
                let now = Instant::now();
                let started = checks.schedule().start(now);
                if let Some(started) = started {
                    if started.is_late {
                        metrics.probe_late();
                    }
                    let one = probe(started.target.clone());
                    under_way.start(started, one);
                }
            }
            () = at(report), if report.is_some() => {
                reported = Instant::now();
                to_loop.checked(checks.schedule().take_changes());
            }
        }
        let (healthy, failed) = checks.schedule().counts();
        metrics.check_targets(healthy, failed);
    }
}

/// Waits until `deadline`; forever without one.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn finish(checks: &Checks, started: &Started, outcome: Outcome, took: Duration, metrics: &Metrics) {
    let kind = started.target.probe.kind.name();
    metrics.probed(kind, outcome.name(), took);
    if let Outcome::Local(problem) = &outcome {
        let CheckTarget { address, port, .. } = &started.target;
        tracing::debug!("cannot probe {address} port {port}: {problem}");
    }
    checks.schedule().finish(started, outcome, Moment::now());
}
