use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use ipnetwork::{IpNetwork, Ipv4Network};
use ipvs::Protocol;
use model::cluster::{
    Endpoint, EndpointPort, EndpointSlice, Parsed, Service, ServiceKind, TrafficPolicy,
};
use model::frontend::{FrontendKind, Sources};

use super::super::{NodeContext, Resolved, resolve};
use crate::testing::{config, is_mistake, port, service, slice, texts};

/// Returns a load balancer with this number of ports, external and load-balancer addresses and
/// source ranges.
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
        ..config.service_limits
    };
    resolve(service, &[], &NodeContext::default(), &config)
}

/// Checks the number of virtual servers at cluster, external and load-balancer addresses, and the
/// field, problem and first consequence of the finding.
#[track_caller]
fn check(resolved: &Resolved, served: [usize; 3], finding: Option<&str>) {
    let count = |kind| {
        let frontends = resolved.frontends.iter();
        frontends.filter(|frontend| frontend.kind == kind).count()
    };
    let found = [
        FrontendKind::ClusterIp,
        FrontendKind::ExternalIp,
        FrontendKind::LoadBalancerIp,
    ];
    assert_eq!(found.map(count), served, "{finding:?}");
    let expected = finding.map(|finding| {
        format!(
            "KIV0118 error Service default/greedy: {finding}; split the Service, or raise the limit"
        )
    });
    let mistakes = (resolved.findings.iter()).filter(|finding| is_mistake(finding));
    assert_eq!(texts(mistakes), Vec::from_iter(expected));
}

/// A virtual server is served with all of its ranges or not at all.
#[test]
fn a_service_is_served_up_to_its_limits() {
    for (service, limits, served, finding) in [
        (greedy(2, 3, 2, 4), [5, 4, 28], [2, 6, 4], None),
        (
            greedy(1, 3, 2, 0),
            [4, 9, 99],
            [1, 3, 1],
            Some(
                "status.loadBalancer.ingress[].ip: there are 5 external and load-balancer addresses, and serviceLimits.addresses is 4; the first 4 are served, external ones before the others",
            ),
        ),
        (
            greedy(1, 3, 2, 0),
            [2, 9, 99],
            [1, 2, 0],
            Some(
                "spec.externalIPs: there are 5 external and load-balancer addresses, and serviceLimits.addresses is 2; the first 2 are served, external ones before the others",
            ),
        ),
        (
            greedy(4, 3, 0, 0),
            [9, 9, 9],
            [4, 5, 0],
            Some(
                "spec.ports: its 16 virtual servers and their source ranges are 16 entries, and serviceLimits.entries is 9; 9 virtual servers are served: at cluster IPs first, then in the order of the ports",
            ),
        ),
        (
            greedy(4, 1, 0, 0),
            [9, 9, 3],
            [3, 0, 0],
            Some(
                "spec.ports: its 8 virtual servers and their source ranges are 8 entries, and serviceLimits.entries is 3; 3 virtual servers are served: at cluster IPs first, then in the order of the ports",
            ),
        ),
        (
            greedy(3, 0, 1, 4),
            [9, 9, 14],
            [3, 0, 2],
            Some(
                "spec.ports: its 6 virtual servers and their source ranges are 18 entries, and serviceLimits.entries is 14; 5 virtual servers are served: at cluster IPs first, then in the order of the ports",
            ),
        ),
    ] {
        check(&resolved(&service, limits), served, finding);
    }
    assert_eq!(admitted(&greedy(3, 0, 1, 4), [9, 9, 14]).len(), 4);
}

/// Returns the networks that may connect to the load-balancer address.
fn admitted(service: &Service, limits: [usize; 3]) -> Vec<String> {
    let resolved = resolved(service, limits);
    let mut frontends = resolved.frontends.iter();
    let frontend = frontends.find(|frontend| frontend.kind == FrontendKind::LoadBalancerIp);
    match &frontend.expect("a load-balancer frontend").sources {
        Sources::Any => vec!["any".to_owned()],
        Sources::Only { ranges, .. } => ranges.iter().map(ToString::to_string).collect(),
    }
}

/// Ranges over the limit admit no client. A limit never opens a Service.
#[test]
fn only_the_first_source_ranges_admit_clients() {
    let mut service = greedy(1, 0, 1, 3);
    check(
        &resolved(&service, [9, 2, 99]),
        [1, 0, 1],
        Some(
            "spec.loadBalancerSourceRanges: there are 3 ranges, and serviceLimits.sourceRanges is 2; the first 2 admit clients, the others none",
        ),
    );
    let first = ["10.0.0.0/24", "10.0.1.0/24"];
    assert_eq!(admitted(&service, [9, 2, 99]), first);
    service.source_ranges[0] = Parsed::Invalid("everybody".into());
    service.source_ranges[1] = Parsed::Invalid("nobody".into());
    assert_eq!(admitted(&service, [9, 2, 99]), [""; 0]);
}

/// An external address without room for any port is not bound.
#[test]
fn an_address_without_virtual_servers_is_not_bound() {
    let resolved = resolved(&greedy(1, 3, 0, 0), [9, 9, 2]);
    let bound: Vec<String> = (resolved.frontends.iter())
        .map(|frontend| format!("{}:{}", frontend.address, NonZeroU16::get(frontend.port)))
        .collect();
    assert_eq!(bound, ["10.96.0.9:1", "203.0.113.0:1"]);
}

