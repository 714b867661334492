//! `spec.loadBalancerSourceRanges`.

use std::collections::BTreeSet;

use ipnetwork::IpNetwork;
use ipvs::AddressFamily;
use model::cluster::Service;
use model::config::NodeConfig;
use model::finding::{Code, Finding};
use model::frontend::Sources;

use super::limits;
use crate::node_context::{FAMILIES, NodeContext};

/// The clients that may connect to the load-balancer addresses of a Service. Ranges fail closed: a Service that has any admits
/// no other client, in neither family (deviation D11). A range of length 0 restricts nothing, in neither family, as in Kubernetes
/// since 1.34.
#[derive(Debug)]
pub(super) struct Ranges {
    /// `None` if the Service restricts nothing.
    by_family: Option<[Sources; 2]>,
}

impl Ranges {
    /// The ranges of `service`.
    pub(super) fn of(
        service: &Service,
        node: &NodeContext,
        config: &NodeConfig,
        findings: &mut Vec<Finding>,
    ) -> Self {
        if service.source_ranges.is_empty() {
            return Self { by_family: None };
        }
        let valid = valid(service, config, findings);
        if valid.iter().any(|range| range.prefix() == 0) {
            return Self { by_family: None };
        }
        let by_family = FAMILIES.map(|family| {
            let ranges: BTreeSet<IpNetwork> = (valid.iter().copied())
                .filter(|range| AddressFamily::of(range.ip()) == family)
                .collect();
            let primary = node.primary(family, config);
            Sources::Only {
                node: ranges.iter().any(|range| range.contains(primary)),
                ranges,
            }
        });
        report_other_family(service, &valid, findings);
        Self {
            by_family: Some(by_family),
        }
    }

    /// Returns the clients that may connect in `family`.
    pub(super) fn sources(&self, family: AddressFamily) -> &Sources {
        match (&self.by_family, family) {
            (None, _) => &Sources::Any,
            (Some([sources, _]), AddressFamily::Ipv4)
            | (Some([_, sources]), AddressFamily::Ipv6) => sources,
        }
    }
}

fn valid(service: &Service, config: &NodeConfig, findings: &mut Vec<Finding>) -> Vec<IpNetwork> {
    let mut valid = Vec::new();
    let ranges = limits::source_ranges(service, config.service_limits);
    for (index, range) in ranges.iter().enumerate() {
        match range.as_result() {
            Ok(range) => valid.push(*range),
            Err(text) => findings.push(Finding {
                code: Code::InvalidSourceRange,
                kind: "Service",
                object: service.name.clone(),
                field: format!("spec.loadBalancerSourceRanges[{index}]"),
                problem: problem(text),
                consequence: "it admits nobody".to_owned(),
            }),
        }
    }
    valid
}

/// The problem with a range that is `text`.
fn problem(text: &str) -> String {
    if text.trim().is_empty() {
        "it is empty, and a network such as 192.0.2.0/24 is expected".to_owned()
    } else {
        format!("`{text}` is not a network such as 192.0.2.0/24")
    }
}

/// Ranges of one family alone shut the other one: said where the Service has addresses there.
fn report_other_family(service: &Service, valid: &[IpNetwork], findings: &mut Vec<Finding>) {
    for family in FAMILIES {
        let served = (service.load_balancer_ips.iter())
            .filter_map(|address| address.as_result().ok())
            .any(|address| AddressFamily::of(*address) == family);
        let ranged = |range: &IpNetwork| AddressFamily::of(range.ip()) == family;
        if served && !valid.is_empty() && !valid.iter().any(ranged) {
            let name = match family {
                AddressFamily::Ipv4 => "IPv4",
                AddressFamily::Ipv6 => "IPv6",
            };
            findings.push(Finding {
                code: Code::NoSourceRangeOfFamily,
                kind: "Service",
                object: service.name.clone(),
                field: "spec.loadBalancerSourceRanges".to_owned(),
                problem: format!("no range is of {name}, and a load-balancer address is"),
                consequence: format!("nobody is admitted by {name}"),
            });
        }
    }
}
