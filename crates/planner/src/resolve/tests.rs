mod answers;
mod choice;
mod forwarding;
mod ranges;
mod service_policy;

use ipvs::AddressFamily::Ipv4;
use ipvs::Protocol;
use model::cluster::{Endpoint, EndpointSlice, PolicyScope, Service, ServiceKind, TrafficPolicy};

use super::{NodeContext, resolve};
use crate::testing::{config, endpoint, is_mistake, parsed, port, service, slice, texts, unready};

/// Checks the frontends. `expected` contains a line `address:port/protocol backend backend…` for
/// each.
fn check(service: &Service, slices: &[EndpointSlice], expected: &[&str]) {
    let frontends = resolve(service, slices, &NodeContext::default(), &config()).frontends;
    let lines: Vec<String> = (frontends.iter())
        .map(|frontend| {
            let backends = (frontend.backends.iter())
                .map(|backend| format!(" {}:{}", backend.address, backend.port));
            format!(
                "{}:{}/{}{}",
                frontend.address,
                frontend.port,
                frontend.protocol,
                backends.collect::<String>()
            )
        })
        .collect();
    assert_eq!(lines, expected);
}

/// Checks the text of each finding.
fn check_findings(service: &Service, slices: &[EndpointSlice], expected: &[&str]) {
    let findings = resolve(service, slices, &NodeContext::default(), &config()).findings;
    let mistakes = findings.iter().filter(|finding| is_mistake(finding));
    assert_eq!(texts(mistakes), expected);
}

#[test]
fn each_family_gets_its_own_endpoints() {
    let slices = [
        slice(
            "web",
            "web-4",
            vec![endpoint("10.1.0.1"), endpoint("10.1.0.2")],
        ),
        slice("web", "web-6", vec![endpoint("fd00::1")]),
    ];
    check(
        &service("web", &["10.96.0.1", "fd00:96::1"]),
        &slices,
        &[
            "10.96.0.1:80/TCP 10.1.0.1:8080 10.1.0.2:8080",
            "fd00:96::1:80/TCP fd00::1:8080",
        ],
    );
}

#[test]
fn headless_and_external_name_services_are_skipped() {
    check(&service("web", &[]), &[], &[]);
    let mut external = service("web", &["10.96.0.1"]);
    external.kind = ServiceKind::ExternalName;
    check(&external, &[], &[]);
}

#[test]
fn ports_are_matched_by_name_and_protocol() {
    let mut web = service("web", &["10.96.0.1"]);
    web.ports = vec![
        port("http", 80, Protocol::Tcp),
        port("http", 80, Protocol::Udp),
        port("admin", 90, Protocol::Tcp),
    ];
    check(
        &web,
        &[slice("web", "web-4", vec![endpoint("10.1.0.1")])],
        &[
            "10.96.0.1:80/TCP 10.1.0.1:8080",
            "10.96.0.1:80/UDP",
            "10.96.0.1:90/TCP",
        ],
    );
}

#[test]
fn an_invalid_address_affects_only_itself() {
    let web = service(
        "web",
        &["10.96.0.300", "fd00:96::1", "127.0.0.1", "0.0.0.0"],
    );
    check(&web, &[], &["fd00:96::1:80/TCP"]);
    check_findings(
        &web,
        &[],
        &[
            "KIV0101 error Service default/web: spec.clusterIPs[0]: `10.96.0.300` is not an IP address; this address is not served",
            "KIV0101 error Service default/web: spec.clusterIPs[2]: 127.0.0.1 is a loopback address; this address is not served",
            "KIV0101 error Service default/web: spec.clusterIPs[3]: 0.0.0.0 is the unspecified address; this address is not served",
        ],
    );
}

