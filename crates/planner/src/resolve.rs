//! Applies the rules of Kubernetes: at which addresses a Service is served on this node, and by
//! which endpoints.

mod addresses;
mod answers;
mod checks;
mod endpoints;
mod forwarding;
mod health;
mod limits;
mod policy;
mod ports;
mod ranges;
mod refusals;
mod service_policy;
mod slices;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use ipvs::AddressFamily;
use model::cluster::{EndpointSlice, Service, ServiceKind};
use model::config::NodeConfig;
use model::finding::Finding;
use model::frontend::{Backend, Frontend, FrontendKind, HealthCheck, LocalEndpoint, Sources};
use model::names::ServicePortName;
use model::policy::{CheckTarget, ServicePolicy};
use model::tables::WithoutLocal;

use self::addresses::Addresses;
pub(crate) use self::addresses::reserved_kind;
pub(crate) use self::checks::{CheckNotes, Checks};
use self::endpoints::{Candidates, Skips};
use self::forwarding::{ForwardingNotes, Method};
use self::health::LocalReady;
pub(crate) use self::limits::outside_addresses;
use self::limits::{Budget, Demand};
use self::policy::Policies;
use self::ports::{UsablePort, usable_ports};
use self::ranges::Ranges;
use self::refusals::Refusals;
pub(crate) use self::slices::unlabelled;
use crate::explain::{
    EndpointExplanation, PolicyExplanation, PortExplanation, RefusedAddress, SiteExplanation,
    SiteOutcome,
};
use crate::lower::ScopeRequest;
use crate::node_context::NodeContext;
use crate::protected::NodeResource;

/// One Service as this node serves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Addresses and ports of the Service with their endpoints.
    pub(crate) frontends: Vec<Frontend>,
    /// Endpoints on this node, in any condition.
    pub(crate) local_endpoints: BTreeSet<LocalEndpoint>,
    /// Health-check answer for load balancers.
    pub(crate) health_check: Option<HealthCheck>,
    /// Policies `Local` without an endpoint on this node.
    pub(crate) without_local: WithoutLocal,
    /// Requested addresses and ports at which the Service is not served, the port of its health check,
    /// and endpoints that must not be addresses of nodes. No frontend shows that the Service depends
    /// on them.
    pub(crate) unserved: BTreeSet<NodeResource>,
    /// Policy of the Service; `None` if it sets nothing.
    pub(crate) policy: Option<Arc<ServicePolicy>>,
    /// Request for one affinity at all ports.
    pub(crate) scope: Option<ScopeRequest>,
    /// Endpoints that this node probes for the Service.
    pub(crate) targets: BTreeSet<CheckTarget>,
    /// Findings about the Service and its slices.
    pub(crate) findings: Vec<Finding>,
}

/// Resolves `service` on this node.
pub(crate) fn resolve(
    service: &Service,
    slices: &[EndpointSlice],
    node: &NodeContext,
    config: &NodeConfig,
) -> Resolved {
    resolve_with(service, slices, node, config, &mut None)
}

/// Resolves `service` on this node, and returns the decisions too.
pub(crate) fn resolve_explained(
    service: &Service,
    slices: &[EndpointSlice],
    node: &NodeContext,
    config: &NodeConfig,
) -> (Resolved, Decisions) {
    let mut decisions = Some(Decisions::default());
    let resolved = resolve_with(service, slices, node, config, &mut decisions);
    (resolved, decisions.unwrap_or_default())
}

/// Decisions that a [`Resolved`] does not show.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    /// Requested addresses that are not served.
    pub(crate) refused_addresses: Vec<RefusedAddress>,
    /// Addresses and ports that are not served.
    pub(crate) unserved: Vec<SiteExplanation>,
    /// Ports with their endpoints.
    pub(crate) ports: Vec<PortExplanation>,
    /// Endpoints of families without an address.
    pub(crate) other_families: Vec<EndpointExplanation>,
    /// Values of the policy.
    pub(crate) policy: Vec<PolicyExplanation>,
}

