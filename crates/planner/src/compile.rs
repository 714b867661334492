//! Compiles the state of the cluster into the tables of one node.

mod checks;
mod dependents;
mod shared_addresses;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipvs::{AddressFamily, RealServerKey, VirtualServerKey};
use model::cluster::{Changed, ClusterState, EndpointSlice, ObjectKind, Undecodable};
use model::config::{NodeConfig, NodePortAddresses};
use model::finding::{Code, Finding, FindingChanges};
use model::frontend::FrontendKind;
use model::names::{Name, ObjectName};
use model::policy::{CheckTarget, FailedTargets, RampStep, Ramps};
use model::snapshot::{Machine, NodeState};
use model::tables::{Desired, TableKeys, VirtualServerEntry};

use self::checks::Checks;
use self::dependents::{Dependents, asked_for};
use self::shared_addresses::SharedAddresses;
use crate::claim_index::{Arrivals, ClaimIndex, ServiceClaims};
use crate::lower::{every_port, lower};
use crate::node_context::{NodeChange, NodeContext};
use crate::owners::Claims;
use crate::protected::NodeResource;
use crate::resolve::{outside_addresses, resolve, unlabelled};
use crate::rules::rules;
use crate::settings::{sysctls, timeouts};
use crate::static_server::compile as compile_static;

/// Approximate size of an endpoint in [`ClusterState::slice_bytes`].
const ENDPOINT_BYTES: usize = 32;

/// State of endpoints that no object shows: the daemon finds it out, and its tables follow from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointStates {
    /// Targets of health checks that fail.
    pub failed: FailedTargets,
    /// Real servers in a slow start.
    pub ramps: Ramps,
}

/// Returns the desired tables of the node, and the findings. It accepts any state.
#[must_use]
pub fn compile(
    cluster: &ClusterState,
    node: &NodeState,
    config: &NodeConfig,
) -> (Desired, Vec<Finding>) {
    let (compiler, findings) = compiled(cluster, node, config, EndpointStates::default());
    (compiler.index.desired().clone(), findings)
}

/// As [`compile`], with the state of endpoints. Also returns the claims of the
/// Services, which name the owners of single entries and explain how a Service is served.
#[must_use]
pub fn compile_with_claims(
    cluster: &ClusterState,
    node: &NodeState,
    config: &NodeConfig,
    states: EndpointStates,
) -> (Desired, Vec<Finding>, Claims) {
    let (mut compiler, findings) = compiled(cluster, node, config, states);
    let desired = std::mem::take(compiler.index.desired_mut());
    let claims = Claims {
        index: compiler.index,
        node: compiler.node,
        config: compiler.config,
    };
    (desired, findings, claims)
}

fn compiled(
    cluster: &ClusterState,
    node: &NodeState,
    config: &NodeConfig,
    EndpointStates { failed, ramps }: EndpointStates,
) -> (Compiler, Vec<Finding>) {
    let mut compiler = Compiler::new(config.clone());
    compiler.node.failed = failed;
    compiler.index.start_with(ramps);
    compiler.compile(cluster, node, drop);
    let findings = compiler.findings().cloned().collect();
    (compiler, findings)
}

/// Returns the findings about the objects of the cluster, in order.
#[must_use]
pub fn lint(cluster: &ClusterState, node: &NodeState, config: &NodeConfig) -> Vec<Finding> {
    compile(cluster, node, config).1
}

/// Keeps the desired tables up to date, by Service and VirtualServer. The cost of a change depends on the
/// changed Services, not on the number of all Services.
#[derive(Debug)]
pub struct Compiler {
    config: NodeConfig,
    node: NodeContext,
    index: ClaimIndex,
    dependents: Dependents,
    shared_addresses: SharedAddresses,
    checks: Checks,
    /// Objects with a finding that they cannot be decoded.
    undecodable: BTreeSet<(ObjectKind, ObjectName)>,
}

impl Compiler {
    /// Creates a compiler without any objects.
    #[must_use]
    pub fn new(config: NodeConfig) -> Self {
        let mut index = ClaimIndex::default();
        index.create_sets(&AddressFamily::ALL);
        let mut compiler = Self {
            config,
            node: NodeContext::default(),
            index,
            dependents: Dependents::default(),
            shared_addresses: SharedAddresses::default(),
            checks: Checks::default(),
            undecodable: BTreeSet::new(),
        };
        compiler.write_rules();
        compiler.write_settings(Machine::default());
        compiler
    }