#[test]
fn an_invalid_port_affects_only_itself() {
    let mut web = service("web", &["10.96.0.1"]);
    web.ports.push(port("zero", 0, Protocol::Tcp));
    check(&web, &[], &["10.96.0.1:80/TCP"]);
    check_findings(
        &web,
        &[],
        &[
            "KIV0102 error Service default/web: spec.ports[1].port: `0` is not a port from 1 to 65535; this port is not served",
        ],
    );
}

#[test]
fn an_invalid_endpoint_affects_only_itself() {
    let slices = [slice(
        "web",
        "a",
        vec![
            endpoint("10.1.0.1"),
            endpoint("fd00::1"),
            endpoint("oops"),
            endpoint("224.0.0.1"),
        ],
    )];
    let web = service("web", &["10.96.0.1"]);
    check(&web, &slices, &["10.96.0.1:80/TCP 10.1.0.1:8080"]);
    check_findings(
        &web,
        &slices,
        &[
            "KIV0103 error EndpointSlice default/a: endpoints[1].addresses[0]: fd00::1 is not of the slice's addressType; this endpoint gets no traffic",
            "KIV0103 error EndpointSlice default/a: endpoints[2].addresses[0]: `oops` is not an IP address; this endpoint gets no traffic",
            "KIV0103 error EndpointSlice default/a: endpoints[3].addresses[0]: 224.0.0.1 is a multicast address; this endpoint gets no traffic",
        ],
    );
}

/// Returns a load balancer at 203.0.113.1 with a node port. Its endpoints are on this node and on
/// another one.
fn balancer() -> Service {
    let mut web = service("web", &["10.96.0.1"]);
    web.kind = ServiceKind::LoadBalancer;
    web.ports[0].node_port = Some(parsed("30080"));
    web.load_balancer_ips = vec![parsed("203.0.113.1")];
    web.external_ips = vec![parsed("203.0.113.2")];
    web
}

/// Checks the frontends on a node at 192.0.2.1 beside one at 192.0.2.2. `expected` contains a line
/// `KIND address:port backend…` for each.
fn check_kinds(service: &Service, slices: &[EndpointSlice], expected: &[&str]) {
    let node = NodeContext {
        on_interfaces: [[192, 0, 2, 1].into()].into(),
        node_ports: [[192, 0, 2, 1].into()].into(),
        other_nodes: [([192, 0, 2, 2].into(), "node2".into())].into(),
        ..NodeContext::default()
    };
    let frontends = resolve(service, slices, &node, &config()).frontends;
    let lines: Vec<String> = (frontends.iter())
        .map(|frontend| {
            let backends =
                (frontend.backends.iter()).map(|backend| format!(" {}", backend.address));
            let bound = if frontend.bind { "" } else { " unbound" };
            let lacks = if frontend.lacks_local {
                " lacks local"
            } else {
                ""
            };
            let (kind, address, port) = (frontend.kind, frontend.address, frontend.port);
            format!(
                "{kind:?} {address}:{port}{bound}{lacks}{}",
                backends.collect::<String>()
            )
        })
        .collect();
    assert_eq!(lines, expected);
}

fn here(text: &str) -> Endpoint {
    Endpoint {
        node: Some("node1".into()),
        ..endpoint(text)
    }
}

#[test]
fn each_kind_of_address_has_a_frontend() {
    check_kinds(
        &balancer(),
        &[slice("web", "a", vec![endpoint("10.1.0.1")])],
        &[
            "ClusterIp 10.96.0.1:80 10.1.0.1",
            "ExternalIp 203.0.113.2:80 10.1.0.1",
            "LoadBalancerIp 203.0.113.1:80 10.1.0.1",
            "NodePort 192.0.2.1:30080 unbound 10.1.0.1",
        ],
    );
}