/// Resolves `service`, and records the decisions if `decisions` is given.
fn resolve_with(
    service: &Service,
    slices: &[EndpointSlice],
    node: &NodeContext,
    config: &NodeConfig,
    decisions: &mut Option<Decisions>,
) -> Resolved {
    let mut resolved = Resolved::default();
    if service.kind == ServiceKind::ExternalName || service.cluster_ips.is_empty() {
        return resolved;
    }
    let findings = &mut resolved.findings;
    for slice in slices {
        slices::check(slice, findings);
    }
    limits::check_lists(service, config.service_limits, findings);
    let ports = usable_ports(service, findings);
    let (policy, origins) = service_policy::effective(service, &ports, config, findings);
    let resolver = Resolver {
        service,
        slices,
        node,
        config,
        policy: policy.map(Arc::new),
        addresses: Addresses::of(service, node, config, findings),
        ranges: Ranges::of(service, node, config, findings),
    };
    answers::check(service, slices, &ports, &resolver.addresses, findings);
    let mut notes = Notes {
        decisions: decisions.take(),
        ..Notes::default()
    };
    for pass in resolver.passes(&ports) {
        for port in &ports {
            for family in resolver.addresses.families() {
                resolver.port(port, family, *pass, &mut resolved, &mut notes);
            }
        }
    }
    let asks_node_port = ports.iter().any(|port| port.node_port.is_some());
    let findings = &mut resolved.findings;
    if asks_node_port {
        resolver.addresses.check_node_ports(service, node, findings);
    }
    (notes.budget).report(service, config.service_limits, findings);
    (notes.checks).report(
        service,
        resolver.policy.as_deref(),
        config,
        &origins,
        findings,
    );
    resolved.targets = notes.checks.targets;
    let local = &mut resolved.local_endpoints;
    limits::cut_local_endpoints(service, config.service_limits, local, findings);
    resolved.unserved = notes.refusals.report(service, findings);
    (resolved.unserved).extend(resolver.addresses.refused());
    (resolved.unserved).extend((notes.forwarding).report(service, &origins, findings));
    if ports.is_empty() {
        (resolved.unserved).extend(resolver.addresses.cluster_ips().map(NodeResource::Address));
    }
    if let Some(recorded) = &mut notes.decisions {
        resolver.record_addresses(recorded);
        recorded.policy = service_policy::explain(resolver.policy.as_deref(), &origins, config);
    }
    resolved.policy.clone_from(&resolver.policy);
    resolved.scope = service_policy::scope(service, resolver.policy.as_deref(), &origins);
    *decisions = notes.decisions;
    notes.policies.report(service, findings);
    resolved.without_local = notes.policies.without_local;
    let families = resolver.addresses.families().collect();
    health::check(
        service,
        &notes.ready,
        families,
        &node.protected,
        &mut resolved,
    );
    resolved
}

/// Properties that all ports of one Service share.
struct Resolver<'a> {
    service: &'a Service,
    slices: &'a [EndpointSlice],
    node: &'a NodeContext,
    config: &'a NodeConfig,
    policy: Option<Arc<ServicePolicy>>,
    addresses: Addresses,
    ranges: Ranges,
}

/// Selects the addresses that one pass over the ports of a Service serves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    All,
    ClusterIps,
    Others,
}

impl Pass {
    fn serves(self, kind: FrontendKind) -> bool {
        match self {
            Self::All => true,
            Self::ClusterIps => kind == FrontendKind::ClusterIp,
            Self::Others => kind != FrontendKind::ClusterIp,
        }
    }
}

/// Facts about one Service, collected port by port.
#[derive(Default)]
struct Notes {
    policies: Policies,
    ready: LocalReady,
    refusals: Refusals,
    budget: Budget,
    checks: CheckNotes,
    forwarding: ForwardingNotes,
    /// Decisions for an explanation; `None` if no explanation is requested.
    decisions: Option<Decisions>,
}

