//! One virtual server for every port of a Service at an address, so that a client with session
//! affinity gets one endpoint at all of them ([`AffinityScope::Service`]).
//!
//! [`AffinityScope::Service`]: model::policy::AffinityScope::Service

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipvs::{RealServer, RealServerKey, VirtualServerKey};
use model::cluster::Service;
use model::finding::{Code, Finding};
use model::frontend::FrontendKind;
use model::names::ServicePortName;
use model::policy::{PREFIX, PolicyField};
use model::sets::{SetKind, service_entry};
use model::tables::{VirtualServerEntry, every_port_of};

use super::{Claim, SetEntry};
use crate::explain::PolicyOrigin;
use crate::node_context::NodeContext;

/// Maximum number of findings about one Service.
const MOST_FINDINGS: usize = 8;

/// Consequence for ports that cannot share a virtual server.
const SERVED_ALONE: &str = "each of its ports has an affinity of its own there";

/// Request of a Service for one affinity at all its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScopeRequest {
    /// Origin of the request.
    pub(crate) origin: PolicyOrigin,
    /// True if the Service has a health check. Its result may differ between the ports.
    pub(crate) checked: bool,
}

/// Virtual server for every port of one Service at an address, with one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EveryPort {
    /// The Service, without the name of a port.
    pub(crate) owner: Arc<ServicePortName>,
    /// Virtual server with port 0, and its real servers.
    pub(crate) entry: Arc<VirtualServerEntry>,
    /// Endpoints that get no new flows and keep existing ones.
    pub(crate) finishing: Arc<[RealServerKey]>,
    /// Virtual servers of single ports that it replaces.
    pub(crate) ports: BTreeSet<VirtualServerKey>,
    /// Field that asks for it.
    field: Arc<str>,
}

impl EveryPort {
    /// Returns its key, whose port is 0.
    pub(crate) fn key(&self) -> VirtualServerKey {
        self.entry.server.key
    }

    /// Returns the set entry that marks the virtual server as ours. It matches no packet of a
    /// served port; the entries of the single ports do.
    pub(crate) fn mark(&self) -> SetEntry {
        let key = self.key();
        SetEntry {
            kind: SetKind::ExternalIpLocal,
            family: key.family(),
            entry: service_entry(key),
        }
    }

    /// Returns the finding that another object prevents this virtual server.
    pub(crate) fn lost_to(&self, other: &str) -> Finding {
        Finding {
            code: Code::PolicyWithoutEffect,
            kind: self.owner.service.owner_kind(),
            object: self.owner.service.clone(),
            field: self.field.to_string(),
            problem: format!("{}: {other}", self.key()),
            consequence: SERVED_ALONE.to_owned(),
        }
    }
}

/// Returns the virtual servers that `service` asks for, and findings about addresses at which its
/// ports cannot share one. Findings are returned only for an annotation, since policies of the
/// configuration select many Services.
pub(crate) fn every_port(
    service: &Service,
    request: Option<&ScopeRequest>,
    claims: &[Arc<Claim>],
    node: &NodeContext,
) -> (Box<[Arc<EveryPort>]>, Vec<Finding>) {
    let Some(request) = request else {
        return (Box::default(), Vec::new());
    };
    let field: Arc<str> = match request.origin {
        PolicyOrigin::Annotation => format!(
            "metadata.annotations[{PREFIX}{}]",
            PolicyField::AffinityScope.annotation()
        ),
        PolicyOrigin::Rule(_) | PolicyOrigin::Node => "spec.sessionAffinity".to_owned(),
    }
    .into();
    let mut sites: BTreeMap<VirtualServerKey, Vec<&Claim>> = BTreeMap::new();
    for claim in claims {
        // A virtual server with port 0 at an address of the node would get the packets to every
        // program of the node.
        if claim.kind != FrontendKind::NodePort
            && let Some(key) = every_port_of(claim.entry.server.key)
        {
            sites.entry(key).or_default().push(claim);
        }
    }
    let mut served = Vec::new();
    let mut problems = BTreeSet::new();
    for (key, claims) in sites {
        match of_site(key, &claims, request, node, &field) {
            Ok(group) => served.extend(group.map(Arc::new)),
            Err(problem) => drop(problems.insert(problem)),
        }
    }
    if request.origin != PolicyOrigin::Annotation {
        problems.clear();
    }
    let findings = problems.into_iter().take(MOST_FINDINGS);
    let findings = findings.map(|problem| Finding {
        code: Code::PolicyWithoutEffect,
        kind: "Service",
        object: service.name.clone(),
        field: field.to_string(),
        problem,
        consequence: SERVED_ALONE.to_owned(),
    });
    (served.into(), findings.collect())
}

