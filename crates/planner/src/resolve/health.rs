//! Resolves `spec.healthCheckNodePort`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU16;

use ipvs::AddressFamily;
use model::cluster::{Service, ServiceKind, TrafficPolicy};
use model::finding::{Code, Finding};
use model::frontend::HealthCheck;

use super::Resolved;
use super::refusals::taken;
use crate::protected::{NodeResource, Protected};

/// Addresses of ready endpoints on this node.
#[derive(Debug, Default)]
pub(super) struct LocalReady(BTreeSet<IpAddr>);

impl LocalReady {
    /// Adds addresses. Each address counts once, whatever its ports.
    pub(super) fn extend(&mut self, addresses: impl Iterator<Item = IpAddr>) {
        self.0.extend(addresses);
    }

    /// Returns the number of endpoints. An endpoint has one address in each of its families.
    fn count(&self) -> usize {
        let ipv4 = self.0.iter().filter(|address| address.is_ipv4()).count();
        ipv4.max(self.0.len() - ipv4)
    }
}

/// Sets the health-check answer of `service`.
///
/// Load balancers ask each node only about Services of type LoadBalancer with externalTrafficPolicy
/// Local. A port that the node itself needs is not opened (deviation D22), since kube-ipvsd and the
/// program of the node would compete for it.
pub(super) fn check(
    service: &Service,
    ready: &LocalReady,
    families: BTreeSet<AddressFamily>,
    protected: &Protected,
    resolved: &mut Resolved,
) {
    let asked = service.kind == ServiceKind::LoadBalancer
        && service.external_policy == TrafficPolicy::Local;
    if !asked {
        return;
    }
    let mut refuse = |code, problem, advice| {
        resolved.findings.push(Finding {
            code,
            kind: "Service",
            object: service.name.clone(),
            field: "spec.healthCheckNodePort".to_owned(),
            problem,
            consequence: format!("load balancers cannot ask this node for endpoints{advice}"),
        });
    };
    let port = match port(service) {
        Ok(port) => port,
        Err(problem) => return refuse(Code::NoHealthCheck, problem, ""),
    };
    if let Some(user) = protected.ports.get(&port.get()) {
        let problem = taken(port.get(), user);
        refuse(Code::HostPort, problem, "; choose another port");
    } else {
        resolved.health_check = Some(HealthCheck {
            port,
            local_endpoints: ready.count(),
            families,
        });
    }
    // In both cases the Service depends on the ports that the node needs.
    resolved.unserved.insert(NodeResource::Port(port.get()));
}

fn port(service: &Service) -> Result<NonZeroU16, String> {
    let given = service.health_check_node_port.as_ref();
    let given = given.ok_or("there is none, and externalTrafficPolicy is Local")?;
    let not_a_port = |text| format!("`{text}` is not a port from 1 to 65535");
    given.as_result().copied().map_err(not_a_port)
}
