//! What a reconciler knows, for those who show it.

use std::collections::{BTreeMap, BTreeSet};

use ipvs::VirtualServerKey;
use model::cluster::ClusterState;
use model::config::NodeConfig;
use model::finding::Finding;
use model::snapshot::Snapshot;

use super::{Drain, DrainKey, Reconciler};

impl Reconciler {
    /// Whether the node is as the cluster asks, as far as is known.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.has_synced()
            && self.sync.is_none()
            && self.sync_at.is_none()
            && self.retries.next().is_none()
    }

    /// Whether a synchronisation of everything has ended, well or not.
    #[must_use]
    pub fn has_synced(&self) -> bool {
        self.last_sync.is_some()
    }

    /// Number of cluster events, counted from the start in order of arrival, whose changes have been compiled
    /// and tried, failed ops included.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// What the cluster asks of the node, as compiled last.
    #[must_use]
    pub fn desired(&self) -> &model::Desired {
        self.compiler.desired()
    }

    /// What the kernel holds, as far as is known; none before the first reading.
    #[must_use]
    pub fn live(&self) -> Option<&Snapshot> {
        self.mirror.as_ref()
    }

    /// Virtual servers that others made, as far as is known.
    pub fn foreign(&self) -> impl Iterator<Item = VirtualServerKey> {
        let ours = |live: &Snapshot, key: &VirtualServerKey| {
            self.recorded.contains(key) || planner::is_marked(live, *key)
        };
        self.mirror.iter().flat_map(move |live| {
            let keys = live.tables.virtual_servers.keys();
            keys.filter(move |key| !ours(live, key)).copied()
        })
    }

    /// What is odd.
    #[must_use]
    pub fn findings(&self) -> &BTreeSet<Finding> {
        &self.findings
    }

    /// The addresses at which the node answers for node ports; none where that is everywhere.
    #[must_use]
    pub fn node_port_addresses(&self) -> Option<&BTreeSet<std::net::IpAddr>> {
        self.compiler.node_port_addresses()
    }

    /// Real servers that drain.
    #[must_use]
    pub fn drains(&self) -> &BTreeMap<DrainKey, Drain> {
        self.drains.all()
    }

    /// What the cluster is known to be.
    #[must_use]
    pub fn cluster(&self) -> &ClusterState {
        &self.cluster
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }
}
