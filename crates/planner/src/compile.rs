//! From a cluster to the tables of one node.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use model::cluster::{Changed, ClusterState, Service};
use model::config::NodeConfig;
use model::finding::Finding;
use model::frontend::{Frontend, FrontendKind};
use model::names::ObjectName;
use model::snapshot::{KernelVersion, NodeState};
use model::tables::{Desired, TableKeys};

use crate::ledger::{Ledger, Part};
use crate::lower::lower;
use crate::resolve::resolve;
use crate::rules::rules;
use crate::settings::sysctls;
use crate::view::{FAMILIES, NodeView};

/// What the cluster asks of the node, and what is odd about it. Total: any state has an answer.
#[must_use]
pub fn compile(
    cluster: &ClusterState,
    node: &NodeState,
    config: &NodeConfig,
) -> (Desired, Vec<Finding>) {
    compile_within(Extent::Everything, cluster, node, config)
}

/// As [`compile`], no further than `extent`.
#[must_use]
pub fn compile_within(
    extent: Extent,
    cluster: &ClusterState,
    node: &NodeState,
    config: &NodeConfig,
) -> (Desired, Vec<Finding>) {
    let mut compiler = Compiler::new(config.clone(), extent);
    compiler.look_at_node(cluster, node);
    compiler.update_all(cluster);
    let findings = compiler.findings(cluster);
    (compiler.ledger.desired().clone(), findings)
}

/// What is odd about the cluster's objects, ordered.
#[must_use]
pub fn lint(cluster: &ClusterState, node: &NodeState, config: &NodeConfig) -> Vec<Finding> {
    compile(cluster, node, config).1
}

/// How much of the tables is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything that the node needs.
    Everything,
    /// Virtual servers and addresses of cluster IPs. All else is safe only behind sets and rules.
    ClusterIps,
}

impl Extent {
    fn covers(self, frontend: &Frontend) -> bool {
        self == Self::Everything || frontend.kind == FrontendKind::ClusterIp
    }
}

/// Keeps what the cluster asks of the node up to date, Service by Service: a change costs what the
/// Services that changed cost, not what all of them do.
#[derive(Debug)]
pub struct Compiler {
    config: NodeConfig,
    extent: Extent,
    node: NodeView,
    ledger: Ledger,
}

impl Compiler {
    /// A compiler that has seen nothing yet.
    #[must_use]
    pub fn new(config: NodeConfig, extent: Extent) -> Self {
        let mut ledger = Ledger::default();
        if extent == Extent::Everything {
            ledger.create_sets();
        }
        let mut compiler = Self {
            config,
            extent,
            node: NodeView::default(),
            ledger,
        };
        compiler.write_rules();
        compiler.write_settings(None);
        compiler
    }

    /// What the cluster asks of the node.
    #[must_use]
    pub fn desired(&self) -> &Desired {
        self.ledger.desired()
    }

    /// What is odd about the cluster's objects and the node, ordered.
    #[must_use]
    pub fn findings(&self, cluster: &ClusterState) -> Vec<Finding> {
        let mut findings = self.ledger.findings();
        findings.extend(self.node.findings(cluster, &self.config));
        findings.sort();
        findings
    }

    /// Takes in what the node is, and names the entries that are different now.
    pub fn look_at_node(&mut self, cluster: &ClusterState, state: &NodeState) -> TableKeys {
        self.write_settings(state.kernel);
        let before = self.node.clone();
        self.node.look_at_interfaces(state, &self.config);
        self.follow_node(cluster, &before)
    }

    /// Compiles again what `changed` concerns, and names the entries that are different now.
    pub fn update(&mut self, cluster: &ClusterState, changed: &Changed) -> TableKeys {
        let mut keys = TableKeys::default();
        if !changed.nodes.is_empty() {
            let before = self.node.clone();
            self.node.look_at_nodes(cluster, &self.config);
            keys = self.follow_node(cluster, &before);
        }
        for service in &changed.services {
            keys.merge(self.update_service(cluster, service));
        }
        keys
    }

    /// Compiles every Service again, and names the entries that are different now.
    pub fn update_all(&mut self, cluster: &ClusterState) -> TableKeys {
        self.node.look_at_nodes(cluster, &self.config);
        self.write_rules();
        self.update_services(cluster)
    }

    fn update_services(&mut self, cluster: &ClusterState) -> TableKeys {
        let mut services: BTreeSet<ObjectName> = cluster.service_names().cloned().collect();
        services.extend(self.ledger.services().cloned());
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
        let resolved = resolve(service, cluster.slices(name), &self.node, &self.config);
        let everything = self.extent == Extent::Everything;
        let part = Part {
            created: service.created,
            claims: (resolved.frontends.into_iter())
                .filter(|frontend| self.extent.covers(frontend))
                .map(|frontend| Arc::new(lower(frontend, &self.config)))
                .collect(),
            local_endpoints: resolved.local_endpoints,
            health_check: resolved.health_check.filter(|_| everything),
        };
        self.ledger.remark(name, resolved.findings);
        self.ledger.replace(name, Some(part))
    }

    /// Compiles again what a change of the node since `before` concerns.
    fn follow_node(&mut self, cluster: &ClusterState, before: &NodeView) -> TableKeys {
        if self.node == *before {
            return TableKeys::default();
        }
        self.write_rules();
        match self.node.addresses_that_changed(before) {
            None => self.update_services(cluster),
            Some(addresses) => {
                let mut keys = TableKeys::default();
                for service in services_at(cluster, &addresses) {
                    keys.merge(self.update_service(cluster, service));
                }
                keys
            }
        }
    }

    fn write_settings(&mut self, kernel: Option<KernelVersion>) {
        if self.extent == Extent::Everything {
            self.ledger.desired_mut().tables.sysctls = sysctls(&self.config, kernel);
        }
    }

    fn write_rules(&mut self) {
        if self.extent == Extent::Everything {
            let masquerade = self.config.masquerade;
            let rules = FAMILIES.map(|family| {
                let local = self.node.local_traffic(family, &self.config);
                (family, rules(family, masquerade, &local))
            });
            self.ledger.desired_mut().tables.rules = rules.into();
        }
    }
}

/// The Services that ask for one of `addresses` from outside the cluster. Looks at every Service, which
/// the coming and going of nodes is rare enough for.
fn services_at<'a>(
    cluster: &'a ClusterState,
    addresses: &BTreeSet<IpAddr>,
) -> impl Iterator<Item = &'a ObjectName> {
    let asks = |service: &Service| {
        (service.external_ips.iter())
            .chain(&service.load_balancer_ips)
            .filter_map(|address| address.as_result().ok())
            .any(|address| addresses.contains(address))
    };
    cluster
        .service_names()
        .filter(move |name| cluster.service(name).is_some_and(asks))
}
