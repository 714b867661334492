//! Read access to the state of the reconciler.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipvs::VirtualServerKey;
use model::cluster::ClusterState;
use model::config::NodeConfig;
use model::finding::Finding;
use model::missing_family::MissingFamily;
use model::names::ObjectName;
use model::policy::FailedTargets;
use model::snapshot::Snapshot;

use crate::agenda::{Due, Task};
use crate::column::Column;
use crate::{Drain, DrainKey, Ramp, Reconciler};

impl Reconciler {
    /// Returns true if the node is in the desired state, as far as is known.
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

    /// Returns true if the first sync has ended, with or without failures.
    #[must_use]
    pub fn has_synced(&self) -> bool {
        self.synced
    }

    /// Returns the number of cluster events whose changes have been compiled and tried, in the
    /// order of their arrival.
    ///
    /// Two kinds of unfinished work count as applied, so that they do not make the proxy look late:
    /// - entries that failed, since they are retried separately
    /// - Services that are too large for one sync and [wait](Self::large_services)
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Returns true if the last cluster event changed an object. A relisted, unchanged object is
    /// not a change.
    #[must_use]
    pub fn changed_last(&self) -> bool {
        self.changed_last
    }

    /// Returns the Services that the last cluster event changed, by themselves or by their slices.
    /// Before the end of the first sync there are none, since lists are no changes.
    #[must_use]
    pub fn changed_services(&self) -> &BTreeSet<ObjectName> {
        &self.changed_services
    }

    /// Returns the number of Services that wait to be compiled because they are too large for one
    /// sync.
    #[must_use]
    pub fn large_services(&self) -> usize {
        self.pending.large()
    }

    /// Returns the number of compiled virtual servers, addresses and set entries that wait to be
    /// written.
    #[must_use]
    pub fn pending_entries(&self) -> usize {
        self.pending.entries()
    }

    /// Returns the desired tables as last compiled.
    #[must_use]
    pub fn desired(&self) -> &model::Desired {
        self.compiler.desired()
    }

    /// Returns the kernel's tables as far as they are known, or `None` before the first sync.
    #[must_use]
    pub fn live(&self) -> Option<&Snapshot> {
        (self.known.contains(&Column::VirtualServers)).then_some(&self.cache)
    }

    /// Returns true if the live virtual server `key` is ours.
    pub(crate) fn is_ours(&self, key: VirtualServerKey) -> bool {
        self.owned.is_ours(&self.cache, key)
    }

    /// Returns the foreign virtual servers, as far as they are known.
    pub fn foreign(&self) -> impl Iterator<Item = VirtualServerKey> {
        let keys = self.cache.tables.virtual_servers.keys().copied();
        keys.filter(|key| !self.is_ours(*key))
    }

    /// Returns the IP family that the node cannot serve, as far as it has been read.
    #[must_use]
    pub fn missing_family(&self) -> Option<&MissingFamily> {
        self.cache.node.missing.as_ref()
    }

    /// Returns all findings in order.
    #[must_use]
    pub fn findings(&self) -> BTreeSet<Finding> {
        let compiled = self.compiler.findings().cloned();
        (self.findings.iter().cloned()).chain(compiled).collect()
    }

    /// Returns the targets of health checks that fail.
    #[must_use]
    pub fn failed_targets(&self) -> &FailedTargets {
        self.compiler.failed_targets()
    }

    /// Returns the readings that fail, with their history.
    pub fn failing_readings(&self) -> impl Iterator<Item = (&Task, &Due)> {
        self.agenda.failing_readings()
    }

    /// Returns the addresses at which node ports are served, or `None` if they are served at every
    /// address.
    #[must_use]
    pub fn node_port_addresses(&self) -> Option<&BTreeSet<IpAddr>> {
        self.compiler.node_port_addresses()
    }

    /// Returns the draining real servers.
    #[must_use]
    pub fn drains(&self) -> &BTreeMap<DrainKey, Drain> {
        self.drains.all()
    }

    /// Returns the real servers in a slow start.
    #[must_use]
    pub fn ramps(&self) -> &BTreeMap<DrainKey, Ramp> {
        self.ramps.all()
    }

    /// Returns the state of the cluster, as far as it is known.
    #[must_use]
    pub fn cluster(&self) -> &ClusterState {
        &self.cluster
    }

    /// Returns the current configuration.
    #[must_use]
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }
}