/// Returns the virtual server for all `claims` at one address; `None` if they are of one port.
///
/// # Errors
///
/// The reason why the ports cannot share a virtual server.
fn of_site(
    key: VirtualServerKey,
    claims: &[&Claim],
    request: &ScopeRequest,
    node: &NodeContext,
    field: &Arc<str>,
) -> Result<Option<EveryPort>, String> {
    let VirtualServerKey::Address { address, .. } = key else {
        return Ok(None);
    };
    let ports: BTreeSet<VirtualServerKey> =
        claims.iter().map(|claim| claim.entry.server.key).collect();
    let Some(first) = claims.first().filter(|_| ports.len() > 1) else {
        return Ok(None);
    };
    let is_unbound = claims.iter().any(|claim| !claim.is_bound);
    if is_unbound || node.on_interfaces.contains(&address) {
        return Err(format!("{address} is an address of this node"));
    }
    for claim in claims {
        let port = port_of(claim);
        let others = claim.entry.real_servers.keys();
        if let Some(other) = others.map(|real| real.port).find(|other| *other != port) {
            return Err(format!(
                "port {port} has endpoints at port {other}; an affinity of all ports needs endpoints with the \
                 port of the Service"
            ));
        }
    }
    let entry = VirtualServerEntry {
        server: ipvs::VirtualServer {
            key,
            ..first.entry.server.clone()
        },
        real_servers: real_servers(claims, request)?.into_iter().collect(),
    };
    let finishing: BTreeSet<RealServerKey> = (claims.iter())
        .flat_map(|claim| {
            claim
                .finishing
                .iter()
                .flat_map(|finishing| finishing.iter())
        })
        .map(|real| at_every_port(real.address))
        .filter(|real| !entry.real_servers.contains_key(real))
        .collect();
    Ok(Some(EveryPort {
        owner: Arc::new(ServicePortName {
            service: first.owner.service.clone(),
            port: "".into(),
            protocol: first.owner.protocol,
        }),
        entry: Arc::new(entry),
        finishing: finishing.into_iter().collect(),
        ports,
        field: field.clone(),
    }))
}

/// Returns the endpoints of all `claims`, each with the smallest of its weights: an endpoint that
/// gets no new connections at one port gets none at the others, as they belong to the same clients.
///
/// # Errors
///
/// The ports have different endpoints, and no health check explains it.
fn real_servers(claims: &[&Claim], request: &ScopeRequest) -> Result<Vec<RealServer>, String> {
    let mut all: BTreeMap<IpAddr, (usize, RealServer, u32)> = BTreeMap::new();
    for real in claims
        .iter()
        .flat_map(|claim| claim.entry.real_servers.values())
    {
        let merged = RealServer {
            key: at_every_port(real.key.address),
            ..*real
        };
        let (count, least, greatest) =
            (all.entry(real.key.address)).or_insert((0, merged, real.weight));
        *count += 1;
        least.weight = least.weight.min(real.weight);
        *greatest = real.weight.max(*greatest);
    }
    let is_common = |(count, ..): &(usize, RealServer, u32)| *count == claims.len();
    let common = all.values().filter(|real| is_common(real)).count();
    if common < all.len() && !(request.checked && common > 0) {
        let lacks = |claim: &&&Claim| claim.entry.real_servers.len() < all.len();
        let port = claims.iter().find(lacks).map_or(0, |claim| port_of(claim));
        return Err(format!(
            "port {port} has other endpoints than the other ports"
        ));
    }
    let common = all.into_values().filter(is_common);
    let (mut least, mut greatest): (Vec<_>, Vec<_>) = common
        .map(|(_, real, greatest)| {
            (
                real,
                RealServer {
                    weight: greatest,
                    ..real
                },
            )
        })
        .unzip();
    // No endpoint gets new connections at every port: each port decides for itself.
    if least.iter().all(|real| real.weight == 0) {
        std::mem::swap(&mut least, &mut greatest);
    }
    Ok(least)
}

fn port_of(claim: &Claim) -> u16 {
    match claim.entry.server.key {
        VirtualServerKey::Address { port, .. } => port,
        VirtualServerKey::Fwmark { .. } => 0,
    }
}

fn at_every_port(address: IpAddr) -> RealServerKey {
    RealServerKey { address, port: 0 }
}
