//! Limits of one Service (deviation D23).

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Add;

use ipnetwork::IpNetwork;
use model::cluster::{Parsed, Service};
use model::config::ServiceLimits;
use model::finding::{Code, Finding};
use model::frontend::LocalEndpoint;

/// Returns the external and the load-balancer addresses of `service` within the limit. External
/// addresses come first.
pub(crate) fn outside_addresses(
    service: &Service,
    limits: ServiceLimits,
) -> [&[Parsed<IpAddr>]; 2] {
    let external = first(&service.external_ips, limits.addresses);
    let left = limits.addresses - external.len();
    [external, first(&service.load_balancer_ips, left)]
}

/// Returns the first source ranges of `service` up to the limit. The others admit no client.
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
            &format!("the first {limit} admit clients, the others none"),
        ));
    }
}

/// Removes the endpoint on this node that exceeds the limit, and adds a finding.
pub(super) fn cut_local_endpoints(
    service: &Service,
    limits: ServiceLimits,
    local: &mut BTreeSet<LocalEndpoint>,
    findings: &mut Vec<Finding>,
) {
    let limit = limits.real_servers;
    if local.len() > limit {
        local.pop_last();
        findings.push(finding(
            service,
            "spec.ports",
            format!("more than {limit} endpoints are on this node, and serviceLimits.realServers is {limit}"),
            &format!("{limit} of them reach themselves through the Service"),
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

/// Number of virtual servers, of their entries including source ranges, and of their real servers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    virtual_servers: usize,
    entries: usize,
    real_servers: usize,
}

impl Demand {
    /// Returns the demand of one virtual server.
    pub(super) fn new(ranges: usize, real_servers: usize) -> Self {
        Self {
            virtual_servers: 1,
            entries: 1 + ranges,
            real_servers,
        }
    }

    /// Returns true if the demand is within the limits of one Service.
    pub(super) fn fits(self, limits: ServiceLimits) -> bool {
        self.entries <= limits.entries && self.real_servers <= limits.real_servers
    }
}

impl Add for Demand {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            virtual_servers: self.virtual_servers + other.virtual_servers,
            entries: self.entries + other.entries,
            real_servers: self.real_servers + other.real_servers,
        }
    }
}

/// Demand of one Service: all of it, and the part within the limits.
#[derive(Debug, Default)]
pub(super) struct Budget {
    asked: Demand,
    granted: Demand,
}

impl Budget {
    /// Returns true and charges the budget if a virtual server with this demand fits. A virtual
    /// server that does not fit leaves the budget to later ones.
    pub(super) fn take(&mut self, demand: Demand, limits: ServiceLimits) -> bool {
        self.asked = self.asked + demand;
        let granted = self.granted + demand;
        let fits = granted.fits(limits);
        if fits {
            self.granted = granted;
        }
        fits
    }

    /// Adds a finding for each limit that was exceeded.
    pub(super) fn report(
        &self,
        service: &Service,
        limits: ServiceLimits,
        findings: &mut Vec<Finding>,
    ) {
        let Demand {
            virtual_servers: asked,
            entries,
            real_servers,
        } = self.asked;
        let served = format!(
            "{} virtual servers are served: at cluster IPs first, then in the order of the ports",
            self.granted.virtual_servers
        );
        let mut report = |problem| findings.push(finding(service, "spec.ports", problem, &served));
        let limit = limits.entries;
        if entries > limit {
            report(format!(
                "its {asked} virtual servers and their source ranges are {entries} entries, and serviceLimits.entries is {limit}"
            ));
        }
        let limit = limits.real_servers;
        if real_servers > limit {
            report(format!(
                "its {asked} virtual servers have {real_servers} real servers, and serviceLimits.realServers is {limit}"
            ));
        }
    }
}
