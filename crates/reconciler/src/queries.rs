//! Queries of what a reconciler knows.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipvs::VirtualServerKey;
use model::cluster::ClusterState;
use model::config::NodeConfig;
use model::finding::Finding;
use model::missing_family::MissingFamily;
use model::snapshot::Snapshot;

use crate::agenda::{Due, Task};
use crate::column::Column;
use crate::{Drain, DrainKey, Reconciler};

impl Reconciler {
    /// Returns true if the node is as the cluster asks, as far as is known.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.synced
            && self.run.is_none()
            && !self.pending.has_changes()
            && !self.pending.has_large()
            && self.agenda.retries().all(|(_, due)| due.is_parked())
            && self.agenda.failing_readings().next().is_none()
    }

    /// Returns true if every source has delivered a full first list.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.cluster.is_complete()
    }

    /// Returns true if a sync of everything has ended, well or not.
    #[must_use]
    pub fn has_synced(&self) -> bool {
        self.synced
    }

    /// The number of events of the cluster, in the order of their arrival, whose changes have been compiled and tried.
    /// Entries that failed count: they are tried again in their own time. So does what is too much for one
    /// sync and [waits](Self::large_services) for others: its size must not make the proxy look late.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// The number of Services that wait to be compiled because they are too large for one sync.
    #[must_use]
    pub fn large_services(&self) -> usize {
        self.pending.large()
    }

    /// The number of virtual servers, addresses and set entries that are compiled and wait to be written.
    #[must_use]
    pub fn pending_entries(&self) -> usize {
        self.pending.entries()
    }

    /// The tables that the cluster asks for, as compiled last.
    #[must_use]
    pub fn desired(&self) -> &model::Desired {
        self.compiler.desired()
    }

    /// The kernel's tables as far as they are known; `None` before the first sync.
    #[must_use]
    pub fn live(&self) -> Option<&Snapshot> {
        (self.known.contains(&Column::VirtualServers)).then_some(&self.cache)
    }

    /// Returns true if the virtual server `key` of the kernel is ours.
    pub(crate) fn is_ours(&self, key: VirtualServerKey) -> bool {
        self.owned.is_ours(&self.cache, key)
    }

    /// Foreign virtual servers, as far as is known.
    pub fn foreign(&self) -> impl Iterator<Item = VirtualServerKey> {
        let keys = self.cache.tables.virtual_servers.keys().copied();
        keys.filter(|key| !self.is_ours(*key))
    }

    /// Returns the family that the node cannot serve, as far as it has been read.
    #[must_use]
    pub fn missing_family(&self) -> Option<&MissingFamily> {
        self.cache.node.missing.as_ref()
    }

    /// All findings, in order.
    #[must_use]
    pub fn findings(&self) -> BTreeSet<Finding> {
        let compiled = self.compiler.findings().cloned();
        (self.findings.iter().cloned()).chain(compiled).collect()
    }

    /// Readings that fail, with their history.
    pub fn failing_readings(&self) -> impl Iterator<Item = (&Task, &Due)> {
        self.agenda.failing_readings()
    }

    /// The addresses at which the node answers for node ports; `None` if that is everywhere.
    #[must_use]
    pub fn node_port_addresses(&self) -> Option<&BTreeSet<IpAddr>> {
        self.compiler.node_port_addresses()
    }

    /// Real servers that drain.
    #[must_use]
    pub fn drains(&self) -> &BTreeMap<DrainKey, Drain> {
        self.drains.all()
    }

    /// The state of the cluster, as far as is known.
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
