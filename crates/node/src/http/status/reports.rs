//! Updates the daemon's status from reports of the loop.

use std::time::Instant;

use jiff::SignedDuration;
use model::{Finding, chain};

use super::{DrainStatus, FailingEntry, FailingReading, Failure, FindingStatus, LastSync, Status};
use crate::health::Moment;
use crate::metrics::TableCounts;
use reconciler::{Drain, DrainKey, Due, EntryState, Reconciler, Report, Row, Task};

/// Maximum number of failing entries, and of failing readings, that are shown.
const MOST_FAILING: usize = 100;

/// Maximum number of draining real servers that are shown.
const MOST_DRAINS: usize = 1000;

impl Status {
    /// Applies a report of the reconciler.
    pub fn observe(&mut self, report: &Report, now: Moment) {
        match report {
            Report::Synced {
                trigger,
                first,
                summary: _,
                done,
                failed,
                took,
            } => {
                self.last_sync = Some(LastSync {
                    time: now.time.to_string(),
                    cause: trigger.cause(*first).to_owned(),
                    took_seconds: took.as_secs_f64(),
                    added: done.add,
                    changed: done.change,
                    deleted: done.delete,
                    failed: *failed,
                });
            }
            Report::OpFailed(_, error) => self.problem(chain(error).to_string(), now),
            Report::ObserveFailed(error) => self.problem(chain(error).to_string(), now),
            Report::FindingRaised(finding) => {
                self.findings.insert(FindingStatus::of(finding));
            }
            Report::FindingCleared(finding) => {
                self.findings.remove(&FindingStatus::of(finding));
            }
            Report::Audited
            | Report::Drift(_)
            | Report::ChecksWanted(_)
            | Report::SlowStartsSkipped(_)
            | Report::DeletionsWithheld(_) => {}
        }
    }

    /// Adds a failure that happened at `now`.
    pub fn problem(&mut self, problem: String, now: Moment) {
        self.failed(Failure {
            time: now.time.to_string(),
            problem,
        });
    }

    /// Sets the sizes of the tables. The other counts stay unchanged.
    pub fn counted(&mut self, counts: &TableCounts) {
        let total = counts.total();
        self.counts.virtual_servers = total.virtual_servers;
        self.counts.real_servers = total.real_servers;
        self.counts.addresses = counts.addresses;
        self.counts.set_entries = counts.sets.values().map(|set| set.entries).sum();
    }

    /// Updates draining and failing entries and failing readings. The cost grows with the number of
    /// shown entries.
    pub fn unsettled(&mut self, reconciler: &Reconciler, now: Moment) {
        let drains = reconciler.drains();
        self.counts.draining_real_servers = drains.len();
        self.drains = (drains.iter().take(MOST_DRAINS))
            .map(|(key, drain)| DrainStatus::of(key, drain, now))
            .collect();
        self.counts.slow_starts = reconciler.ramps().len();
        self.counts.failing_entries = reconciler.failing();
        self.counts.large_services_waiting = reconciler.large_services();
        self.counts.entries_waiting = reconciler.pending_entries();
        self.failing_entries = (reconciler.failed(MOST_FAILING).iter())
            .filter_map(|row| FailingEntry::of(row, now))
            .collect();
        self.failing_readings = (reconciler.failing_readings().take(MOST_FAILING))
            .map(|(task, due)| FailingReading::of(task, due, now))
            .collect();
    }
}

impl DrainStatus {
    fn of((server, real): &DrainKey, drain: &Drain, now: Moment) -> Self {
        Self {
            virtual_server: server.to_string(),
            real_server: real.to_string(),
            service: drain.owner.as_ref().map(ToString::to_string),
            since: time_of(drain.since, now),
            active_connections: drain.connections.active,
            inactive_connections: drain.connections.inactive,
            ends: drain.deadline.map(|deadline| time_of(deadline, now)),
        }
    }
}

impl FailingEntry {
    /// Returns `None` if the entry has not failed.
    fn of(row: &Row, now: Moment) -> Option<Self> {
        let EntryState::Failed {
            failures,
            since,
            next,
            failure,
        } = &row.state
        else {
            return None;
        };
        Some(Self {
            kind: row.entry.kind(),
            entry: row.entry.to_string(),
            service: row.owner.as_ref().map(ToString::to_string),
            desired: row.desired,
            since: time_of(*since, now),
            failures: *failures,
            next_attempt: next.map(|next| time_of(next, now)),
            reason: failure.to_string(),
            advice: failure.advice(),
        })
    }
}

impl FailingReading {
    fn of(task: &Task, due: &Due, now: Moment) -> Self {
        Self {
            column: task.column().name(),
            task: task.to_string(),
            since: time_of(due.failing_since.unwrap_or(now.instant), now),
            failures: due.failures,
            next_attempt: due.at.map(|at| time_of(at, now)),
        }
    }
}

/// Converts `instant` to wall-clock time as RFC 3339.
pub(in crate::http) fn time_of(instant: Instant, now: Moment) -> String {
    let span = |span| SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    let ahead = span(instant.saturating_duration_since(now.instant));
    let ago = span(now.instant.saturating_duration_since(instant));
    let time = now.time.saturating_add(ahead);
    let time = time.and_then(|time| time.saturating_sub(ago));
    time.unwrap_or(now.time).to_string()
}

impl FindingStatus {
    fn of(finding: &Finding) -> Self {
        Self {
            code: finding.code.to_string(),
            level: finding.code.level().to_string(),
            text: finding.to_string(),
        }
    }
}
