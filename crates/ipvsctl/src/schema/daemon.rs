//! Fields of kube-ipvsd's `/statusz` that ipvsctl reads.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Status of kube-ipvsd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonStatus {
    /// Version of kube-ipvsd.
    pub version: String,
    /// Last completed sync; `None` before the first.
    pub last_sync: Option<DaemonSync>,
    /// Sources of objects, by name.
    #[serde(default)]
    pub sources: BTreeMap<String, DaemonSource>,
    /// Findings about the cluster or the node.
    pub findings: Vec<DaemonFinding>,
    /// Sizes of the node's tables.
    #[serde(default)]
    pub counts: DaemonCounts,
    /// First failing entries.
    #[serde(default)]
    pub failing_entries: Vec<FailingEntry>,
    /// First failing readings of the kernel.
    #[serde(default)]
    pub failing_readings: Vec<FailingReading>,
    /// Last failures, oldest first.
    pub recent_failures: Vec<DaemonFailure>,
}

/// Completed sync.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSync {
    /// Time of its end, RFC 3339.
    pub time: String,
    /// Number of changes that failed or were skipped because of a failed one.
    pub failed: usize,
}

/// State of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSource {
    /// `listing`, `watching`, `refused`, `unreachable` or `failing`.
    pub state: String,
    /// Time of the last change of the state, RFC 3339.
    pub since: String,
    /// True if the source has delivered a full list.
    pub listed: bool,
    /// Last problem, which may be over.
    pub last_error: Option<DaemonSourceError>,
}

/// Problem of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSourceError {
    /// Text of the problem, escaped.
    pub message: String,
}

/// Finding that kube-ipvsd reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonFinding {
    /// Stable code of the finding.
    pub code: String,
    /// `info`, `warning` or `error`.
    pub level: String,
    /// Text of the finding.
    pub text: String,
}

/// Sizes of the node's tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonCounts {
    /// Number of failing entries.
    #[serde(default)]
    pub failing_entries: usize,
    /// Number of draining real servers.
    #[serde(default)]
    pub draining_real_servers: usize,
}

/// Failing entry of the kernel's tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailingEntry {
    /// The entry: `virtual server 10.96.0.10:80/TCP`.
    pub entry: String,
    /// Service port of the entry; `None` if it belongs to no Service.
    pub service: Option<String>,
    /// Time of the first of its consecutive failures, RFC 3339.
    pub since: String,
    /// Reason of the last failure.
    pub reason: String,
    /// Action that the operator can take.
    pub advice: String,
}

/// Failing reading of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailingReading {
    /// Task that needs the reading: `reading of sets`.
    pub task: String,
    /// Time of the first of its consecutive failures, RFC 3339.
    pub since: String,
    /// Number of consecutive failures.
    pub failures: u32,
}

/// Recent failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonFailure {
    /// Failed op or reading, with the reason.
    pub problem: String,
}
