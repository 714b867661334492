//! The last changes of the kernel's tables that succeeded, for `/changes`.
//!
//! The log answers when a Service was last changed on this node, what was changed, and how long
//! the change took from the API server's event to the kernel.

mod arrivals;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kernel::OpOutcome;
use model::names::{ObjectName, ServicePortName};
use model::plan::{OpEffect, PlannedOp, Stage};
use reconciler::{Reconciler, Report};

use self::arrivals::Arrivals;
use crate::changes::Arrival;
use crate::health::Moment;
use crate::run::Observer;

/// Number of changes that are kept.
pub const KEPT: usize = 4096;

/// One change of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Number of the change, counted from 1 since the start of the daemon.
    pub number: u64,
    /// Time at which the kernel had answered.
    pub time: Timestamp,
    /// Effect of the change.
    pub effect: OpEffect,
    /// The change in the syntax of `ipvsctl diff`.
    pub line: String,
    /// Reason for the change.
    pub reason: String,
    /// Service port that the entry belongs to; `None` if no Service needs the entry, or all do.
    pub service: Option<Arc<ServicePortName>>,
    /// Cause of the sync ([`reconciler::Trigger::cause`]); `None` until the sync ends.
    pub cause: Option<&'static str>,
    /// Time since the oldest unapplied change of the Service arrived at its source; `None` if no
    /// change of the Service was waiting.
    pub latency: Option<Duration>,
}

/// The last [`KEPT`] changes, oldest first. Clones share the changes.
#[derive(Clone, Debug, Default)]
pub struct ChangeLog(Arc<Mutex<Changes>>);

#[derive(Debug, Default)]
struct Changes {
    kept: VecDeque<Change>,
    /// Number of the last change.
    last: u64,
}

/// Part of a [`ChangeLog`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// Selected changes, oldest first.
    pub changes: Vec<Change>,
    /// Number after which the next selection continues.
    pub next: u64,
    /// Number of changes after the requested number that are no longer kept.
    pub missed: u64,
}

impl ChangeLog {
    /// Returns the changes that `wanted` selects: with `since` the first `limit` after that
    /// number, without it the last `limit`.
    ///
    /// A `since` beyond the last number is from an earlier process. It counts as 0.
    #[must_use]
    pub fn select(
        &self,
        since: Option<u64>,
        limit: usize,
        wanted: impl Fn(&Change) -> bool,
    ) -> Selected {
        let changes = self.changes();
        let first = changes
            .kept
            .front()
            .map_or(changes.last + 1, |at| at.number);
        let Some(since) = since else {
            let newest = changes.kept.iter().rev().filter(|change| wanted(change));
            let mut newest: Vec<Change> = newest.take(limit).cloned().collect();
            newest.reverse();
            return Selected {
                changes: newest,
                next: changes.last,
                missed: 0,
            };
        };
        let since = if since > changes.last { 0 } else { since };
        let after = (changes.kept.iter())
            .skip_while(|change| change.number <= since)
            .filter(|change| wanted(change));
        let mut selected: Vec<Change> = after.take(limit.saturating_add(1)).cloned().collect();
        let is_cut = selected.len() > limit;
        selected.truncate(limit);
        let cut = selected.last().map_or(since, |change| change.number);
        Selected {
            next: if is_cut { cut } else { changes.last },
            missed: first.saturating_sub(since + 1),
            changes: selected,
        }
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    fn add(&mut self, time: Timestamp, planned: &PlannedOp, latency: Option<Duration>) {
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Change {
            number: self.last,
            time,
            effect: planned.op.effect(),
            line: planned.op.line(),
            reason: planned.reason.to_string(),
            service: planned.owner.clone(),
            cause: None,
            latency,
        });
    }
}

/// Writes the changes of the loop into a [`ChangeLog`].
#[derive(Debug)]
pub struct ChangeRecorder {
    log: ChangeLog,
    arrivals: Arrivals,
}

impl ChangeRecorder {
    /// Writes into `log`.
    #[must_use]
    pub fn new(log: ChangeLog) -> Self {
        Self {
            log,
            arrivals: Arrivals::default(),
        }
    }

    /// Adds the ops of `stage` that succeeded. Ops that newer ones of the stage displace are only
    /// counted.
    fn record(&mut self, stage: &Stage, outcomes: &[OpOutcome], now: Moment) {
        let done: Vec<&PlannedOp> = (stage.ops.iter().zip(outcomes))
            .filter(|(_, outcome)| outcome.is_ok())
            .map(|(planned, _)| planned)
            .collect();
        let displaced = done.len().saturating_sub(KEPT);
        let mut changes = self.log.changes();
        changes.last += u64::try_from(displaced).unwrap_or(u64::MAX);
        for planned in done.into_iter().skip(displaced) {
            changes.last += 1;
            let owner = planned.owner.as_ref();
            let arrived = owner.and_then(|owner| self.arrivals.oldest(&owner.service));
            let latency = arrived.map(|arrived| now.instant.saturating_duration_since(arrived));
            changes.add(now.time, planned, latency);
        }
    }
}

impl Observer for ChangeRecorder {
    fn queued(&mut self, _arrival: &Arrival, _changed: bool, _now: Moment) {
        self.arrivals.count();
    }

    fn changed(&mut self, services: &BTreeSet<ObjectName>, arrived: Instant) {
        self.arrivals.add(services, arrived);
    }

    fn reported(&mut self, report: &Report, _now: Moment) {
        if let Report::Synced { trigger, first, .. } = report {
            let cause = trigger.cause(*first);
            let mut changes = self.log.changes();
            let open = (changes.kept.iter_mut().rev()).take_while(|change| change.cause.is_none());
            open.for_each(|change| change.cause = Some(cause));
        }
    }

    fn applied(&mut self, stage: &Stage, outcomes: &[OpOutcome]) {
        self.record(stage, outcomes, Moment::now());
    }

    fn idle(&mut self, reconciler: &Reconciler, _now: Moment) {
        self.arrivals.applied(reconciler.applied());
    }
}
