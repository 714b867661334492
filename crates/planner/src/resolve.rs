//! Kubernetes' rules: which addresses a Service is served at on this node, and by which endpoints.

mod addresses;
mod endpoints;
mod slices;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use ipvs::{AddressFamily, Protocol};
use model::cluster::{EndpointSlice, Service, ServiceKind, ServicePort, TrafficPolicy};
use model::finding::{Code, Finding};
use model::frontend::{Frontend, FrontendKind};
use model::names::{Name, ServicePortName};

use self::endpoints::{Candidates, Policy};

/// What of the node decides between endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeView {
    /// The node's name.
    pub(crate) name: Name,
    /// Its zone.
    pub(crate) zone: Option<Name>,
}

/// The frontends of `service`, and what is wrong with it or its slices.
pub(crate) fn resolve<'a>(
    service: &Service,
    slices: impl Iterator<Item = &'a EndpointSlice>,
    node: &NodeView,
) -> (Vec<Frontend>, Vec<Finding>) {
    if service.kind == ServiceKind::ExternalName || service.cluster_ips.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let slices: Vec<&EndpointSlice> = slices.collect();
    let mut findings = Vec::new();
    for slice in &slices {
        slices::check(slice, &mut findings);
    }
    let addresses = addresses::cluster_ips(service, &mut findings);
    let mut frontends = Vec::new();
    for (index, port) in service.ports.iter().enumerate() {
        let Some((number, protocol)) = usable_port(service, index, port, &mut findings) else {
            continue;
        };
        let owner = ServicePortName {
            service: service.name.clone(),
            port: port.name.clone(),
            protocol,
        };
        let families: BTreeSet<AddressFamily> =
            addresses.iter().map(|at| AddressFamily::of(*at)).collect();
        for family in families {
            let candidates = Candidates::gather(&slices, &port.name, protocol, family, node);
            let policy = match service.internal_policy {
                TrafficPolicy::Cluster => Policy::Cluster,
                TrafficPolicy::Local => Policy::LocalOnly,
            };
            let backends = candidates.choose(policy, node);
            let of_family = |at: &&std::net::IpAddr| AddressFamily::of(**at) == family;
            frontends.extend(addresses.iter().filter(of_family).map(|at| Frontend {
                owner: owner.clone(),
                kind: FrontendKind::ClusterIp,
                address: *at,
                port: number,
                protocol,
                affinity: service.affinity,
                backends: backends.clone(),
            }));
        }
    }
    (frontends, findings)
}

fn usable_port(
    service: &Service,
    index: usize,
    port: &ServicePort,
    findings: &mut Vec<Finding>,
) -> Option<(std::num::NonZeroU16, Protocol)> {
    let mut complain = |field: &str, problem: String| {
        findings.push(Finding {
            code: Code::InvalidServicePort,
            kind: "Service",
            object: service.name.clone(),
            field: format!("spec.ports[{index}].{field}"),
            problem,
            consequence: "this port is not served".to_owned(),
        });
    };
    let number = match port.port.as_result() {
        Ok(number) => Some(*number),
        Err(text) => {
            complain("port", format!("`{text}` is not a port from 1 to 65535"));
            None
        }
    };
    let protocol = match port.protocol.as_result() {
        Ok(protocol @ (Protocol::Tcp | Protocol::Udp | Protocol::Sctp)) => Some(*protocol),
        Ok(other) => {
            complain("protocol", format!("{other} is not TCP, UDP or SCTP"));
            None
        }
        Err(text) => {
            complain("protocol", format!("`{text}` is not TCP, UDP or SCTP"));
            None
        }
    };
    Some((number?, protocol?))
}
