//! Passes the targets that the loop wants to have checked to the task that probes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::names::ObjectName;
use model::policy::CheckTarget;
use reconciler::Report;
use tokio::sync::Notify;

use crate::health::Moment;
use crate::run::Observer;

/// Targets with the Services that use them. A target without a Service is no longer probed.
pub type TargetChanges = BTreeMap<CheckTarget, BTreeSet<ObjectName>>;

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    /// Changes that wait. Only the latest one of a target is kept.
    changes: TargetChanges,
    /// True once the observer is dropped.
    ended: bool,
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Receives changed targets.
#[derive(Debug)]
pub struct WantedTargets(Arc<Shared>);

/// Sends the targets that the loop reports.
#[derive(Debug)]
pub struct WantedObserver(Arc<Shared>);

/// Returns the two ends.
#[must_use]
pub fn wanted() -> (WantedObserver, WantedTargets) {
    let shared = Arc::<Shared>::default();
    (WantedObserver(Arc::clone(&shared)), WantedTargets(shared))
}

impl WantedTargets {
    /// Waits for changes and takes all of them. Returns `None` once the observer is dropped.
    pub async fn recv(&mut self) -> Option<TargetChanges> {
        loop {
            let (changes, ended) = {
                let mut pending = self.0.pending();
                (std::mem::take(&mut pending.changes), pending.ended)
            };
            match (changes.is_empty(), ended) {
                (_, true) => return None,
                (false, false) => return Some(changes),
                (true, false) => self.0.changed.notified().await,
            }
        }
    }
}

impl Observer for WantedObserver {
    fn reported(&mut self, report: &Report, _now: Moment) {
        if let Report::ChecksWanted(changes) = report {
            let changes = changes.iter();
            let changes = changes.map(|(target, services)| (target.clone(), services.clone()));
            self.0.pending().changes.extend(changes);
            self.0.changed.notify_one();
        }
    }
}

impl Drop for WantedObserver {
    fn drop(&mut self) {
        self.0.pending().ended = true;
        self.0.changed.notify_one();
    }
}
