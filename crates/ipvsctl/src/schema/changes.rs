//! Fields of kube-ipvsd's `/changes` that ipvsctl reads.

use serde::Deserialize;

use super::plan::ServicePort;

/// Last changes that kube-ipvsd made.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonChanges {
    /// Changes, oldest first.
    pub changes: Vec<DaemonChange>,
}

/// A change of one entry.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonChange {
    /// Time, RFC 3339.
    pub time: String,
    /// `add`, `change` or `delete`.
    pub effect: String,
    /// Change in the syntax of `ipvsctl diff`.
    pub line: String,
    /// Reason for the change.
    pub reason: String,
    /// Service port of the entry.
    pub service: Option<ServicePort>,
    /// Cause of the sync.
    pub cause: Option<String>,
    /// Time from the event to the kernel.
    pub latency_seconds: Option<f64>,
}
