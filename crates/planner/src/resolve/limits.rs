//! Limits of one Service (deviation D23).

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use model::cluster::{Parsed, Service};
use model::config::ServiceLimits;
use model::finding::{Code, Finding};
use model::frontend::FrontendKind;

/// Returns the external and the load-balancer addresses of `service` that are within the limit: the first ones, external ones before
/// the others.
pub(crate) fn outside_addresses(
    service: &Service,
    limits: ServiceLimits,
) -> [&[Parsed<IpAddr>]; 2] {
    let external = first(&service.external_ips, limits.addresses);
    let left = limits.addresses - external.len();
    [external, first(&service.load_balancer_ips, left)]
}

/// Returns the source ranges of `service` that are within the limit: the first ones. The others admit nobody.
pub(super) fn source_ranges(service: &Service, limits: ServiceLimits) -> &[Parsed<IpNetwork>] {
    first(&service.source_ranges, limits.source_ranges)
}

fn first<T>(list: &[T], limit: usize) -> &[T] {
    &list[..list.len().min(limit)]
}

/// Adds a finding for each list of `service` that is longer than its limit.
pub(super) fn check_lists(service: &Service, limits: ServiceLimits, findings: &mut Vec<Finding>) {
    let addresses = service.external_ips.len() + service.load_balancer_ips.len();
    let limit = limits.addresses;
    if addresses > limit {
        let field = if service.external_ips.len() > limit {
            "spec.externalIPs"
        } else {
            "status.loadBalancer.ingress[].ip"
        };
        findings.push(finding(
            service,
            field,
            format!(
                "there are {addresses} external and load-balancer addresses, and serviceLimits.addresses is {limit}"
            ),
            &format!("the first {limit} are served, external ones before the others"),
        ));
    }
    let ranges = service.source_ranges.len();
    let limit = limits.source_ranges;
    if ranges > limit {
        findings.push(finding(
            service,
            "spec.loadBalancerSourceRanges",
            format!("there are {ranges} ranges, and serviceLimits.sourceRanges is {limit}"),
            &format!("the first {limit} admit clients, the others nobody"),
        ));
    }
}

fn finding(service: &Service, field: &str, problem: String, served: &str) -> Finding {
    Finding {
        code: Code::ServiceLimit,
        kind: "Service",
        object: service.name.clone(),
        field: field.to_owned(),
        problem,
        consequence: format!("{served}; split the Service, or raise the limit"),
    }
}

/// The virtual servers and entries for source ranges that one Service may still have. Cluster IPs have a share of their own, so that
/// no list of addresses or ranges takes a Service from the cluster's own clients.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    for_cluster_ips: usize,
    for_others: usize,
    /// Virtual servers that were asked for, and those among them that fit.
    asked: usize,
    granted: usize,
    /// Entries that all of them would need.
    needed: usize,
}

impl Budget {
    /// The budget of a Service with this number of virtual servers at cluster IPs.
    pub(super) fn new(limits: ServiceLimits, at_cluster_ips: usize) -> Self {
        let limit = limits.entries;
        let for_cluster_ips = at_cluster_ips.min(limit);
        Self {
            limit,
            for_cluster_ips,
            for_others: limit - for_cluster_ips,
            asked: 0,
            granted: 0,
            needed: 0,
        }
    }

    /// Returns true if a virtual server with `ranges` source ranges fits, and takes it off the budget then. One that does not fit
    /// leaves the budget to those after it.
    pub(super) fn take(&mut self, kind: FrontendKind, ranges: usize) -> bool {
        let cost = 1 + ranges;
        self.asked += 1;
        self.needed += cost;
        let left = match kind {
            FrontendKind::ClusterIp => &mut self.for_cluster_ips,
            FrontendKind::ExternalIp | FrontendKind::LoadBalancerIp | FrontendKind::NodePort => {
                &mut self.for_others
            }
        };
        let fits = cost <= *left;
        if fits {
            *left -= cost;
            self.granted += 1;
        }
        fits
    }

    /// Adds a finding if something did not fit.
    pub(super) fn report(&self, service: &Service, findings: &mut Vec<Finding>) {
        let Self {
            limit,
            asked,
            granted,
            needed,
            ..
        } = self;
        if granted < asked {
            findings.push(finding(
                service,
                "spec.ports",
                format!(
                    "its {asked} virtual servers and their source ranges are {needed} entries, and serviceLimits.entries is {limit}"
                ),
                &format!(
                    "{granted} virtual servers are served: at cluster IPs first, then in the order of the ports"
                ),
            ));
        }
    }
}
