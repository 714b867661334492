//! JSON and YAML output: objects with a kind and a version, as in Kubernetes.
//!
//! Types of the model are not serialized, so that they can change without a change of this format.
//!
//! | kind | printed by |
//! |---|---|
//! | [`NodeTables`] | `render`, `get servers`, `get addresses`, `get tables`; read by `--live` |
//! | [`AddressExplanation`] | `explain ip` |
//! | [`Checkup`] | `doctor` |
//! | [`ConnectionList`] | `get connections` |
//! | [`ConnectionSummary`] | `get connections --summary` |
//! | [`Drains`] | `get drains` |
//! | [`Findings`] | `analyze` |
//! | [`Migration`] | `migrate check` |
//! | [`Plan`] | `diff` |
//! | [`PodExplanation`] | `explain pod` |
//! | [`ServiceExplanation`] | `explain svc` |
//! | [`TableChange`] | `monitor`, one document in each line |
//! | [`Timeouts`] | `get timeouts` |
//! | [`Top`] | `top --once` |
//! | [`Trace`] | `trace` |
//! | [`Versions`](crate::commands::version::Versions) | `version` |

mod change;
mod checks;
mod checkup;
mod connections;
mod daemon;
mod document;
mod drains;
mod explain;
mod filter_state;
mod finding;
mod migration;
mod node_state;
mod owners;
mod plan;
mod read;
mod slow_starts;
mod statistics;
mod tables;
#[cfg(test)]
mod tests;
mod trace;
mod traffic;

use schemars::JsonSchema;
use serde::Serialize;

pub use self::change::{DaemonChange, DaemonChanges, TableChange, effect_name};
pub use self::checks::DaemonChecks;
pub use self::checkup::{Check, Checkup, CheckupServices, CheckupSummary};
pub use self::connections::{
    Connection, ConnectionList, ConnectionSummary, Endpoint, RealServerConnections,
};
pub use self::daemon::{
    DaemonFailure, DaemonFinding, DaemonSource, DaemonSourceError, DaemonStatus, DaemonSync,
    FailingEntry, FailingReading,
};
pub use self::document::{Document, schemas};
pub use self::drains::{DaemonDrain, Drain, Drains, drains};
pub use self::explain::{
    AddressExplanation, AddressKind, AddressServer, AddressService, ExplainedDrain,
    ExplainedEndpoint, ExplainedSlowStart, LastChange, Place, PodEndpoint, PodExplanation,
    PolicyValue, Presence, ServiceExplanation, ServiceHealthCheck, SetEntry, Verdict,
};
pub use self::filter_state::{HealthCheck, IpSet};
pub use self::finding::{Finding, Findings};
pub use self::migration::{Cause, Leftovers, Migration, RuleLeftovers};
pub use self::node_state::{IdleTimeouts, Interface, MissingFamily, NodeState};
pub use self::owners::DaemonOwners;
pub use self::plan::{
    ChainChange, Change, Difference, KindSummary, OwnerKind, Plan, Planned, ServiceChanges,
    ServicePort, Summary,
};
pub use self::read::{SchemaError, looks_like, parse};
pub use self::slow_starts::{DaemonSlowStart, DaemonSlowStarts};
pub use self::statistics::Statistics;
pub use self::tables::{
    Connections, NodeTables, Persistence, RealServer, Tunnel, VirtualServer, flag_names,
    protocol_name,
};
pub use self::trace::{
    Subject, Trace, TraceOutcome, TraceStep, TraceVerdict, TracedPacket, TracedRealServer,
    TracedRule, TracedSet, TracedVirtualServer,
};

pub use self::traffic::Top;

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
