//! An endpoint that is removed and added.

use std::error::Error;

use model::cluster::Changed;
use model::finding::FindingChanges;
use model::policy::Annotation;
use model::{ClusterEvent, ClusterState, Desired, NodeState, Object, TableKeys};
use planner::Compiler;

use super::{ENDPOINTS, cluster};
use crate::table;

/// A compiler that has all Services, and two clusters that differ in one endpoint.
pub(super) struct Change {
    compiler: Compiler,
    /// The cluster to compile next, and the one compiled last.
    clusters: [ClusterState; 2],
    changed: Changed,
}

impl Change {
    /// Creates so many Services, compiled. The one in the middle is about to lose an endpoint.
    pub(super) fn new(services: u32) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self::of(cluster(services)?, services))
    }

    /// Creates the same in a cluster in which every Service has a finding: its scheduler cannot be
    /// used.
    pub(super) fn beside_findings(services: u32) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut before = cluster(services)?;
        let known: Vec<_> = before.service_names().cloned().collect();
        for name in known {
            if let Some(mut service) = before.service(&name) {
                service.annotations = [Annotation::new("scheduler", "UNKNOWN")].into();
                before.absorb(ClusterEvent::Upsert(Object::Service(service)));
            }
        }
        Ok(Self::of(before, services))
    }

    fn of(before: ClusterState, services: u32) -> Self {
        let mut after = before.clone();
        let service = services / 2;
        let changed = after.absorb(table::slice(service, service * ENDPOINTS, ENDPOINTS - 1));
        let mut compiler = Compiler::new(table::config());
        compiler.look_at_node(&before, &NodeState::default());
        compiler.update_all(&before, &NodeState::default());
        compiler.take_finding_changes();
        Self {
            compiler,
            clusters: [after, before],
            changed,
        }
    }

    /// Compiles the change and returns the changed keys.
    pub(super) fn compile(&mut self) -> TableKeys {
        let keys = self.compiler.update(&self.clusters[0], &self.changed);
        self.clusters.swap(0, 1);
        keys
    }

    /// Returns the findings that the last compilation changed.
    pub(super) fn findings(&mut self) -> FindingChanges {
        self.compiler.take_finding_changes()
    }

    /// Returns the current desired state of the node.
    pub(super) fn desired(&self) -> &Desired {
        self.compiler.desired()
    }
}
