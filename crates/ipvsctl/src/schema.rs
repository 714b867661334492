//! JSON and YAML output: objects with a kind and a version, as in Kubernetes.
//!
//! Types of the model are not serialized, so that they can change without a change of this format.
//!
//! | kind | printed by |
//! |---|---|
//! | [`NodeTables`] | `render`, `get servers`, `get addresses`, `get tables`; read by `--live` |
//! | [`Checkup`] | `doctor` |
//! | [`Drains`] | `get drains` |
//! | [`Findings`] | `analyze` |
//! | [`Migration`] | `migrate check` |
//! | [`Plan`] | `diff` |
//! | [`Timeouts`] | `get timeouts` |
//! | [`Versions`](crate::commands::version::Versions) | `version` |

mod checkup;
mod daemon;
mod document;
mod drains;
mod filter_state;
mod finding;
mod migration;
mod plan;
mod read;
mod tables;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::Serialize;

pub use self::checkup::{Check, Checkup, CheckupServices, CheckupSummary};
pub use self::daemon::{
    DaemonFailure, DaemonFinding, DaemonSource, DaemonSourceError, DaemonStatus, DaemonSync,
    FailingEntry, FailingReading,
};
pub use self::document::{Document, schemas};
pub use self::drains::{DaemonDrain, Drain, Drains, drains};
pub use self::filter_state::{HealthCheck, IpSet};
pub use self::finding::{Finding, Findings};
pub use self::migration::{Cause, Leftovers, Migration, RuleLeftovers};
pub use self::plan::{Change, Difference, Plan, ServiceChanges, ServicePort, Summary};
pub use self::read::{SavedTables, SchemaError, looks_like, parse};
pub use self::tables::{
    Connections, NodeTables, Persistence, RealServer, Tunnel, VirtualServer, flag_names,
};

/// Version of the format. It changes if the meaning of a field changes.
pub const API_VERSION: &str = "kube-ipvs.io/v1alpha1";

/// Idle timeouts of connections in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// `Timeouts`.
    pub kind: &'static str,
    /// Timeout of an established TCP connection.
    pub tcp_seconds: u64,
    /// Timeout of a TCP connection after a FIN.
    pub tcp_fin_seconds: u64,
    /// Timeout of a UDP flow.
    pub udp_seconds: u64,
}

impl From<ipvs::Timeouts> for Timeouts {
    fn from(timeouts: ipvs::Timeouts) -> Self {
        let ipvs::Timeouts { tcp, tcp_fin, udp } = timeouts;
        Self {
            api_version: API_VERSION,
            kind: "Timeouts",
            tcp_seconds: tcp.as_secs(),
            tcp_fin_seconds: tcp_fin.as_secs(),
            udp_seconds: udp.as_secs(),
        }
    }
}
