//! Active checks of endpoints: probes the targets that the loop wants to have checked, and reports
//! targets that fail or recover.
//!
//! [`schedule`] decides when a target is probed and what its results mean; it has no socket and no
//! clock. [`probe`] makes one probe. [`run`] connects the two.

pub mod page;
pub mod probe;
pub mod schedule;
#[cfg(test)]
mod tests;
pub mod wanted;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::policy::CheckTarget;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

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

/// One probe that ended.
struct Done {
    started: Started,
    outcome: Outcome,
    took: Duration,
}

/// Probes the targets of `wanted`, at most `limit` at a time, until the loop ends.
pub async fn run(
    checks: Checks,
    mut wanted: WantedTargets,
    to_loop: NodeEvents,
    metrics: Arc<Metrics>,
    limit: usize,
) {
    let mut probes: JoinSet<Done> = JoinSet::new();
    let mut reported = Instant::now();
    loop {
        let may_start = probes.len() < limit;
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
            Some(done) = probes.join_next(), if !probes.is_empty() => match done {
                Ok(done) => finish(&checks, done, &metrics),
                // A probe that panicked is a bug; the runtime has logged it, and its target is
                // probed again when the Services change.
                Err(error) => tracing::error!("a health check ended early: {error}"),
            },
            () = at(due), if due.is_some() => {
                let now = Instant::now();
                if let Some(started) = checks.schedule().start(now) {
                    if started.is_late {
                        metrics.probe_late();
                    }
                    probes.spawn(probe_one(started));
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

async fn probe_one(started: Started) -> Done {
    let start = Instant::now();
    let outcome = probe(&started.target).await;
    Done {
        started,
        outcome,
        took: start.elapsed(),
    }
}

fn finish(checks: &Checks, done: Done, metrics: &Metrics) {
    let Done {
        started,
        outcome,
        took,
    } = done;
    let kind = started.target.probe.kind.name();
    metrics.probed(kind, outcome.name(), took);
    if let Outcome::Local(problem) = &outcome {
        let CheckTarget { address, port, .. } = &started.target;
        tracing::debug!("cannot probe {address} port {port}: {problem}");
    }
    checks.schedule().finish(&started, outcome, Moment::now());
}
