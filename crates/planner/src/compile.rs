//! From a cluster to the tables of one node.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use model::cluster::{Changed, ClusterState, EndpointSlice, Service};
use model::config::{NodeConfig, NodePortAddresses};
use model::finding::Finding;
use model::names::ObjectName;
use model::snapshot::{Machine, NodeState};
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
    let mut compiler = Compiler::new(config.clone());
    compiler.compile(cluster, node, drop);
    let findings = compiler.findings(cluster);
    (compiler.ledger.desired().clone(), findings)
}

/// What is odd about the cluster's objects, ordered.
#[must_use]
pub fn lint(cluster: &ClusterState, node: &NodeState, config: &NodeConfig) -> Vec<Finding> {
    compile(cluster, node, config).1
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
        let mut ledger = Ledger::default();
        ledger.create_sets();
        let mut compiler = Self {
            config,
            node: NodeView::default(),
            ledger,
        };
        compiler.write_rules();
        compiler.write_settings(Machine::default());
        compiler
    }

    /// Takes another configuration. [`Compiler::update_all`] is to follow.
    pub fn configure(&mut self, config: NodeConfig) {
        self.config = config;
    }

    /// What the cluster asks of the node.
    #[must_use]
    pub fn desired(&self) -> &Desired {
        self.ledger.desired()
    }

    /// The addresses at which the node answers for node ports; none where that is everywhere.
    #[must_use]
    pub fn node_port_addresses(&self) -> Option<&BTreeSet<IpAddr>> {
        match &self.config.node_port_addresses {
            NodePortAddresses::Within(networks) if networks.is_empty() => None,
            _ => Some(&self.node.node_ports),
        }
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
    pub fn look_at_node(&mut self, cluster: &ClusterState, node: &NodeState) -> TableKeys {
        let mut keys = self.write_settings(node.machine);
        let before = self.node.clone();
        self.node.look_at_interfaces(node, &self.config);
        keys.merge(self.follow_node(cluster, &before));
        keys
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

    /// Takes in what the node is, compiles every Service again, and names the entries that are different now.
    pub fn update_all(&mut self, cluster: &ClusterState, node: &NodeState) -> TableKeys {
        let mut keys = TableKeys::default();
        self.compile(cluster, node, |changed| keys.merge(changed));
        keys
    }

    /// Takes in what the node is, and compiles every Service. What is different then is handed over piece by piece; of a first
    /// compilation that is everything, and nobody needs it.
    pub fn compile(
        &mut self,
        cluster: &ClusterState,
        node: &NodeState,
        mut changed: impl FnMut(TableKeys),
    ) {
        changed(self.write_settings(node.machine));
        self.node.look_at_interfaces(node, &self.config);
        self.node.look_at_nodes(cluster, &self.config);
        changed(self.write_rules());
        self.update_services(cluster, changed);
        self.ledger.pack();
    }

    fn update_services(&mut self, cluster: &ClusterState, mut changed: impl FnMut(TableKeys)) {
        let mut services: BTreeSet<ObjectName> = cluster.service_names().cloned().collect();
        services.extend(self.ledger.services().cloned());
        for service in &services {
            changed(self.update_service(cluster, service));
        }
    }

    fn update_service(&mut self, cluster: &ClusterState, name: &ObjectName) -> TableKeys {
        let Some(service) = cluster.service(name) else {
            self.ledger.remark(name, Vec::new());
            return self.ledger.replace(name, None);
        };
        let slices: Vec<EndpointSlice> = cluster.slices(name).collect();
        let resolved = resolve(&service, &slices, &self.node, &self.config);
        let part = Part {
            created: service.created,
            claims: (resolved.frontends.into_iter())
                .map(|frontend| Arc::new(lower(frontend, &self.config)))
                .collect(),
            local_endpoints: resolved.local_endpoints,
            health_check: resolved.health_check.map(Box::new),
            without_local: resolved.without_local,
        };
        self.ledger.remark(name, resolved.findings);
        self.ledger.replace(name, Some(part))
    }

    /// Compiles again what a change of the node since `before` concerns.
    fn follow_node(&mut self, cluster: &ClusterState, before: &NodeView) -> TableKeys {
        if self.node == *before {
            return TableKeys::default();
        }
        let mut keys = self.write_rules();
        match self.node.addresses_that_changed(before) {
            None => self.update_services(cluster, |changed| keys.merge(changed)),
            Some(addresses) => {
                for service in services_at(cluster, &addresses) {
                    keys.merge(self.update_service(cluster, service));
                }
            }
        }
        keys
    }

    fn write_settings(&mut self, machine: Machine) -> TableKeys {
        let tables = &mut self.ledger.desired_mut().tables;
        let mut keys = TableKeys::default();
        let sysctls = sysctls(&self.config, machine);
        if tables.sysctls != sysctls {
            keys.sysctls.extend(sysctls.keys().cloned());
            tables.sysctls = sysctls;
        }
        let timeouts = self.config.kernel_settings.timeouts;
        keys.timeouts = tables.timeouts != timeouts;
        tables.timeouts = timeouts;
        keys
    }

    fn write_rules(&mut self) -> TableKeys {
        let masquerade = self.config.masquerade;
        let mut keys = TableKeys::default();
        for family in FAMILIES {
            let local = self.node.local_traffic(family, &self.config);
            let rules = rules(family, masquerade, &local);
            let known = &mut self.ledger.desired_mut().tables.rules;
            if known.get(&family) != Some(&rules) {
                known.insert(family, rules);
                keys.rules.insert(family);
            }
        }
        keys
    }
}

/// The Services that ask for one of `addresses` from outside the cluster. Looks at every Service, which
/// the coming and going of nodes is rare enough for.
fn services_at<'a>(
    cluster: &'a ClusterState,
    addresses: &BTreeSet<IpAddr>,
) -> impl Iterator<Item = &'a ObjectName> {
    let asks = |service: Service| {
        (service.external_ips.iter())
            .chain(&service.load_balancer_ips)
            .filter_map(|address| address.as_result().ok())
            .any(|address| addresses.contains(address))
    };
    cluster
        .service_names()
        .filter(move |name| cluster.service(name).is_some_and(asks))
}
