//! The daemon's status: `/statusz` as text for people and as JSON for tools.

mod reports;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde::Serialize;

pub(super) use self::reports::time_of;
use crate::health::SourceReport;

/// Number of recent failures that are kept.
const FAILURES: usize = 32;

/// Maximum number of items in each section of the text. JSON has all of them.
const SHOWN: usize = 50;

/// The daemon's state. Times are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Name of the Node object.
    pub node_name: String,
    /// Start of the daemon.
    pub started: String,
    /// Last sync that ended; `None` before the first.
    pub last_sync: Option<LastSync>,
    /// Sources of the cluster's objects, by name.
    pub sources: BTreeMap<&'static str, SourceReport>,
    /// Sizes of the node's tables.
    pub counts: Counts,
    /// Findings about the cluster or the node.
    pub findings: BTreeSet<FindingStatus>,
    /// Real servers that get no new connections and keep existing ones. The list is limited;
    /// `counts` has the total.
    pub drains: Vec<DrainStatus>,
    /// Failed entries. The list is limited; `counts` has the total.
    pub failing_entries: Vec<FailingEntry>,
    /// Failing readings of the kernel. The list is limited.
    pub failing_readings: Vec<FailingReading>,
    /// Most recent failures, oldest first.
    pub recent_failures: VecDeque<Failure>,
}

/// A sync that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastSync {
    /// End of the sync.
    pub time: String,
    /// Cause: `first sync`, `change`, `retry`, `audit`, `audit_slice`, `drain`, `node`
    /// or `slow_start`.
    pub cause: String,
    /// Duration in seconds.
    pub took_seconds: f64,
    /// Number of entries that were added.
    pub added: usize,
    /// Number of entries that were changed.
    pub changed: usize,
    /// Number of entries that were deleted.
    pub deleted: usize,
    /// Number of ops that failed or were skipped because an op before them had failed.
    pub failed: usize,
}

/// Sizes of the node's tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Our virtual servers.
    pub virtual_servers: usize,
    /// Real servers of our virtual servers.
    pub real_servers: usize,
    /// Addresses on the dummy device.
    pub addresses: usize,
    /// Entries of our sets.
    pub set_entries: usize,
    /// Virtual servers of other programs.
    pub foreign_virtual_servers: usize,
    /// Health-check node ports.
    pub health_checks: usize,
    /// Entries with a failed change.
    pub failing_entries: usize,
    /// Draining real servers.
    pub draining_real_servers: usize,
    /// Real servers in a slow start.
    pub slow_starts: usize,
    /// Changed Services that wait because each needs more than one sync.
    pub large_services_waiting: usize,
    /// Entries that the next syncs compare with the kernel.
    pub entries_waiting: usize,
}

/// One finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FindingStatus {
    /// Stable code.
    pub code: String,
    /// Level: `info`, `warning` or `error`.
    pub level: String,
    /// Full text.
    pub text: String,
}

/// A draining real server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainStatus {
    /// Virtual server, `10.96.0.10:80/TCP`.
    pub virtual_server: String,
    /// Real server, `10.1.2.3:8080`.
    pub real_server: String,
    /// Service port; `None` if it is unknown.
    pub service: Option<String>,
    /// Time since which this process has known the drain. A restart of the daemon resets it.
    pub since: String,
    /// Connections that carry data.
    pub active_connections: u32,
    /// Connections in any other state.
    pub inactive_connections: u32,
    /// Deadline; `None` if the drain has no limit.
    pub ends: Option<String>,
}

/// An entry of the kernel's tables with a failed change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailingEntry {
    /// Kind, as in `kubeipvs_failing_entries`.
    pub kind: &'static str,
    /// Entry: `virtual server 10.96.0.10:80/TCP`.
    pub entry: String,
    /// Service port that requires the entry; `None` if the entry belongs to no Service.
    pub service: Option<String>,
    /// False if the entry should be deleted.
    pub desired: bool,
    /// Time of the first of the consecutive failures.
    pub since: String,
    /// Number of consecutive failures.
    pub failures: u32,
    /// Time of the next attempt; `None` during an attempt, or if no retry can succeed until the
    /// node's setup changes.
    pub next_attempt: Option<String>,
    /// Reason of the last failure.
    pub reason: String,
    /// Next step for the operator.
    pub advice: &'static str,
}

/// A failing reading of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailingReading {
    /// Column, as in `kubeipvs_failing_readings`.
    pub column: &'static str,
    /// Task that needs the reading.
    pub task: String,
    /// Time of the first of the consecutive failures.
    pub since: String,
    /// Number of consecutive failures.
    pub failures: u32,
    /// Time of the next attempt; `None` during an attempt.
    pub next_attempt: Option<String>,
}

