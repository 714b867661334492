//! An endpoint that goes and comes.

use std::error::Error;

use model::cluster::Changed;
use model::{ClusterState, Desired, NodeState, TableKeys};
use planner::Compiler;

use super::{ENDPOINTS, cluster};
use crate::table;

/// A compiler that knows all Services, and two clusters that differ in one endpoint.
pub(super) struct Change {
    compiler: Compiler,
    /// The cluster to compile next, and the one that was compiled last.
    clusters: [ClusterState; 2],
    changed: Changed,
}

impl Change {
    /// So many Services, compiled; the one in the middle is about to lose an endpoint.
    pub(super) fn new(services: u32) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let before = cluster(services)?;
        let mut after = before.clone();
        let service = services / 2;
        let changed = after.absorb(table::slice(service, service * ENDPOINTS, ENDPOINTS - 1));
        let mut compiler = Compiler::new(table::config());
        compiler.look_at_node(&before, &NodeState::default());
        compiler.update_all(&before, &NodeState::default());
        Ok(Self {
            compiler,
            clusters: [after, before],
            changed,
        })
    }

    /// Compiles what changed, and names the entries that are different now.
    pub(super) fn compile(&mut self) -> TableKeys {
        let keys = self.compiler.update(&self.clusters[0], &self.changed);
        self.clusters.swap(0, 1);
        keys
    }

    /// What is asked of the node now.
    pub(super) fn desired(&self) -> &Desired {
        self.compiler.desired()
    }
}