impl Notes {
    /// Records that `site` is not served.
    fn unserved(&mut self, site: &Site, port: &UsablePort, outcome: SiteOutcome) {
        if let Some(decisions) = &mut self.decisions {
            decisions.unserved.push(SiteExplanation {
                kind: site.kind,
                address: site.address,
                port: site.port,
                protocol: port.protocol,
                port_name: port.name.clone(),
                outcome,
            });
        }
    }
}

impl PortExplanation {
    fn new(port: &UsablePort, family: AddressFamily, endpoints: Vec<EndpointExplanation>) -> Self {
        Self {
            name: port.name.clone(),
            protocol: port.protocol,
            number: port.number,
            node_port: port.node_port,
            family,
            endpoints,
        }
    }
}

/// An address and port at which a Service port is served.
struct Site {
    kind: FrontendKind,
    address: IpAddr,
    port: NonZeroU16,
    bind: bool,
}

impl Resolver<'_> {
    /// Returns the passes over `ports`.
    ///
    /// If the Service may exceed a limit, cluster IPs are served before all other addresses. A long
    /// list of addresses or ranges then cannot take the Service away from the clients of the
    /// cluster.
    fn passes(&self, ports: &[UsablePort]) -> &'static [Pass] {
        let mut demand = Demand::default();
        for port in ports {
            for family in self.addresses.families() {
                let endpoints = endpoints::offered(self.slices, port, family);
                for site in self.sites(port, family) {
                    demand = demand + Demand::new(self.sources(&site).ranges(), endpoints);
                }
            }
        }
        if demand.fits(self.config.service_limits) {
            &[Pass::All]
        } else {
            &[Pass::ClusterIps, Pass::Others]
        }
    }

    fn port(
        &self,
        port: &UsablePort,
        family: AddressFamily,
        pass: Pass,
        resolved: &mut Resolved,
        notes: &mut Notes,
    ) {
        let mut sites = self.sites(port, family);
        sites.retain(|site| {
            let refused = notes.refusals.refuse(site, port, self.node);
            if refused && pass.serves(site.kind) {
                notes.unserved(site, port, SiteOutcome::HostPort);
            }
            !refused
        });
        let external = sites
            .iter()
            .any(|site| site.kind != FrontendKind::ClusterIp);
        if pass == Pass::Others && !external {
            return;
        }
        let name = &self.config.node_name;
        let mut skips = match notes.decisions {
            Some(_) if pass != Pass::Others => Skips::kept(),
            _ => Skips::default(),
        };
        let candidates = Candidates::gather(self.slices, port, family, name, &mut skips);
        // One endpoint above the limit is kept, so that the excess is detected.
        let room = (self.config.service_limits.real_servers + 1)
            .saturating_sub(resolved.local_endpoints.len());
        resolved
            .local_endpoints
            .extend(candidates.local(port.protocol).take(room));
        notes.ready.extend(candidates.local_ready());
        let zone = self.node.zone.as_ref();
        let choice = candidates.choose(self.service, external, name, zone);
        let policy = self.policy.as_deref();
        let checks = Checks::of(policy, port.protocol, self.config, &self.node.failed);
        let method = Method::of(policy, &candidates, self.node);
        let weights = |backends: &[Backend]| {
            candidates.weights(backends, policy?, name, zone, self.scheduler())
        };
        if let (Some(skipped), Some(decisions)) = (skips.into_kept(), &mut notes.decisions) {
            let external = external.then(|| policy::external(self.service));
            let internal = self.service.internal_policy;
            let mut endpoints = candidates.explain(&choice, internal, external);
            if let Some(checks) = checks {
                let weighted = |policy| {
                    let (backends, _) = choice.backends(policy);
                    (backends, weights(backends))
                };
                let (backends, weights) = weighted(internal);
                checks.explain((backends, weights.as_deref()), &mut endpoints, |endpoint| {
                    Some(&mut endpoint.internal)
                });
                if let Some(external) = external {
                    let (backends, weights) = weighted(external);
                    checks.explain((backends, weights.as_deref()), &mut endpoints, |endpoint| {
                        endpoint.external.as_mut()
                    });
                }
            }
            endpoints.extend(skipped);
            (decisions.ports).push(PortExplanation::new(port, family, endpoints));
        }
        let owner = Arc::new(ServicePortName {
            service: self.service.name.clone(),
            port: port.name.clone(),
            protocol: port.protocol,
        });
        let finishing = candidates.finishing(port.protocol, self.config.service_limits);
        sites.retain(|site| pass.serves(site.kind));
        for site in sites {
            let sources = self.sources(&site);
            let policy = policy::of(self.service, site.kind);
            let (backends, lacks_local) = choice.backends(policy);
            let demand = Demand::new(sources.ranges(), backends.len());
            if !(notes.budget).take(demand, self.config.service_limits) {
                notes.refusals.note(&site);
                notes.unserved(&site, port, SiteOutcome::OverLimit);
                continue;
            }
            (notes.policies).note(site.kind, family, lacks_local && choice.anywhere);
            let method = (method.as_ref()).filter(|method| {
                method.suits(&site, policy, port, backends, &mut notes.forwarding)
            });
            let weighted = (backends.to_vec(), weights(backends));
            let (backends, weights) = match checks {
                Some(checks) => checks.apply(port, weighted, &mut notes.checks),
                None => weighted,
            };
            resolved.frontends.push(Frontend {
                owner: owner.clone(),
                kind: site.kind,
                address: site.address,
                port: site.port,
                protocol: port.protocol,
                affinity: self.service.affinity,
                service_policy: self.policy.clone(),
                bind: site.bind,
                policy,
                lacks_local,
                sources: sources.clone(),
                weights,
                forwarding: method.map(|method| method.methods(&backends)),
                backends,
                finishing: finishing.clone(),
            });
        }
    }

    /// Records the addresses that are not served, and the endpoints that no address can reach.
    fn record_addresses(&self, decisions: &mut Decisions) {
        decisions.refused_addresses = self.addresses.refused_addresses().to_vec();
        let families: Vec<_> = self.addresses.families().map(Some).collect();
        let others = (self.slices.iter()).filter(|slice| !families.contains(&slice.family));
        decisions.other_families = others
            .flat_map(|slice| endpoints::of_other_family(slice, &self.config.node_name))
            .collect();
    }

    fn sites(&self, port: &UsablePort, family: AddressFamily) -> Vec<Site> {
        let mut sites: Vec<Site> = (self.addresses.all(family))
            .map(|(kind, address, bind)| Site {
                kind,
                address,
                port: port.number,
                bind,
            })
            .collect();
        let of_family = |at: &&IpAddr| AddressFamily::of(**at) == family;
        if let Some(node_port) = port.node_port {
            sites.extend(
                self.node
                    .node_ports
                    .iter()
                    .filter(of_family)
                    .map(|at| Site {
                        kind: FrontendKind::NodePort,
                        address: *at,
                        port: node_port,
                        bind: false,
                    }),
            );
        }
        sites
    }

    /// Returns the name of the scheduler.
    fn scheduler(&self) -> &str {
        let chosen = (self.policy.as_deref()).and_then(|policy| policy.scheduler.as_ref());
        chosen.map_or(&self.config.scheduler.0, |chosen| &chosen.0)
    }

    fn sources(&self, site: &Site) -> &Sources {
        match site.kind {
            // As in kube-proxy, source ranges restrict load-balancer addresses only (k/k#33586).
            FrontendKind::LoadBalancerIp => self.ranges.sources(AddressFamily::of(site.address)),
            FrontendKind::ClusterIp | FrontendKind::ExternalIp | FrontendKind::NodePort => {
                &Sources::Any
            }
        }
    }
}
