//! Changes of tables: encoding of `monitor`, and fields of kube-ipvsd's `/changes`.

use model::OpEffect;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::ServicePort;

/// A change of a node's tables.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableChange {
    /// [`API_VERSION`](super::API_VERSION).
    pub api_version: &'static str,
    /// `TableChange`.
    pub kind: &'static str,
    /// Time of the reading that first had the change, RFC 3339.
    pub time: String,
    /// `add`, `change` or `delete`.
    pub effect: &'static str,
    /// The change, as `diff` prints it.
    pub line: String,
    /// Service port of the changed entry, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServicePort>,
    /// `kube-ipvsd`, `another program`, or `unknown` if kube-ipvsd does not answer or no longer has
    /// all changes since the last reading.
    pub author: &'static str,
    /// Reason that kube-ipvsd gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time from the arrival of the cause at kube-ipvsd to the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_seconds: Option<f64>,
}

/// Returns `add`, `change` or `delete`.
#[must_use]
pub fn effect_name(effect: OpEffect) -> &'static str {
    match effect {
        OpEffect::Add => "add",
        OpEffect::Change => "change",
        OpEffect::Delete => "delete",
    }
}

/// Part of the log of kube-ipvsd.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonChanges {
    /// Start of the daemon. The numbers of changes begin with each start.
    #[serde(default)]
    pub started: String,
    /// Value of `since` for the next request.
    pub next: u64,
    /// Number of requested changes that are no longer kept.
    #[serde(default)]
    pub missed: u64,
    /// Changes, oldest first.
    #[serde(default)]
    pub changes: Vec<DaemonChange>,
}

/// A change that kube-ipvsd made.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonChange {
    /// Time of the change, RFC 3339.
    #[serde(default)]
    pub time: String,
    /// `add`, `change` or `delete`.
    pub effect: String,
    /// The change, as `diff` prints it.
    pub line: String,
    /// Reason of the change.
    #[serde(default)]
    pub reason: String,
    /// Service port that needs the entry.
    #[serde(default)]
    pub service: Option<ServicePort>,
    /// Cause of the sync.
    #[serde(default)]
    pub cause: Option<String>,
    /// Time from the arrival of the cause to the change.
    #[serde(default)]
    pub latency_seconds: Option<f64>,
}