/// Returns one slice of `greedy` with this number of endpoints, which serve all of its ports.
fn endpoints(service: &Service, number: u16) -> EndpointSlice {
    let address = |number: u16| {
        let [high, low] = number.to_be_bytes();
        Parsed::Valid(IpAddr::from([10, 1, high, low]))
    };
    let port = |port: &model::cluster::ServicePort| EndpointPort {
        name: Some(port.name.clone()),
        protocol: port.protocol.clone(),
        port: port.port.as_result().ok().copied(),
    };
    let endpoints = (1..=number).map(|number| Endpoint::ready(address(number)));
    EndpointSlice {
        ports: service.ports.iter().map(port).collect(),
        ..slice("greedy", "greedy-1", endpoints.collect())
    }
}

/// Returns `greedy` with a name for each port.
fn named(mut service: Service) -> Service {
    for (number, port) in service.ports.iter_mut().enumerate() {
        port.name = format!("p{number}").into();
    }
    service
}

#[track_caller]
fn with_real_servers(service: &Service, slice: EndpointSlice, real_servers: usize) -> Resolved {
    let mut config = config();
    config.service_limits.real_servers = real_servers;
    resolve(service, &[slice], &NodeContext::default(), &config)
}

fn real_servers(resolved: &Resolved) -> usize {
    let frontends = resolved.frontends.iter();
    frontends.map(|frontend| frontend.backends.len()).sum()
}

#[test]
fn real_servers_count_per_virtual_server() {
    let greedy = named(greedy(3, 2, 0, 0));
    let resolved = |limit| with_real_servers(&greedy, endpoints(&greedy, 4), limit);
    check(&resolved(36), [3, 6, 0], None);
    let over = resolved(30);
    check(
        &over,
        [3, 4, 0],
        Some(
            "spec.ports: its 9 virtual servers have 36 real servers, and serviceLimits.realServers is 30; 7 virtual servers are served: at cluster IPs first, then in the order of the ports",
        ),
    );
    assert_eq!(real_servers(&over), 28);
    // A virtual server is served with all of its real servers or not at all.
    check(
        &resolved(3),
        [0, 0, 0],
        Some(
            "spec.ports: its 9 virtual servers have 36 real servers, and serviceLimits.realServers is 3; 0 virtual servers are served: at cluster IPs first, then in the order of the ports",
        ),
    );
}

/// The estimate that decides the order also counts unused endpoints. They must not count as demand.
#[test]
fn unused_endpoints_do_not_count() {
    let greedy = named(greedy(2, 1, 0, 0));
    let mut slice = endpoints(&greedy, 5);
    for endpoint in &mut slice.endpoints[1..] {
        endpoint.ready = false;
        endpoint.serving = false;
    }
    let resolved = with_real_servers(&greedy, slice, 4);
    check(&resolved, [2, 2, 0], None);
    assert_eq!(real_servers(&resolved), 4);
}

#[test]
fn ten_thousand_endpoints_of_one_port_are_served_at_every_kind_of_address() {
    let mut greedy = named(greedy(1, 1, 2, 0));
    greedy.ports[0].node_port = NonZeroU16::new(30_080).map(Parsed::Valid);
    let slice = endpoints(&greedy, 10_000);
    let node = NodeContext {
        node_ports: [IpAddr::from([192, 0, 2, 1])].into(),
        ..NodeContext::default()
    };
    let resolved = resolve(&greedy, &[slice], &node, &config());
    check(&resolved, [1, 1, 2], None);
    assert_eq!(real_servers(&resolved), 50_000);
}

/// The Service requests 80 million real servers. The test must not build a list of that length.
#[test]
fn ten_thousand_endpoints_at_a_hundred_ports_are_served_in_part() {
    let greedy = named(greedy(100, 79, 0, 0));
    let resolved = with_real_servers(&greedy, endpoints(&greedy, 10_000), 131_072);
    check(
        &resolved,
        [13, 0, 0],
        Some(
            "spec.ports: its 8000 virtual servers have 80000000 real servers, and serviceLimits.realServers is 131072; 13 virtual servers are served: at cluster IPs first, then in the order of the ports",
        ),
    );
    assert_eq!(real_servers(&resolved), 130_000);
}

/// A slice may name this node for any endpoint. Each such endpoint is an entry of a set, even if it
/// is not served.
#[test]
fn endpoints_on_this_node_are_limited() {
    let mut greedy = named(greedy(2, 0, 0, 0));
    greedy.internal_policy = TrafficPolicy::Local;
    let mut slice = endpoints(&greedy, 5);
    for endpoint in &mut slice.endpoints {
        endpoint.node = Some("node1".into());
        endpoint.ready = false;
        endpoint.serving = false;
    }
    let resolved = |limit| with_real_servers(&greedy, slice.clone(), limit);
    assert_eq!(resolved(10).local_endpoints.len(), 10);
    check(&resolved(10), [2, 0, 0], None);
    assert_eq!(resolved(9).local_endpoints.len(), 9);
    check(
        &resolved(9),
        [2, 0, 0],
        Some(
            "spec.ports: more than 9 endpoints are on this node, and serviceLimits.realServers is 9; 9 of them reach themselves through the Service",
        ),
    );
}
