//! Resolves `spec.loadBalancerSourceRanges`.

use std::collections::BTreeSet;

use ipnetwork::IpNetwork;
use ipvs::AddressFamily;
use model::cluster::Service;
use model::config::NodeConfig;
use model::finding::{Code, Finding};
use model::frontend::Sources;

use super::addresses::text;
use super::limits;
use crate::node_context::NodeContext;

/// Clients that may connect to the load-balancer addresses of a Service.
///
/// Ranges fail closed: a Service with ranges admits no other client, in either family (deviation
/// D11). Two cases open a family:
/// - a range of length 0 in this family, as in Kubernetes since 1.34
/// - a range of length 0 in the other family, if all ranges are valid and none is of this family
#[derive(Debug)]
pub(super) struct Ranges {
    ipv4: Sources,
    ipv6: Sources,
}

impl Ranges {
    /// Returns the ranges of `service`.
    pub(super) fn of(
        service: &Service,
        node: &NodeContext,
        config: &NodeConfig,
        findings: &mut Vec<Finding>,
    ) -> Self {
        if service.source_ranges.is_empty() {
            return Self {
                ipv4: Sources::Any,
                ipv6: Sources::Any,
            };
        }
        let valid = valid(service, config, findings);
        // An invalid range, or a range over the limit, may have been meant for either family.
        let all_known = valid.len() == service.source_ranges.len();
        let open_to_all = valid.iter().any(|range| range.prefix() == 0);
        let sources = |family| {
            let ranges: BTreeSet<IpNetwork> = (valid.iter().copied())
                .filter(|range| AddressFamily::of(range.ip()) == family)
                .collect();
            if ranges.iter().any(|range| range.prefix() == 0)
                || ranges.is_empty() && open_to_all && all_known
            {
                return Sources::Any;
            }
            let primary = node.primary(family, config);
            Sources::Only {
                node: ranges.iter().any(|range| range.contains(primary)),
                ranges,
            }
        };
        let found = Self {
            ipv4: sources(AddressFamily::Ipv4),
            ipv6: sources(AddressFamily::Ipv6),
        };
        found.report_closed_families(service, &valid, findings);
        found
    }

    /// Returns the clients that may connect in `family`.
    pub(super) fn sources(&self, family: AddressFamily) -> &Sources {
        match family {
            AddressFamily::Ipv4 => &self.ipv4,
            AddressFamily::Ipv6 => &self.ipv6,
        }
    }

    /// Adds a finding for each family with addresses that ranges of the other family close.
    fn report_closed_families(
        &self,
        service: &Service,
        valid: &[IpNetwork],
        findings: &mut Vec<Finding>,
    ) {
        for family in AddressFamily::ALL {
            let served = (service.load_balancer_ips.iter())
                .filter_map(|address| address.as_result().ok())
                .any(|address| AddressFamily::of(*address) == family);
            let closed =
                matches!(self.sources(family), Sources::Only { ranges, .. } if ranges.is_empty());
            if served && closed && !valid.is_empty() {
                let name = text(family);
                findings.push(Finding {
                    code: Code::NoSourceRangeOfFamily,
                    kind: "Service",
                    object: service.name.clone(),
                    field: "spec.loadBalancerSourceRanges".to_owned(),
                    problem: format!("no range is of {name}, and a load-balancer address is"),
                    consequence: format!("no client is admitted by {name}"),
                });
            }
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
                consequence: "it admits no client".to_owned(),
            }),
        }
    }
    valid
}

/// Describes the problem of the invalid range `text`.
fn problem(text: &str) -> String {
    if text.trim().is_empty() {
        "it is empty, and a network such as 192.0.2.0/24 is expected".to_owned()
    } else {
        format!("`{text}` is not a network such as 192.0.2.0/24")
    }
}