/// A failure of an op or a reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Time of the failure.
    pub time: String,
    /// Failed op or reading, and the reason.
    pub problem: String,
}

impl Status {
    /// Adds a failure. If the list is full, the oldest one is removed.
    pub fn failed(&mut self, failure: Failure) {
        if self.recent_failures.len() >= FAILURES {
            self.recent_failures.pop_front();
        }
        self.recent_failures.push_back(failure);
    }
}

/// Formats the page for a terminal.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            version,
            node_name,
            started,
            last_sync,
            sources,
            counts,
            findings,
            drains,
            failing_entries,
            failing_readings,
            recent_failures,
        } = self;
        writeln!(f, "kube-ipvsd {version} on {node_name}, since {started}")?;
        match last_sync {
            Some(sync) => writeln!(f, "{sync}")?,
            None => writeln!(f, "No sync yet.")?,
        }
        for (name, source) in sources {
            writeln!(f, "Source {name}: {source}")?;
        }
        write!(f, "{counts}")?;
        section(f, "Findings", findings.len(), findings.iter())?;
        section(
            f,
            "Failing entries",
            counts.failing_entries,
            failing_entries.iter(),
        )?;
        let readings = failing_readings.len();
        section(f, "Failing readings", readings, failing_readings.iter())?;
        section(f, "Draining", counts.draining_real_servers, drains.iter())?;
        let failures = recent_failures.len();
        section(f, "Recent failures", failures, recent_failures.iter().rev())
    }
}

/// Writes a section with the first of `count` items.
fn section<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    count: usize,
    items: impl Iterator<Item = T>,
) -> fmt::Result {
    writeln!(f, "\n{title}: {count}")?;
    for item in items.take(SHOWN) {
        writeln!(f, "  {item}")?;
    }
    if count > SHOWN {
        writeln!(f, "  and {} more", count - SHOWN)?;
    }
    Ok(())
}

impl fmt::Display for LastSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            time,
            cause,
            took_seconds,
            added,
            changed,
            deleted,
            failed,
        } = self;
        write!(
            f,
            "Last sync: {time}, {cause}, {took_seconds:.3} s, {added} added, {changed} changed, \
             {deleted} deleted, {failed} failed"
        )
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            virtual_servers,
            real_servers,
            addresses,
            set_entries,
            foreign_virtual_servers,
            health_checks,
            failing_entries: _,
            draining_real_servers: _,
            slow_starts,
            large_services_waiting,
            entries_waiting,
        } = self;
        writeln!(f, "Virtual servers: {virtual_servers}")?;
        writeln!(f, "Real servers: {real_servers}")?;
        writeln!(f, "Addresses: {addresses}")?;
        writeln!(f, "Set entries: {set_entries}")?;
        writeln!(f, "Foreign virtual servers: {foreign_virtual_servers}")?;
        writeln!(f, "Health-check ports: {health_checks}")?;
        writeln!(f, "Slow starts: {slow_starts}")?;
        writeln!(
            f,
            "Waiting: {large_services_waiting} large Services, {entries_waiting} entries"
        )
    }
}

impl fmt::Display for FindingStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for DrainStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            virtual_server,
            real_server,
            service,
            since,
            active_connections,
            inactive_connections,
            ends,
        } = self;
        write!(f, "{real_server} of {virtual_server}")?;
        if let Some(service) = service {
            write!(f, " ({service})")?;
        }
        write!(
            f,
            ": {active_connections} active, {inactive_connections} inactive connections, since {since}"
        )?;
        match ends {
            Some(ends) => write!(f, ", until {ends}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for FailingEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind: _,
            entry,
            service,
            desired,
            since,
            failures,
            next_attempt,
            reason,
            advice,
        } = self;
        f.write_str(entry)?;
        if let Some(service) = service {
            write!(f, " ({service})")?;
        }
        if !desired {
            f.write_str(", to be deleted")?;
        }
        write!(f, ": {reason}; {failures} failures since {since}")?;
        if let Some(next) = next_attempt {
            write!(f, ", next attempt at {next}")?;
        }
        write!(f, "; {advice}")
    }
}

impl fmt::Display for FailingReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            column: _,
            task,
            since,
            failures,
            next_attempt,
        } = self;
        write!(f, "{task}: {failures} failures since {since}")?;
        match next_attempt {
            Some(next) => write!(f, ", next attempt at {next}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, problem } = self;
        write!(f, "{time} {problem}")
    }
}
