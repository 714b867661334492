//! `spec.healthCheckNodePort`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU16;

use ipvs::AddressFamily;
use model::cluster::{Service, ServiceKind, TrafficPolicy};
use model::finding::{Code, Finding};
use model::frontend::HealthCheck;

/// Addresses of ready endpoints on this node.
#[derive(Debug, Default)]
pub(super) struct LocalReady(BTreeSet<IpAddr>);

impl LocalReady {
    /// Adds addresses; each counts once, whatever its ports.
    pub(super) fn extend(&mut self, addresses: impl Iterator<Item = IpAddr>) {
        self.0.extend(addresses);
    }

    /// Returns the number of these endpoints: one has an address in each of its families.
    fn count(&self) -> usize {
        let ipv4 = self.0.iter().filter(|address| address.is_ipv4()).count();
        ipv4.max(self.0.len() - ipv4)
    }
}

/// Returns the answer to load balancers about `service`. Only those with type LoadBalancer and externalTrafficPolicy Local ask
/// each node.
pub(super) fn check(
    service: &Service,
    ready: &LocalReady,
    families: BTreeSet<AddressFamily>,
    findings: &mut Vec<Finding>,
) -> Option<HealthCheck> {
    let asked = service.kind == ServiceKind::LoadBalancer
        && service.external_policy == TrafficPolicy::Local;
    if !asked {
        return None;
    }
    port(service)
        .map_err(|problem| {
            findings.push(Finding {
                code: Code::NoHealthCheck,
                kind: "Service",
                object: service.name.clone(),
                field: "spec.healthCheckNodePort".to_owned(),
                problem,
                consequence: "load balancers cannot ask this node for endpoints".to_owned(),
            });
        })
        .ok()
        .map(|port| HealthCheck {
            port,
            local_endpoints: ready.count(),
            families,
        })
}

fn port(service: &Service) -> Result<NonZeroU16, String> {
    let given = service.health_check_node_port.as_ref();
    let given = given.ok_or("there is none, and externalTrafficPolicy is Local")?;
    let not_a_port = |text| format!("`{text}` is not a port from 1 to 65535");
    given.as_result().copied().map_err(not_a_port)
}
