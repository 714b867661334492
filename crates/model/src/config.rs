//! The resolved configuration: complete, validated, every field with a value.

use std::time::Duration;

use ipnetwork::IpNetwork;
use ipvs::Scheduler;

use crate::names::Name;

/// What decides, besides the cluster, what a node's tables hold and how they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// The node's name in Kubernetes, lower case.
    pub node_name: Name,
    /// The scheduler of every virtual server.
    pub scheduler: Scheduler,
    /// Virtual servers and addresses inside these are never deleted.
    pub exclude_cidrs: Vec<IpNetwork>,
    /// How often the whole table is compared with the wanted one even when nothing changed.
    pub sync_period: Duration,
    /// How long changes are gathered before they are applied; zero applies at once.
    pub min_sync_period: Duration,
}

impl NodeConfig {
    /// The defaults of kube-proxy's ipvs mode for the node `node_name`.
    #[must_use]
    pub fn new(node_name: impl Into<Name>) -> Self {
        Self {
            node_name: node_name.into(),
            scheduler: Scheduler("rr".into()),
            exclude_cidrs: Vec::new(),
            sync_period: Duration::from_secs(30),
            min_sync_period: Duration::ZERO,
        }
    }
}
