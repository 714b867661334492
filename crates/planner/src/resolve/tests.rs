use ipvs::Protocol;
use model::cluster::{EndpointSlice, Service, ServiceKind, TrafficPolicy};

use super::{NodeView, resolve};
use crate::testing::{endpoint, port, service, slice};

/// `expected`: a line for each frontend, `address:port/protocol backend backend…`.
fn check(service: &Service, slices: &[EndpointSlice], expected: &[&str]) {
    let node = NodeView {
        name: "node1".into(),
        zone: Some("zone-a".into()),
    };
    let (frontends, _) = resolve(service, slices.iter(), &node);
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

/// `expected`: the end of each finding's text, after the code.
fn check_findings(service: &Service, slices: &[EndpointSlice], expected: &[&str]) {
    let node = NodeView {
        name: "node1".into(),
        zone: None,
    };
    let (_, findings) = resolve(service, slices.iter(), &node);
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(lines, expected);
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
fn a_service_without_endpoints_is_served_by_none() {
    check(&service("web", &["10.96.0.1"]), &[], &["10.96.0.1:80/TCP"]);
}

#[test]
fn headless_and_external_name_are_left_out() {
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
fn several_slices_add_up_and_duplicates_count_once() {
    let slices = [
        slice("web", "a", vec![endpoint("10.1.0.2"), endpoint("10.1.0.1")]),
        slice("web", "b", vec![endpoint("10.1.0.1"), endpoint("10.1.0.3")]),
    ];
    check(
        &service("web", &["10.96.0.1"]),
        &slices,
        &["10.96.0.1:80/TCP 10.1.0.1:8080 10.1.0.2:8080 10.1.0.3:8080"],
    );
}

#[test]
fn terminating_endpoints_serve_where_nothing_else_does() {
    let mut leaving = endpoint("10.1.0.1");
    (leaving.ready, leaving.terminating) = (false, true);
    let mut gone = endpoint("10.1.0.2");
    (gone.ready, gone.serving, gone.terminating) = (false, false, true);
    check(
        &service("web", &["10.96.0.1"]),
        &[slice("web", "a", vec![leaving.clone(), gone.clone()])],
        &["10.96.0.1:80/TCP 10.1.0.1:8080"],
    );
    check(
        &service("web", &["10.96.0.1"]),
        &[slice("web", "a", vec![leaving, gone, endpoint("10.1.0.3")])],
        &["10.96.0.1:80/TCP 10.1.0.3:8080"],
    );
}

#[test]
fn internal_traffic_policy_local_stays_on_the_node() {
    let mut web = service("web", &["10.96.0.1"]);
    web.internal_policy = TrafficPolicy::Local;
    let mut here = endpoint("10.1.0.1");
    here.node = Some("node1".into());
    check(
        &web,
        &[slice("web", "a", vec![here, endpoint("10.1.0.2")])],
        &["10.96.0.1:80/TCP 10.1.0.1:8080"],
    );
    check(
        &web,
        &[slice("web", "a", vec![endpoint("10.1.0.2")])],
        &["10.96.0.1:80/TCP"],
    );
}

#[test]
fn zone_hints_count_only_where_every_ready_endpoint_has_them() {
    let hinted = |text: &str, zone: &str| {
        let mut endpoint = endpoint(text);
        endpoint.zone_hints = vec![zone.into()];
        endpoint
    };
    let near = || hinted("10.1.0.1", "zone-a");
    let far = || hinted("10.1.0.2", "zone-b");
    let web = service("web", &["10.96.0.1"]);
    check(
        &web,
        &[slice("web", "a", vec![near(), far()])],
        &["10.96.0.1:80/TCP 10.1.0.1:8080"],
    );
    check(
        &web,
        &[slice("web", "a", vec![near(), far(), endpoint("10.1.0.3")])],
        &["10.96.0.1:80/TCP 10.1.0.1:8080 10.1.0.2:8080 10.1.0.3:8080"],
    );
    check(
        &web,
        &[slice("web", "a", vec![far()])],
        &["10.96.0.1:80/TCP 10.1.0.2:8080"],
    );
}

#[test]
fn node_hints_come_before_zone_hints() {
    let mut here = endpoint("10.1.0.1");
    here.node_hints = vec!["node1".into()];
    here.zone_hints = vec!["zone-a".into()];
    let mut there = endpoint("10.1.0.2");
    there.node_hints = vec!["node2".into()];
    there.zone_hints = vec!["zone-a".into()];
    check(
        &service("web", &["10.96.0.1"]),
        &[slice("web", "a", vec![here, there])],
        &["10.96.0.1:80/TCP 10.1.0.1:8080"],
    );
}

#[test]
fn a_bad_address_harms_only_itself() {
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
fn a_bad_port_harms_only_itself() {
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
fn a_bad_endpoint_harms_only_itself() {
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
