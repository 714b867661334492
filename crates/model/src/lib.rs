//! Data types that the crates of kube-ipvs share.
//!
//! - [`cluster`]: objects of Kubernetes, as sources deliver them.
//! - [`frontend`]: served addresses and their endpoints, independent of Kubernetes and IPVS.
//! - [`tables`] and [`plan`]: the kernel's tables and the changes to them.
//!
//! The crate is pure: it does no IO, reads no clock, and its functions do not depend on the
//! environment.

/// Name of the dummy device that holds the virtual addresses; kube-proxy uses the same name.
pub const DEVICE: &str = "kube-ipvs0";

pub mod backoff;
mod chain;
pub mod cluster;
pub mod compact;
pub mod config;
pub mod duration;
pub mod finding;
pub mod frontend;
pub mod host_rules;
pub mod keepalive;
pub mod kernel;
pub mod leftovers;
pub mod missing_family;
pub mod names;
pub mod plan;
pub mod policy;
pub mod rules;
mod safe_text;
pub mod sets;
pub mod snapshot;
pub mod sysctls;
pub mod tables;
pub mod text;
pub mod udp_flows;

pub use backoff::{Backoff, BackoffSettings};
pub use chain::chain;
pub use cluster::{ClusterEvent, ClusterState, Object, ObjectKind, Parsed};
pub use config::NodeConfig;
pub use finding::{Code, Finding, Level};
pub use frontend::{Backend, Frontend, FrontendKind};
pub use keepalive::Keepalive;
pub use leftovers::Leftovers;
pub use names::{Name, ObjectName, ServicePortName};
pub use plan::{Difference, Op, OpEffect, Plan, PlannedOp, Reason, Stage, Summary};
pub use safe_text::{Escaping, SafeText, escaped, escaped_json};
pub use snapshot::{NodeState, Scope, Selection, SetSelection, Snapshot};
pub use tables::{Desired, NodeTables, Owners, TableKeys, VirtualServerEntry};
