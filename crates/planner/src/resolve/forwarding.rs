//! Applies the forwarding method of a policy to the endpoints of a Service.
//!
//! Packets that IPVS does not rewrite keep the client's address and the virtual address. That
//! suits an address only if each of its endpoints on other hosts can get such packets: the packets
//! of an address are masqueraded, or keep the client's address, all alike. Endpoints of this node
//! are always masqueraded, since this node has the virtual address and drops answers from it.

use std::collections::{BTreeMap, BTreeSet};

use ipvs::Forwarding;
use model::cluster::{Service, TrafficPolicy};
use model::finding::{Code, Finding};
use model::frontend::{Backend, FrontendKind};
use model::names::Name;
use model::policy::{PolicyField, ServicePolicy};

use super::Site;
use super::endpoints::Candidates;
use super::ports::UsablePort;
use super::service_policy::{Origins, place_of};
use crate::node_context::NodeContext;
use crate::protected::NodeResource;

/// Forwarding method of the endpoints of one Service port in one family.
pub(super) struct Method<'a> {
    method: Forwarding,
    candidates: &'a Candidates<'a>,
    node: &'a NodeContext,
}

/// Facts about the forwarding of one Service.
#[derive(Default)]
pub(super) struct ForwardingNotes {
    /// Endpoints on other hosts. They must not be addresses of Nodes.
    elsewhere: BTreeSet<NodeResource>,
    /// Endpoints that prevent the method, by Service port and obstacle.
    obstacles: BTreeMap<(u16, ipvs::Protocol, Obstacle), BTreeSet<Backend>>,
}

/// Reason why an endpoint cannot get packets that are not rewritten.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    /// It listens at another port than the Service's.
    Port,
    /// Its address is an address of this Node.
    Node(Name),
}

impl<'a> Method<'a> {
    /// Returns the method of a policy; `None` if it masquerades.
    pub(super) fn of(
        policy: Option<&ServicePolicy>,
        candidates: &'a Candidates<'a>,
        node: &'a NodeContext,
    ) -> Option<Self> {
        Some(Self {
            method: policy?.forwarding?.unrewritten()?,
            candidates,
            node,
        })
    }

    /// Returns true if packets to `site` reach `backends` as the policy asks. Records the
    /// endpoints that prevent it.
    pub(super) fn suits(
        &self,
        site: &Site,
        policy: TrafficPolicy,
        port: &UsablePort,
        backends: &[Backend],
        notes: &mut ForwardingNotes,
    ) -> bool {
        let from_outside = matches!(
            site.kind,
            FrontendKind::ExternalIp | FrontendKind::LoadBalancerIp
        );
        if !from_outside || policy == TrafficPolicy::Local {
            return false;
        }
        let mut suits = true;
        for backend in backends.iter().filter(|backend| !self.is_here(backend)) {
            let at = NodeResource::Address(backend.address);
            notes.elsewhere.insert(at);
            let other_node = self.node.other_nodes.get(&backend.address);
            let obstacle = match other_node {
                _ if backend.port != site.port => Obstacle::Port,
                Some(name) => Obstacle::Node(name.clone()),
                None => continue,
            };
            suits = false;
            let key = (port.number.get(), port.protocol, obstacle);
            notes.obstacles.entry(key).or_default().insert(*backend);
        }
        suits
    }

    /// Returns the method of each of `backends`.
    pub(super) fn methods(&self, backends: &[Backend]) -> Vec<Forwarding> {
        let method = |backend: &Backend| match self.is_here(backend) {
            true => Forwarding::Masquerade,
            false => self.method,
        };
        backends.iter().map(method).collect()
    }

    fn is_here(&self, backend: &Backend) -> bool {
        self.candidates.is_local(backend) || self.node.is_own(backend.address)
    }
}

impl ForwardingNotes {
    /// Reports the endpoints that prevent the method of the policy, and returns the addresses on
    /// which the method depends.
    pub(super) fn report(
        self,
        service: &Service,
        origins: &Origins,
        findings: &mut Vec<Finding>,
    ) -> BTreeSet<NodeResource> {
        for ((port, protocol, obstacle), backends) in &self.obstacles {
            let Some(first) = backends.first() else {
                continue;
            };
            let more = match backends.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let first = std::net::SocketAddr::new(first.address, first.port.get());
            let (problem, remedy) = match obstacle {
                Obstacle::Port => (
                    format!(
                        "endpoint {first}{more} of port {port}/{protocol} cannot get packets to port \
                         {port}, which only masquerading changes"
                    ),
                    "let the endpoints listen at the port of the Service",
                ),
                Obstacle::Node(name) => (
                    format!(
                        "endpoint {first}{more} of port {port}/{protocol} has the address of Node {name}, \
                         whose own proxy would balance the packets again"
                    ),
                    "use endpoints with addresses of their own",
                ),
            };
            findings.push(Finding {
                code: Code::ForwardingNotUsed,
                kind: "Service",
                object: service.name.clone(),
                field: place_of(PolicyField::Forwarding, origins),
                problem,
                consequence: format!(
                    "packets to its addresses from outside are masqueraded at this port; {remedy}"
                ),
            });
        }
        self.elsewhere
    }
}
