//! What kube-ipvsd says of itself at `/statusz`, as far as it is used here.

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
    /// What is odd about the cluster or the node.
    pub findings: Vec<DaemonFinding>,
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

/// Something that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonFailure {
    /// What and why.
    pub problem: String,
}
