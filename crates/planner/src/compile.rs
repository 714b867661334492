//! From a cluster to the tables of one node.

#[cfg(test)]
mod tests;

use model::cluster::{Changed, ClusterState};
use model::config::NodeConfig;
use model::finding::Finding;
use model::names::ObjectName;
use model::tables::{Desired, TableKeys};

use crate::ledger::{Ledger, Part};
use crate::lower::lower;
use crate::resolve::{NodeView, resolve};

/// What the cluster asks of the node, and what is odd about it. Total: any state has an answer.
#[must_use]
pub fn compile(cluster: &ClusterState, config: &NodeConfig) -> (Desired, Vec<Finding>) {
    let mut compiler = Compiler::new(config.clone());
    compiler.update_all(cluster);
    let findings = compiler.findings();
    (compiler.ledger.desired().clone(), findings)
}

/// What is odd about the cluster's objects, ordered.
#[must_use]
pub fn lint(cluster: &ClusterState, config: &NodeConfig) -> Vec<Finding> {
    compile(cluster, config).1
}

/// Keeps what the cluster asks of the node up to date, Service by Service: a change costs what the
/// Services that changed cost, not what all of them do.
#[derive(Debug)]
pub struct Compiler {
    config: NodeConfig,
    node: NodeView,
    ledger: Ledger,
}

impl Compiler {
    /// A compiler that has seen nothing yet.
    #[must_use]
    pub fn new(config: NodeConfig) -> Self {
        let node = NodeView {
            name: config.node_name.clone(),
            zone: None,
        };
        Self {
            config,
            node,
            ledger: Ledger::default(),
        }
    }

    /// What the cluster asks of the node.
    #[must_use]
    pub fn desired(&self) -> &Desired {
        self.ledger.desired()
    }

    /// What is odd about the cluster's objects, ordered.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.ledger.findings()
    }

    /// Compiles again what `changed` concerns, and names the entries that are different now.
    pub fn update(&mut self, cluster: &ClusterState, changed: &Changed) -> TableKeys {
        if changed.nodes.contains(&self.node.name) && self.look_at_node(cluster) {
            return self.update_all(cluster);
        }
        let mut keys = TableKeys::default();
        for service in &changed.services {
            keys.merge(self.update_service(cluster, service));
        }
        keys
    }

    /// Compiles every Service again, and names the entries that are different now.
    pub fn update_all(&mut self, cluster: &ClusterState) -> TableKeys {
        self.look_at_node(cluster);
        let mut services: Vec<ObjectName> = cluster.service_names().cloned().collect();
        let gone = |name: &&ObjectName| cluster.service(name).is_none();
        services.extend(self.ledger.services().filter(gone).cloned());
        let mut keys = TableKeys::default();
        for service in &services {
            keys.merge(self.update_service(cluster, service));
        }
        keys
    }

    fn update_service(&mut self, cluster: &ClusterState, name: &ObjectName) -> TableKeys {
        let Some(service) = cluster.service(name) else {
            self.ledger.remark(name, Vec::new());
            return self.ledger.replace(name, None);
        };
        let (frontends, findings) = resolve(service, cluster.slices(name), &self.node);
        let part = Part {
            created: service.created,
            claims: (frontends.into_iter())
                .map(|frontend| lower(frontend, &self.config))
                .collect(),
        };
        self.ledger.remark(name, findings);
        self.ledger.replace(name, Some(part))
    }

    /// Whether what is known of the own node is different from before. A Node that is gone keeps
    /// its last zone, as in kube-proxy: the object may be deleted while the node still serves.
    fn look_at_node(&mut self, cluster: &ClusterState) -> bool {
        let Some(node) = cluster.node(&self.node.name) else {
            return false;
        };
        let changed = self.node.zone != node.zone;
        self.node.zone.clone_from(&node.zone);
        changed
    }
}
