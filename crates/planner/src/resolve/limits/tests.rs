use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use ipnetwork::{IpNetwork, Ipv4Network};
use ipvs::Protocol;
use model::cluster::{Parsed, Service, ServiceKind};
use model::frontend::{FrontendKind, Sources};

use super::super::{NodeContext, Resolved, resolve};
use crate::testing::{config, port, service};

/// A load balancer with this number of ports, external and load-balancer addresses and source ranges.
fn greedy(ports: u16, external: u8, balanced: u8, ranges: u16) -> Service {
    let address = |third, last| Parsed::Valid(IpAddr::from([203, 0, third, last]));
    let range = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let network = Ipv4Network::new(Ipv4Addr::new(10, high, low, 0), 24).expect("a network");
        Parsed::Valid(IpNetwork::V4(network))
    };
    Service {
        kind: ServiceKind::LoadBalancer,
        ports: (1..=ports)
            .map(|number| port("", number, Protocol::Tcp))
            .collect(),
        external_ips: (0..external).map(|last| address(113, last)).collect(),
        load_balancer_ips: (0..balanced).map(|last| address(114, last)).collect(),
        source_ranges: (0..ranges).map(range).collect(),
        ..service("greedy", &["10.96.0.9"])
    }
}

#[track_caller]
fn resolved(service: &Service, limits: [usize; 3]) -> Resolved {
    let mut config = config();
    let [addresses, source_ranges, entries] = limits;
    config.service_limits = super::ServiceLimits {
        addresses,
        source_ranges,
        entries,
    };
    resolve(service, &[], &NodeContext::default(), &config)
}

/// `served`: number of virtual servers at cluster, external and load-balancer addresses. `findings`: the text of each.
#[track_caller]
fn check(service: &Service, limits: [usize; 3], served: [usize; 3], findings: &[&str]) {
    let resolved = resolved(service, limits);
    let count = |kind| {
        let frontends = resolved.frontends.iter();
        frontends.filter(|frontend| frontend.kind == kind).count()
    };
    let found = [
        FrontendKind::ClusterIp,
        FrontendKind::ExternalIp,
        FrontendKind::LoadBalancerIp,
    ];
    assert_eq!(found.map(count), served);
    let texts: Vec<String> = resolved.findings.iter().map(ToString::to_string).collect();
    assert_eq!(texts, findings);
}

#[test]
fn a_service_within_its_limits_is_served_whole() {
    check(&greedy(2, 3, 2, 4), [5, 4, 28], [2, 6, 4], &[]);
}

#[test]
fn the_first_addresses_are_served() {
    check(
        &greedy(1, 3, 2, 0),
        [4, 9, 99],
        [1, 3, 1],
        &[
            "KIV0118 error Service default/greedy: status.loadBalancer.ingress[].ip: there are 5 external and load-balancer addresses, and serviceLimits.addresses is 4; the first 4 are served, external ones before the others; split the Service, or raise the limit",
        ],
    );
    check(
        &greedy(1, 3, 2, 0),
        [2, 9, 99],
        [1, 2, 0],
        &[
            "KIV0118 error Service default/greedy: spec.externalIPs: there are 5 external and load-balancer addresses, and serviceLimits.addresses is 2; the first 2 are served, external ones before the others; split the Service, or raise the limit",
        ],
    );
}

/// The networks that may connect to the load-balancer address.
fn admitted(service: &Service, limits: [usize; 3]) -> Vec<String> {
    let resolved = resolved(service, limits);
    let mut frontends = resolved.frontends.iter();
    let frontend = frontends.find(|frontend| frontend.kind == FrontendKind::LoadBalancerIp);
    match &frontend.expect("a load balancer").sources {
        Sources::Any => vec!["any".to_owned()],
        Sources::Only { ranges, .. } => ranges.iter().map(ToString::to_string).collect(),
    }
}

/// Ranges over the limit admit nobody: a limit never opens a Service.
#[test]
fn the_first_source_ranges_admit_clients_and_no_other_does() {
    let mut service = greedy(1, 0, 1, 3);
    check(
        &service,
        [9, 2, 99],
        [1, 0, 1],
        &[
            "KIV0118 error Service default/greedy: spec.loadBalancerSourceRanges: there are 3 ranges, and serviceLimits.sourceRanges is 2; the first 2 admit clients, the others nobody; split the Service, or raise the limit",
        ],
    );
    let first = ["10.0.0.0/24", "10.0.1.0/24"];
    assert_eq!(admitted(&service, [9, 2, 99]), first);
    service.source_ranges[0] = Parsed::Invalid("everybody".into());
    service.source_ranges[1] = Parsed::Invalid("nobody".into());
    assert_eq!(admitted(&service, [9, 2, 99]), [""; 0]);
}

#[test]
fn cluster_ips_come_before_all_other_virtual_servers() {
    check(
        &greedy(4, 3, 0, 0),
        [9, 9, 9],
        [4, 5, 0],
        &[
            "KIV0118 error Service default/greedy: spec.ports: its 16 virtual servers and their source ranges are 16 entries, and serviceLimits.entries is 9; 9 virtual servers are served: at cluster IPs first, then in the order of the ports; split the Service, or raise the limit",
        ],
    );
    check(
        &greedy(4, 1, 0, 0),
        [9, 9, 3],
        [3, 0, 0],
        &[
            "KIV0118 error Service default/greedy: spec.ports: its 8 virtual servers and their source ranges are 8 entries, and serviceLimits.entries is 3; 3 virtual servers are served: at cluster IPs first, then in the order of the ports; split the Service, or raise the limit",
        ],
    );
}

/// A virtual server is served with all of its ranges or not at all.
#[test]
fn source_ranges_of_each_virtual_server_count() {
    check(
        &greedy(3, 0, 1, 4),
        [9, 9, 14],
        [3, 0, 2],
        &[
            "KIV0118 error Service default/greedy: spec.ports: its 6 virtual servers and their source ranges are 18 entries, and serviceLimits.entries is 14; 5 virtual servers are served: at cluster IPs first, then in the order of the ports; split the Service, or raise the limit",
        ],
    );
    assert_eq!(admitted(&greedy(3, 0, 1, 4), [9, 9, 14]).len(), 4);
}

/// An external address at which no port fits is not bound.
#[test]
fn an_address_without_virtual_servers_is_not_bound() {
    let resolved = resolved(&greedy(1, 3, 0, 0), [9, 9, 2]);
    let bound: Vec<String> = (resolved.frontends.iter())
        .map(|frontend| format!("{}:{}", frontend.address, NonZeroU16::get(frontend.port)))
        .collect();
    assert_eq!(bound, ["10.96.0.9:1", "203.0.113.0:1"]);
}