    /// Sets another configuration. The caller must call [`Compiler::update_all`] next.
    pub fn configure(&mut self, config: NodeConfig) {
        self.config = config;
    }

    /// Returns the desired tables of the node.
    #[must_use]
    pub fn desired(&self) -> &Desired {
        self.index.desired()
    }

    /// Sets results of health checks: the error of a target that fails, or `None` if the target is
    /// healthy again or no longer probed. Returns the Services and VirtualServers whose result
    /// changed; the caller must compile them next.
    pub fn set_health(
        &mut self,
        results: BTreeMap<CheckTarget, Option<Name>>,
    ) -> BTreeSet<ObjectName> {
        let checks = &self.index.desired().checks;
        let mut services = BTreeSet::new();
        for (target, error) in results {
            let is_new = match error {
                Some(error) => {
                    let before = self.node.failed.insert(target.clone(), error.clone());
                    before != Some(error)
                }
                None => self.node.failed.remove(&target).is_some(),
            };
            if is_new {
                services.extend(checks.get(&target).into_iter().flatten().cloned());
            }
        }
        services
    }

    /// Returns the targets of health checks that fail.
    #[must_use]
    pub fn failed_targets(&self) -> &FailedTargets {
        &self.node.failed
    }

    /// Returns the real servers that began to get connections since the last call, at virtual servers
    /// with slow start.
    pub fn take_arrivals(&mut self) -> Arrivals {
        self.index.take_arrivals()
    }

    /// Returns the real servers in a slow start.
    #[must_use]
    pub fn ramps(&self) -> &Ramps {
        self.index.ramps()
    }

    /// Sets the real servers of `key` that are in a slow start, and their steps. Returns true if the
    /// desired virtual server changed. Real servers that get no connections are left out.
    pub fn set_ramps(
        &mut self,
        key: VirtualServerKey,
        steps: BTreeMap<RealServerKey, RampStep>,
    ) -> bool {
        self.index.set_ramps(key, steps)
    }

    /// Returns the desired virtual server `key` as it is after all slow starts.
    #[must_use]
    pub fn without_ramps(&self, key: VirtualServerKey) -> Option<&VirtualServerEntry> {
        self.index.full(key).map(Arc::as_ref)
    }

    /// Returns the targets of health checks whose Services and VirtualServers changed since the last
    /// call, with those that use them now. A target without any is no longer probed.
    pub fn take_check_changes(&mut self) -> BTreeMap<CheckTarget, BTreeSet<ObjectName>> {
        let checks = &self.index.desired().checks;
        (self.checks.take_changed().into_iter())
            .map(|target| {
                let services = checks.get(&target).cloned().unwrap_or_default();
                (target, services)
            })
            .collect()
    }

    /// Returns the addresses at which node ports are served, or `None` if they are served at every
    /// address.
    #[must_use]
    pub fn node_port_addresses(&self) -> Option<&BTreeSet<IpAddr>> {
        match &self.config.node_port_addresses {
            NodePortAddresses::Within(networks) if networks.is_empty() => None,
            _ => Some(&self.node.node_ports),
        }
    }