#[test]
fn external_traffic_policy_local_prefers_local_endpoints() {
    let mut web = balancer();
    web.external_policy = TrafficPolicy::Local;
    check_kinds(
        &web,
        &[slice(
            "web",
            "a",
            vec![here("10.1.0.1"), endpoint("10.1.0.2")],
        )],
        &[
            "ClusterIp 10.96.0.1:80 10.1.0.1 10.1.0.2",
            "ExternalIp 203.0.113.2:80 10.1.0.1",
            "LoadBalancerIp 203.0.113.1:80 10.1.0.1",
            "NodePort 192.0.2.1:30080 unbound 10.1.0.1",
        ],
    );
    check_kinds(
        &web,
        &[slice("web", "a", vec![endpoint("10.1.0.2")])],
        &[
            "ClusterIp 10.96.0.1:80 10.1.0.2",
            "ExternalIp 203.0.113.2:80 lacks local 10.1.0.2",
            "LoadBalancerIp 203.0.113.1:80 lacks local 10.1.0.2",
            "NodePort 192.0.2.1:30080 unbound lacks local 10.1.0.2",
        ],
    );
}

#[test]
fn internal_traffic_policy_local_falls_back_only_if_reached_from_outside() {
    let slices = [slice("web", "a", vec![endpoint("10.1.0.2")])];
    let mut plain = service("web", &["10.96.0.1"]);
    plain.internal_policy = TrafficPolicy::Local;
    check_kinds(&plain, &slices, &["ClusterIp 10.96.0.1:80 lacks local"]);
    plain.external_ips = vec![parsed("203.0.113.2")];
    check_kinds(
        &plain,
        &slices,
        &[
            "ClusterIp 10.96.0.1:80 lacks local 10.1.0.2",
            "ExternalIp 203.0.113.2:80 10.1.0.2",
        ],
    );
}

#[test]
fn addresses_of_nodes_are_not_bound() {
    let mut web = service("web", &["10.96.0.1"]);
    web.external_ips = vec![parsed("192.0.2.1"), parsed("192.0.2.2")];
    check_kinds(
        &web,
        &[],
        &["ClusterIp 10.96.0.1:80", "ExternalIp 192.0.2.1:80 unbound"],
    );
}

#[test]
fn a_service_lacks_local_endpoints_once_in_each_family() {
    let mut web = service("web", &["10.96.0.1", "fd00:96::1"]);
    web.internal_policy = TrafficPolicy::Local;
    web.ports.push(port("http", 81, Protocol::Tcp));
    let elsewhere = [
        slice("web", "a", vec![endpoint("10.1.0.2")]),
        slice("web", "b", vec![here("fd00::1")]),
    ];
    let lacks = |slices: &[EndpointSlice]| {
        resolve(&web, slices, &NodeContext::default(), &config()).without_local
    };
    assert_eq!(lacks(&elsewhere), [(Ipv4, PolicyScope::Internal)].into());
    assert_eq!(lacks(&[]), [].into(), "there are no endpoints at all");
}

/// Checks the health-check port and the number of endpoints in its answer.
fn check_health(service: &Service, slices: &[EndpointSlice], expected: Option<(u16, usize)>) {
    let node = NodeContext::default();
    let check = resolve(service, slices, &node, &config()).health_check;
    let found = check.map(|check| (check.port.get(), check.local_endpoints));
    assert_eq!(found, expected);
}

#[test]
fn health_checks_count_ready_endpoints_on_this_node() {
    let mut web = balancer();
    web.cluster_ips.push(parsed("fd00::96"));
    web.health_check_node_port = Some(parsed("31000"));
    let leaving = Endpoint {
        node: Some("node1".into()),
        ..unready("10.1.0.3", true, true)
    };
    let slices = [
        slice(
            "web",
            "a",
            vec![
                here("10.1.0.1"),
                here("10.1.0.2"),
                leaving,
                endpoint("10.1.0.4"),
            ],
        ),
        slice("web", "b", vec![here("fd00::1")]),
    ];
    check_health(&web, &slices, None);
    web.external_policy = TrafficPolicy::Local;
    check_health(&web, &slices, Some((31000, 2)));
    web.kind = ServiceKind::NodePort;
    check_health(&web, &slices, None);
}
