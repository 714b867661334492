//! Explains how one Service is served on this node: which addresses and endpoints are used, and why
//! the others are not.
//!
//! An explanation is a record of the decisions of `resolve`, not a second set of rules.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use ipset::{Entry, SetName};
use ipvs::{AddressFamily, Protocol, VirtualServer};
use model::cluster::{ClusterState, EndpointSlice, Parsed, Service};
use model::finding::{Code, Finding};
use model::frontend::{Frontend, FrontendKind, HealthCheck};
use model::names::{Name, ObjectName};
use model::policy::PolicyField;
use model::tables::{Desired, every_port_of};

use crate::lower::{bound, every_port, lower};
use crate::owners::Claims;
use crate::resolve::resolve_explained;

/// One Service as this node serves it, with the reasons.
#[derive(Clone, Debug)]
pub struct ServiceExplanation {
    /// The Service, without addresses of a family that the node does not serve.
    pub service: Service,
    /// Requested addresses that are not served at any port.
    pub refused_addresses: Vec<RefusedAddress>,
    /// Requested addresses and ports, and how each is served.
    pub sites: Vec<SiteExplanation>,
    /// Ports of the Service, once for each family of its addresses.
    pub ports: Vec<PortExplanation>,
    /// Endpoints of slices whose address type the Service has no cluster IP of.
    pub other_families: Vec<EndpointExplanation>,
    /// Number of slices of the Service.
    pub slices: usize,
    /// Answer at the health-check node port.
    pub health_check: Option<HealthCheck>,
    /// Values of the Service's policy, and those of the node that apply without one.
    pub policy: Vec<PolicyExplanation>,
    /// Findings about the Service and its slices, except clashes with other Services.
    pub findings: Vec<Finding>,
}

/// A value of a Service's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyExplanation {
    /// The field.
    pub field: PolicyField,
    /// The value as an annotation holds it.
    pub value: String,
    /// Origin of the value.
    pub origin: PolicyOrigin,
}

/// Origin of a value of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyOrigin {
    /// An annotation of the Service.
    Annotation,
    /// The rule of `servicePolicies` with this name.
    Rule(Name),
    /// The configuration of the node.
    Node,
}

/// Prints the origin: `servicePolicies[batch]`.
impl fmt::Display for PolicyOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Annotation => f.write_str("annotation"),
            Self::Rule(name) => write!(f, "servicePolicies[{name}]"),
            Self::Node => f.write_str("configuration"),
        }
    }
}

/// A requested address that is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedAddress {
    /// Kind of the address.
    pub kind: FrontendKind,
    /// The address, or text that is not an address.
    pub address: Parsed<IpAddr>,
    /// Code of the finding.
    pub code: Code,
    /// Reason, as in the finding.
    pub problem: String,
}

/// A requested address and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteExplanation {
    /// Kind of the address.
    pub kind: FrontendKind,
    /// The address.
    pub address: IpAddr,
    /// The port at the address.
    pub port: NonZeroU16,
    /// Protocol of the port.
    pub protocol: Protocol,
    /// Name of the Service port; empty if it has none.
    pub port_name: Name,
    /// The result.
    pub outcome: SiteOutcome,
}

/// An address and port as they are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteOutcome {
    /// The node serves the frontend.
    Served(Box<ServedSite>),
    /// The node itself needs the port.
    HostPort,
    /// The Service exceeds a limit of `serviceLimits`.
    OverLimit,
    /// Another Service port is served there.
    Clash(ObjectName),
}

/// A served frontend and the entries that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedSite {
    /// The frontend.
    pub frontend: Frontend,
    /// Desired virtual server.
    pub virtual_server: VirtualServer,
    /// Desired set entries, by which the rules match the frontend.
    pub set_entries: Vec<(SetName, Entry)>,
}

