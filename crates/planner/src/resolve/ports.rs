//! Resolves the ports of a Service.

use std::num::NonZeroU16;

use ipvs::Protocol;
use model::cluster::{Parsed, Service, ServicePort};
use model::finding::{Code, Finding};
use model::names::Name;

/// A port that can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UsablePort {
    /// Index in `spec.ports`.
    pub(super) index: usize,
    /// Name of the port; empty if it has none.
    pub(super) name: Name,
    /// TCP, UDP or SCTP.
    pub(super) protocol: Protocol,
    /// Port at the addresses of the Service.
    pub(super) number: NonZeroU16,
    /// Port at the addresses of the node.
    pub(super) node_port: Option<NonZeroU16>,
}

/// Returns the ports of `service` that can be served.
pub(super) fn usable_ports(service: &Service, findings: &mut Vec<Finding>) -> Vec<UsablePort> {
    (service.ports.iter().enumerate())
        .filter_map(|(index, port)| usable(service, index, port, findings))
        .collect()
}

fn usable(
    service: &Service,
    index: usize,
    port: &ServicePort,
    findings: &mut Vec<Finding>,
) -> Option<UsablePort> {
    let mut report = |field: &str, problem: String, consequence: &str| {
        findings.push(Finding {
            code: Code::InvalidServicePort,
            kind: "Service",
            object: service.name.clone(),
            field: format!("spec.ports[{index}].{field}"),
            problem,
            consequence: consequence.to_owned(),
        });
    };
    let mut number = |field: &str, port: &Parsed<NonZeroU16>, consequence: &str| {
        let problem = |text| format!("`{text}` is not a port from 1 to 65535");
        (port.as_result())
            .map_err(|text| report(field, problem(text), consequence))
            .ok()
            .copied()
    };
    let not_served = "this port is not served";
    let at_service = number("port", &port.port, not_served);
    let node_port = (port.node_port.as_ref())
        .and_then(|port| number("nodePort", port, "this port has no node port"));
    let protocol = match port.protocol.as_result() {
        Ok(protocol @ (Protocol::Tcp | Protocol::Udp | Protocol::Sctp)) => Some(*protocol),
        other => {
            let text = other.map_or_else(|text| format!("`{text}`"), ToString::to_string);
            report(
                "protocol",
                format!("{text} is not TCP, UDP or SCTP"),
                not_served,
            );
            None
        }
    };
    Some(UsablePort {
        index,
        name: port.name.clone(),
        protocol: protocol?,
        number: at_service?,
        node_port,
    })
}
