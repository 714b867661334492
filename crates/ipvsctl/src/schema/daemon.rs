//! The status of kube-ipvsd at `/statusz`, as far as it is used here.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonStatus {
    /// Its version.
    pub version: String,
    /// The last synchronisation that ended; none before the first.
    pub last_sync: Option<DaemonSync>,
    /// The sources of the cluster's objects, by name.
    #[serde(default)]
    pub sources: BTreeMap<String, DaemonSource>,
    /// Findings about the cluster or the node.
    pub findings: Vec<DaemonFinding>,
    /// Sizes of the node's tables.
    #[serde(default)]
    pub counts: DaemonCounts,
    /// Failed entries, the first ones.
    #[serde(default)]
    pub failing_entries: Vec<FailingEntry>,
    /// Readings of the kernel that fail, the first ones.
    #[serde(default)]
    pub failing_readings: Vec<FailingReading>,
    /// The last failures, oldest first.
    pub recent_failures: Vec<DaemonFailure>,
}

/// A synchronisation that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSync {
    /// When it ended, RFC 3339.
    pub time: String,
    /// Changes that failed, or were not tried because one before them had failed.
    pub failed: usize,
}

/// One source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSource {
    /// `listing`, `watching`, `refused`, `unreachable` or `failing`.
    pub state: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// It has delivered a full list once.
    pub listed: bool,
    /// The last problem, which may be over.
    pub last_error: Option<DaemonSourceError>,
}

/// A problem of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSourceError {
    /// Its text, escaped.
    pub message: String,
}

/// One finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonFinding {
    /// Its stable code.
    pub code: String,
    /// `info`, `warning` or `error`.
    pub level: String,
    /// All of it, in words.
    pub text: String,
}

/// Sizes of the node's tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonCounts {
    /// Entries of which a change failed.
    #[serde(default)]
    pub failing_entries: usize,
}

/// An entry of the kernel's tables of which a change failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailingEntry {
    /// The entry: `virtual server 10.96.0.10:80/TCP`.
    pub entry: String,
    /// The Service port that asks for it; `None` if it belongs to no Service.
    pub service: Option<String>,
    /// When its first failure in a row happened, RFC 3339.
    pub since: String,
    /// Why the last attempt failed.
    pub reason: String,
    /// The operator's next step.
    pub advice: String,
}

/// A reading of the kernel that fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailingReading {
    /// The task that needs the reading: `reading of sets`.
    pub task: String,
    /// When its first failure in a row happened, RFC 3339.
    pub since: String,
    /// Failures in a row.
    pub failures: u32,
}

/// Something that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonFailure {
    /// The failed op or reading, and the reason.
    pub problem: String,
}
