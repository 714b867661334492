//! The daemon's own status, for people and for tools.

mod reports;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde::Serialize;

use crate::health::SourceReport;

/// Number of failures that are kept.
const FAILURES: usize = 32;

/// Number of findings, drains and failures that the text shows of each; JSON has all.
const SHOWN: usize = 50;

/// The daemon's state. Times are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// The node's name in Kubernetes.
    pub node_name: String,
    /// When the daemon started.
    pub started: String,
    /// The last synchronisation that ended; none before the first.
    pub last_sync: Option<LastSync>,
    /// The sources of the cluster's objects, by name.
    pub sources: BTreeMap<&'static str, SourceReport>,
    /// Sizes of the node's tables.
    pub counts: Counts,
    /// Findings about the cluster or the node.
    pub findings: BTreeSet<FindingStatus>,
    /// Real servers that get no new connections and keep old ones, the first ones; their number is in the counts.
    pub drains: Vec<DrainStatus>,
    /// Failed entries, the first ones; their number is in the counts.
    pub failing_entries: Vec<FailingEntry>,
    /// Readings of the kernel that fail, the first ones.
    pub failing_readings: Vec<FailingReading>,
    /// The last failures, oldest first.
    pub recent_failures: VecDeque<Failure>,
}

/// A synchronisation that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastSync {
    /// When it ended.
    pub time: String,
    /// Its cause: `change`, `retry`, `audit`, `drain` or `node`.
    pub cause: String,
    /// Its duration, seconds.
    pub took_seconds: f64,
    /// Additions, changes and deletions that were planned.
    pub planned: [usize; 3],
    /// Ops that failed, or were not tried because one before them had failed.
    pub failed: usize,
}

/// Sizes of the node's tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Virtual servers that are ours.
    pub virtual_servers: usize,
    /// Their real servers.
    pub real_servers: usize,
    /// Addresses on the dummy device.
    pub addresses: usize,
    /// Entries of our sets.
    pub set_entries: usize,
    /// Virtual servers of others.
    pub foreign_virtual_servers: usize,
    /// Health-check node ports that are open.
    pub health_checks: usize,
    /// Entries of which a change failed.
    pub failing_entries: usize,
    /// Real servers that drain.
    pub draining_real_servers: usize,
    /// Services that wait for their turn because each needs more than one synchronisation.
    pub large_services_waiting: usize,
    /// Entries that are to be compared with the kernel in the next synchronisations.
    pub entries_waiting: usize,
}

/// One finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FindingStatus {
    /// Its stable code.
    pub code: String,
    /// `info`, `warning` or `error`.
    pub level: String,
    /// All of it, in words.
    pub text: String,
}

/// One real server that drains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainStatus {
    /// The virtual server, `10.96.0.10:80/TCP`.
    pub virtual_server: String,
    /// The real server, `10.1.2.3:8080`.
    pub real_server: String,
    /// The Service port, where it is known.
    pub service: Option<String>,
    /// When it was first seen to drain; a restart of the daemon begins anew.
    pub since: String,
    /// Connections that carry data.
    pub active_connections: u32,
    /// Connections in any other state.
    pub inactive_connections: u32,
    /// When it goes at the latest; none where it has as long as it needs.
    pub ends: Option<String>,
}

/// An entry of the kernel's tables of which a change failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailingEntry {
    /// The kind, as in `kubeipvs_failing_entries`.
    pub kind: &'static str,
    /// The entry: `virtual server 10.96.0.10:80/TCP`.
    pub entry: String,
    /// The Service port that asks for it; `None` if it belongs to no Service.
    pub service: Option<String>,
    /// False if the entry should be deleted.
    pub desired: bool,
    /// When its first failure in a row happened.
    pub since: String,
    /// Failures in a row.
    pub failures: u32,
    /// When it is tried again; `None` if retries cannot succeed before the node is set up in another way, or while it is
    /// tried.
    pub next_attempt: Option<String>,
    /// Why the last attempt failed.
    pub reason: String,
    /// The operator's next step.
    pub advice: &'static str,
}

/// A reading of the kernel that fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailingReading {
    /// The column, as in `kubeipvs_failing_readings`.
    pub column: &'static str,
    /// The task that needs the reading.
    pub task: String,
    /// When its first failure in a row happened.
    pub since: String,
    /// Failures in a row.
    pub failures: u32,
    /// When it is tried again; `None` while it is tried.
    pub next_attempt: Option<String>,
}

/// Something that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// When.
    pub time: String,
    /// The failed op or reading, and the reason.
    pub problem: String,
}

impl Status {
    /// Keeps a failure; the oldest makes room.
    pub fn failed(&mut self, failure: Failure) {
        if self.recent_failures.len() >= FAILURES {
            self.recent_failures.pop_front();
        }
        self.recent_failures.push_back(failure);
    }
}

/// A page for a terminal.
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
            None => writeln!(f, "No synchronisation yet.")?,
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

/// Writes the first of `count` items.
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
            planned: [add, change, delete],
            failed,
        } = self;
        write!(
            f,
            "Last synchronisation: {time}, {cause}, {took_seconds:.3} s, {add} added, {change} changed, \
             {delete} deleted, {failed} failed"
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
            large_services_waiting,
            entries_waiting,
        } = self;
        writeln!(f, "Virtual servers: {virtual_servers}")?;
        writeln!(f, "Real servers: {real_servers}")?;
        writeln!(f, "Addresses: {addresses}")?;
        writeln!(f, "Set entries: {set_entries}")?;
        writeln!(f, "Virtual servers of others: {foreign_virtual_servers}")?;
        writeln!(f, "Health-check ports: {health_checks}")?;
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