    /// Returns all findings about the objects of the cluster and the node, each once, in order.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.index.findings()
    }

    /// Returns the findings raised and cleared since the last call, or since the compiler was
    /// created. The cost depends on the changes, not on the number of findings.
    pub fn take_finding_changes(&mut self) -> FindingChanges {
        self.index.take_finding_changes()
    }

    /// Updates the properties of the node, and returns the keys of the entries that changed. An
    /// added or deleted address costs only the Services that depend on it.
    pub fn look_at_node(&mut self, cluster: &ClusterState, node: &NodeState) -> TableKeys {
        let mut keys = self.write_settings(node.machine);
        let missing = self.node.missing.clone();
        let change = self.node.update_node(node, &self.config);
        if missing != self.node.missing {
            keys.merge(self.write_sets());
            keys.merge(self.write_rules());
            self.write_node_findings(cluster);
        }
        keys.merge(self.follow_node(cluster, &change));
        keys.merge(self.settle_node_ports(cluster));
        self.index.settle_findings();
        keys
    }

    /// Estimates the maximum number of entries that [`Self::update`] of `service` compares: the
    /// virtual servers and real servers that the Service has or that its objects request. Slices
    /// are measured, not decoded.
    #[must_use]
    pub fn cost(&self, cluster: &ClusterState, service: &ObjectName) -> usize {
        let now = self.index.size(service);
        if let Some(server) = cluster.virtual_server(service) {
            return now.max(1 + server.real_servers.len());
        }
        let Some(object) = cluster.service(service) else {
            return now;
        };
        let limits = self.config.service_limits;
        let outside = outside_addresses(&object, limits).map(<[_]>::len);
        let addresses = object.cluster_ips.len() + outside.iter().sum::<usize>();
        let node_ports = match object.ports.iter().any(|port| port.node_port.is_some()) {
            true => self.node.node_ports.len(),
            false => 0,
        };
        let frontends = object.ports.len() * (addresses + node_ports);
        let endpoints = cluster.slice_bytes(service) / ENDPOINT_BYTES;
        let asked = frontends.min(limits.entries).saturating_mul(1 + endpoints);
        now.max(asked).max(object.source_ranges.len())
    }

    /// Compiles the Services and VirtualServers that `changed` affects, and returns the keys of the entries that
    /// changed.
    pub fn update(&mut self, cluster: &ClusterState, changed: &Changed) -> TableKeys {
        let mut keys = TableKeys::default();
        let mut change = NodeChange::default();
        if !changed.nodes.is_empty() {
            change.merge(self.node.update_nodes(cluster, &self.config));
            keys.merge(self.write_rules());
            self.write_node_findings(cluster);
        }
        if changed.services.iter().any(ObjectName::is_api_server) {
            change.merge(self.node.update_api_servers(cluster, &self.config));
        }
        keys.merge(self.follow_node(cluster, &change));
        for service in &changed.services {
            keys.merge(self.update_service(cluster, service));
        }
        keys.merge(self.settle_node_ports(cluster));
        self.write_undecodable(cluster, &changed.undecodable);
        self.index.settle_findings();
        keys
    }

    /// Updates the properties of the node, compiles every Service, and returns the keys of the
    /// entries that changed.
    pub fn update_all(&mut self, cluster: &ClusterState, node: &NodeState) -> TableKeys {
        let mut keys = TableKeys::default();
        self.compile(cluster, node, |changed| keys.merge(changed));
        keys
    }

    /// Updates the properties of the node and compiles every Service.
    ///
    /// The keys of changed entries are passed to `changed` piece by piece. In a first compilation
    /// these are all keys, and the caller drops them.
    pub fn compile(
        &mut self,
        cluster: &ClusterState,
        node: &NodeState,
        mut changed: impl FnMut(TableKeys),
    ) {
        changed(self.write_settings(node.machine));
        self.node.update_node(node, &self.config);
        changed(self.write_sets());
        self.node.update_nodes(cluster, &self.config);
        self.node.update_api_servers(cluster, &self.config);
        changed(self.write_rules());
        self.write_node_findings(cluster);
        self.update_services(cluster, &mut changed);
        changed(self.settle_node_ports(cluster));
        let mut undecodable = std::mem::take(&mut self.undecodable);
        undecodable.extend(cluster.undecodable().keys().cloned());
        self.write_undecodable(cluster, &undecodable);
        self.index.settle_findings();
        self.index.pack();
        self.dependents.pack();
        self.checks.pack();
    }

    fn update_services(&mut self, cluster: &ClusterState, changed: &mut impl FnMut(TableKeys)) {
        let mut services: BTreeSet<ObjectName> = cluster.service_names().cloned().collect();
        services.extend((cluster.virtual_servers()).map(|server| server.name.clone()));
        services.extend(cluster.without_service().cloned());
        services.extend(self.index.services().cloned());
        for service in &services {
            changed(self.update_service(cluster, service));
        }
    }

    fn update_service(&mut self, cluster: &ClusterState, name: &ObjectName) -> TableKeys {
        if name.is_virtual_server() {
            return self.update_virtual_server(cluster, name);
        }
        let Some(service) = cluster.service(name) else {
            self.dependents.set(name, None, BTreeSet::new());
            self.shared_addresses.set(name, BTreeSet::new());
            self.index.set_policy(name, None);
            self.set_targets(name, &BTreeSet::new());
            return self.update_without_service(cluster, name);
        };
        let service = self.node.in_served_families(&service);
        let slices: Vec<EndpointSlice> = cluster.slices(name).collect();
        let mut resolved = resolve(&service, &slices, &self.node, &self.config);
        let mut resources = resolved.unserved;
        resources.extend(asked_for(&service, self.config.service_limits));
        self.dependents.set(name, Some(&service), resources);
        let shared = (resolved.frontends.iter())
            .filter(|frontend| frontend.kind == FrontendKind::ClusterIp)
            .map(|frontend| frontend.address)
            .filter(|address| self.node.on_interfaces.contains(address));
        self.shared_addresses.set(name, shared.collect());
        let claims: Box<[_]> = (resolved.frontends.into_iter())
            .map(|frontend| Arc::new(lower(frontend, &self.config)))
            .collect();
        let (every_port, merging) =
            every_port(&service, resolved.scope.as_ref(), &claims, &self.node);
        resolved.findings.extend(merging);
        let part = ServiceClaims {
            created: service.created,
            claims,
            every_port,
            local_endpoints: resolved.local_endpoints,
            health_check: resolved.health_check.map(Box::new),
            without_local: resolved.without_local,
        };
        self.index.set_findings(name, resolved.findings);
        self.index.set_policy(name, resolved.policy);
        self.set_targets(name, &resolved.targets);
        self.index.replace(name, Some(part))
    }

    fn set_targets(&mut self, owner: &ObjectName, targets: &BTreeSet<CheckTarget>) {
        let checks = &mut self.index.desired_mut().checks;
        self.checks.set(owner, targets, checks);
    }

    fn update_virtual_server(&mut self, cluster: &ClusterState, name: &ObjectName) -> TableKeys {
        let Some(server) = cluster.virtual_server(name) else {
            self.dependents.set(name, None, BTreeSet::new());
            self.index.set_findings(name, Vec::new());
            self.index.set_policy(name, None);
            self.set_targets(name, &BTreeSet::new());
            return self.index.replace(name, None);
        };
        let resources = match server.server.key {
            VirtualServerKey::Address { address, port, .. } => {
                [NodeResource::Address(address), NodeResource::Port(port)].into()
            }
            VirtualServerKey::Fwmark { .. } => BTreeSet::new(),
        };
        self.dependents.set(name, None, resources);
        let compiled = compile_static(server, &self.node, &self.config);
        let part = ServiceClaims {
            // The administrator of the node decides before the authors of Services.
            created: Some(i64::MIN),
            claims: compiled.claim.map(Arc::new).into_iter().collect(),
            ..ServiceClaims::default()
        };
        self.index.set_findings(name, compiled.findings);
        self.index.set_policy(name, server.policy.clone());
        self.set_targets(name, &compiled.targets);
        self.index.replace(name, Some(part))
    }

    /// Removes the claims of a deleted Service. For an empty Service name it reports the slices of
    /// the namespace that belong to no Service.
    fn update_without_service(&mut self, cluster: &ClusterState, name: &ObjectName) -> TableKeys {
        let findings = match name.name.is_empty() {
            true => unlabelled(cluster.slices(name)),
            false => Vec::new(),
        };
        // The index keeps the name while it has findings, so that a full compilation clears them.
        let part = (!findings.is_empty()).then(ServiceClaims::default);
        self.index.set_findings(name, findings);
        self.index.replace(name, part)
    }

    /// Compiles the Services that depend on `change`.
    fn follow_node(&mut self, cluster: &ClusterState, change: &NodeChange) -> TableKeys {
        let mut keys = TableKeys::default();
        if change.all_services {
            self.update_services(cluster, &mut |changed| keys.merge(changed));
            return keys;
        }
        let mut resources = change.protected.clone();
        resources.extend((change.addresses.iter()).map(|at| NodeResource::Address(*at)));
        let mut services = BTreeSet::new();
        for resource in resources {
            services.extend(self.dependents.on(resource).cloned());
            services.extend(self.served_at(resource).cloned());
        }
        if change.node_ports {
            services.extend(self.dependents.with_node_ports().cloned());
        }
        for service in &services {
            keys.merge(self.update_service(cluster, service));
        }
        keys
    }

    /// Removes node ports from interface addresses that became cluster IPs, and adds them at
    /// addresses that no longer are (deviation D10).
    fn settle_node_ports(&mut self, cluster: &ClusterState) -> TableKeys {
        let Some(shared) = self.shared_addresses.take_changed() else {
            return TableKeys::default();
        };
        let change = self.node.update_cluster_ips(shared, &self.config);
        self.follow_node(cluster, &change)
    }

    /// Returns the Services with claims at `resource`.
    fn served_at(&self, resource: NodeResource) -> impl Iterator<Item = &ObjectName> {
        let (addresses, wanted) = match resource {
            NodeResource::Address(address) => ([address].into(), None),
            NodeResource::Port(port) => (self.node.own_addresses(), Some(port)),
        };
        (addresses.into_iter())
            .flat_map(|address| self.index.services_at(address))
            .filter(move |(port, _)| wanted.is_none_or(|wanted| wanted == *port))
            .map(|(_, service)| service)
    }

    fn write_node_findings(&mut self, cluster: &ClusterState) {
        let findings = self.node.findings(cluster, &self.config);
        self.index.set_node_findings(findings);
    }

    fn write_undecodable(
        &mut self,
        cluster: &ClusterState,
        objects: &BTreeSet<(ObjectKind, ObjectName)>,
    ) {
        for key in objects {
            let findings = match cluster.undecodable().get(key) {
                Some(why) => {
                    self.undecodable.insert(key.clone());
                    vec![undecodable(key, why)]
                }
                None => {
                    self.undecodable.remove(key);
                    Vec::new()
                }
            };
            self.index.set_undecodable(key.0, &key.1, findings);
        }
    }

    fn write_settings(&mut self, machine: Machine) -> TableKeys {
        let tables = &mut self.index.desired_mut().tables;
        let mut keys = TableKeys::default();
        let sysctls = sysctls(&self.config, machine);
        if tables.sysctls != sysctls {
            keys.sysctls.extend(sysctls.keys().cloned());
            tables.sysctls = sysctls;
        }
        let timeouts = timeouts(&self.config.kernel_settings, machine);
        keys.timeouts = tables.timeouts != timeouts;
        tables.timeouts = timeouts;
        let daemons = self.config.kernel_settings.sync.daemons();
        if tables.sync_daemons != daemons {
            keys.sync_daemons.extend(daemons.keys());
            tables.sync_daemons = daemons;
        }
        keys
    }

    /// Creates the sets of the served families, which must exist before Services request entries,
    /// and removes the other sets.
    fn write_sets(&mut self) -> TableKeys {
        let families: Vec<AddressFamily> = (AddressFamily::ALL.into_iter())
            .filter(|family| self.node.serves(*family))
            .collect();
        TableKeys {
            sets: self.index.create_sets(&families),
            ..TableKeys::default()
        }
    }

    fn write_rules(&mut self) -> TableKeys {
        let masquerade = self.config.masquerade;
        let mut keys = TableKeys::default();
        for family in AddressFamily::ALL {
            if !self.node.serves(family) {
                let known = &mut self.index.desired_mut().tables.rules;
                keys.rules.extend(known.remove(&family).map(|_| family));
                continue;
            }
            let local = self.node.local_traffic(family, &self.config);
            let accepted = self.node.accepted(family, &self.config);
            let rules = rules(family, masquerade, &local, accepted.as_ref());
            let known = &mut self.index.desired_mut().tables.rules;
            if known.get(&family) != Some(&rules) {
                known.insert(family, rules);
                keys.rules.insert(family);
            }
        }
        keys
    }
}

fn undecodable((kind, name): &(ObjectKind, ObjectName), why: &Undecodable) -> Finding {
    Finding {
        code: Code::UndecodableObject,
        kind: kind.as_str(),
        object: name.clone(),
        field: why.field.to_string(),
        problem: format!("the object cannot be decoded: {}", why.problem),
        consequence: "the last decodable version stays in effect; a new object is ignored"
            .to_owned(),
    }
}
