//! The addresses of a Service.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::cluster::{Parsed, Service};
use model::finding::{Code, Finding};

/// The usable cluster IPs, each once.
pub(super) fn cluster_ips(service: &Service, findings: &mut Vec<Finding>) -> BTreeSet<IpAddr> {
    usable(service, "spec.clusterIPs", &service.cluster_ips, findings)
}

fn usable(
    service: &Service,
    field: &str,
    addresses: &[Parsed<IpAddr>],
    findings: &mut Vec<Finding>,
) -> BTreeSet<IpAddr> {
    let mut usable = BTreeSet::new();
    for (index, address) in addresses.iter().enumerate() {
        let problem = match address.as_result() {
            Ok(address) => match never_virtual(*address) {
                None => {
                    usable.insert(*address);
                    continue;
                }
                Some(what) => format!("{address} is {what}"),
            },
            Err(text) => format!("`{text}` is not an IP address"),
        };
        findings.push(Finding {
            code: Code::InvalidServiceAddress,
            kind: "Service",
            object: service.name.clone(),
            field: format!("{field}[{index}]"),
            problem,
            consequence: "this address is not served".to_owned(),
        });
    }
    usable
}

/// Why an address can be no Service's: on the dummy device it would take the node apart.
fn never_virtual(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("the unspecified address")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST) {
        Some("the broadcast address")
    } else {
        None
    }
}