impl SiteOutcome {
    /// Returns the code of the finding, or `None` if the address and port are served.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Served(_) => None,
            Self::HostPort => Some(Code::HostPort),
            Self::OverLimit => Some(Code::ServiceLimit),
            Self::Clash(_) => Some(Code::ServiceClash),
        }
    }
}

/// A port of the Service in one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortExplanation {
    /// Name of the port; empty if it has none.
    pub name: Name,
    /// Protocol of the port.
    pub protocol: Protocol,
    /// The port at the Service's addresses.
    pub number: NonZeroU16,
    /// The port at the node's addresses.
    pub node_port: Option<NonZeroU16>,
    /// Family of the addresses and endpoints.
    pub family: AddressFamily,
    /// Every endpoint of the slices of this family.
    pub endpoints: Vec<EndpointExplanation>,
}

/// An endpoint of a slice, with the decision about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointExplanation {
    /// The slice.
    pub slice: ObjectName,
    /// The address, or text that is not an address.
    pub address: Parsed<IpAddr>,
    /// The port of the endpoint; `None` if the endpoint does not serve the Service port.
    pub port: Option<NonZeroU16>,
    /// Node of the endpoint.
    pub node: Option<Name>,
    /// True if the endpoint is on this node.
    pub local: bool,
    /// Decision for traffic to cluster IPs.
    pub internal: EndpointVerdict,
    /// Decision for traffic to other addresses; `None` if there are none or if no endpoint serves
    /// the port.
    pub external: Option<EndpointVerdict>,
}

impl EndpointExplanation {
    /// Returns true if some traffic uses the endpoint.
    #[must_use]
    pub fn is_chosen(&self) -> bool {
        self.internal.is_chosen()
            || self
                .external
                .as_ref()
                .is_some_and(EndpointVerdict::is_chosen)
    }
}

/// Decision about an endpoint of one Service port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointVerdict {
    /// Used: it is ready.
    Ready,
    /// Used: it terminates and still serves, and no endpoint within reach is ready (KEP-1669).
    LastResort,
    /// Not used: it is not ready.
    NotReady,
    /// Not used: it terminates and still serves, and other endpoints are ready.
    Terminating,
    /// Not used: it terminates and no longer serves.
    Stopped,
    /// Not used: its hints name other nodes (KEP-3015).
    HintOfOtherNode,
    /// Not used: its hints name other zones (KEP-2433).
    HintOfOtherZone,
    /// Not used: the traffic policy is Local.
    NotOnThisNode,
    /// Not used: the Service has no address of this family.
    OtherFamily,
    /// Not used: its slice has no port with the name and protocol of the Service port.
    PortNotOffered,
    /// Not used: no real server can have the address. The text is the problem.
    UnusableAddress(String),
    /// Not used: another entry for the same address and port precedes it. The name is that of the
    /// other entry's slice.
    Duplicate(ObjectName),
    /// Gets no new connections: it fails the health check of the Service. The text is the last
    /// error.
    HealthCheckFailed(String),
}

impl EndpointVerdict {
    /// Returns true if the endpoint is used.
    #[must_use]
    pub fn is_chosen(&self) -> bool {
        matches!(self, Self::Ready | Self::LastResort)
    }

    /// Returns a name for programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::LastResort => "LastResort",
            Self::NotReady => "NotReady",
            Self::Terminating => "Terminating",
            Self::Stopped => "Stopped",
            Self::HintOfOtherNode => "HintOfOtherNode",
            Self::HintOfOtherZone => "HintOfOtherZone",
            Self::NotOnThisNode => "NotOnThisNode",
            Self::OtherFamily => "OtherFamily",
            Self::PortNotOffered => "PortNotOffered",
            Self::UnusableAddress(_) => "UnusableAddress",
            Self::Duplicate(_) => "Duplicate",
            Self::HealthCheckFailed(_) => "HealthCheckFailed",
        }
    }
}

