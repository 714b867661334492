//! The daemon's state from what the loop sees.

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::SignedDuration;
use model::{Finding, chain};

use super::{DrainStatus, Failure, FindingStatus, LastSync, Status};
use crate::health::Moment;
use crate::metrics::{TableCounts, cause_name};
use reconciler::{Drain, DrainKey, Report};

impl Status {
    /// Takes over what the reconciler says.
    pub fn observe(&mut self, report: &Report, now: Moment) {
        match report {
            Report::Synced {
                cause,
                summary,
                failed,
                took,
            } => {
                self.last_sync = Some(LastSync {
                    time: now.time.to_string(),
                    cause: cause_name(*cause).to_owned(),
                    took_seconds: took.as_secs_f64(),
                    planned: [summary.add, summary.change, summary.delete],
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
            Report::Audited | Report::Drift(_) | Report::DeletionsWithheld(_) => {}
        }
    }

    /// Something failed now.
    pub fn problem(&mut self, problem: String, now: Moment) {
        self.failed(Failure {
            time: now.time.to_string(),
            problem,
        });
    }

    /// Takes over how much there is; the rest of the counts stays.
    pub fn counted(&mut self, counts: &TableCounts) {
        let total = counts.total();
        self.counts.virtual_servers = total.virtual_servers;
        self.counts.real_servers = total.real_servers;
        self.counts.addresses = counts.addresses;
        self.counts.set_entries = counts.sets.values().map(|set| set.entries).sum();
    }

    /// Takes over what drains.
    pub fn draining(&mut self, drains: &BTreeMap<DrainKey, Drain>, now: Moment) {
        self.drains = (drains.iter())
            .map(|((server, real), drain)| DrainStatus {
                virtual_server: server.to_string(),
                real_server: real.to_string(),
                service: drain.owner.as_ref().map(ToString::to_string),
                since: time_of(drain.since, now),
                active_connections: drain.connections.active,
                inactive_connections: drain.connections.inactive,
                ends: drain.deadline.map(|deadline| time_of(deadline, now)),
            })
            .collect();
    }
}

/// The time of day at `instant`.
fn time_of(instant: Instant, now: Moment) -> String {
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