/// Prints the reason: `terminating, other endpoints are ready`.
impl fmt::Display for EndpointVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::LastResort => f.write_str("terminating and serving, no endpoint is ready"),
            Self::NotReady => f.write_str("not ready"),
            Self::Terminating => f.write_str("terminating, other endpoints are ready"),
            Self::Stopped => f.write_str("terminating, no longer serving"),
            Self::HintOfOtherNode => f.write_str("its hints name other nodes"),
            Self::HintOfOtherZone => f.write_str("its hints name other zones"),
            Self::NotOnThisNode => f.write_str("not on this node, the policy is Local"),
            Self::OtherFamily => f.write_str("the Service has no address of its family"),
            Self::PortNotOffered => {
                f.write_str("its slice has no port with this name and protocol")
            }
            Self::UnusableAddress(problem) => f.write_str(problem),
            Self::Duplicate(slice) => write!(f, "duplicate, the entry of {} is used", slice.name),
            Self::HealthCheckFailed(error) => write!(f, "health check failed: {error}"),
        }
    }
}

impl Claims {
    /// Explains how `service` of `cluster` is served. Returns `None` if the cluster has no such
    /// Service.
    ///
    /// `cluster` and `desired` must be those of the compilation with these claims: the explanation
    /// follows its properties of the node and its clashes.
    #[must_use]
    pub fn explain(
        &self,
        cluster: &ClusterState,
        desired: &Desired,
        service: &ObjectName,
    ) -> Option<ServiceExplanation> {
        let service = cluster.service(service)?;
        let service = self.node.in_served_families(&service).into_owned();
        let slices: Vec<EndpointSlice> = cluster.slices(&service.name).collect();
        let (mut resolved, decisions) =
            resolve_explained(&service, &slices, &self.node, &self.config);
        if resolved.scope.is_some() {
            let claims: Vec<_> = (resolved.frontends.iter())
                .map(|frontend| Arc::new(lower(frontend.clone(), &self.config)))
                .collect();
            let (_, merging) = every_port(&service, resolved.scope.as_ref(), &claims, &self.node);
            resolved.findings.extend(merging);
        }
        let served =
            (resolved.frontends.into_iter()).map(|frontend| self.served(desired, frontend));
        let mut sites: Vec<SiteExplanation> = served.chain(decisions.unserved).collect();
        sites.sort_by_key(|site| (site.kind, site.address, site.port, site.protocol));
        Some(ServiceExplanation {
            refused_addresses: decisions.refused_addresses,
            sites,
            ports: decisions.ports,
            other_families: decisions.other_families,
            policy: decisions.policy,
            slices: slices.len(),
            health_check: resolved.health_check,
            findings: resolved.findings,
            service,
        })
    }

    /// Returns the site of `frontend`, which another Service may have won.
    fn served(&self, desired: &Desired, frontend: Frontend) -> SiteExplanation {
        let claim = lower(frontend.clone(), &self.config);
        let key = claim.entry.server.key;
        let winner = desired.owner(key);
        let merged = every_port_of(key).filter(|_| desired.merged_ports.contains_key(&key));
        let serving = merged.and_then(|key| desired.tables.virtual_servers.get(&key));
        let virtual_server = serving.unwrap_or(&claim.entry).server.clone();
        let other = winner.filter(|winner| ***winner != *frontend.owner);
        SiteExplanation {
            kind: frontend.kind,
            address: frontend.address,
            port: frontend.port,
            protocol: frontend.protocol,
            port_name: frontend.owner.port.clone(),
            outcome: match other {
                Some(winner) => SiteOutcome::Clash(winner.service.clone()),
                None => SiteOutcome::Served(Box::new(ServedSite {
                    set_entries: (claim.set_entries.iter().copied())
                        .chain(claim.bound().map(bound))
                        .map(|place| (place.kind.name(place.family), place.entry))
                        .collect(),
                    virtual_server,
                    frontend,
                })),
            },
        }
    }
}
