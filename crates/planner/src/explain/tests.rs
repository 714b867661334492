use ipvs::Protocol;
use model::NodeState;
use model::cluster::{Endpoint, EndpointSlice, Node, Object, Service, ServiceKind, TrafficPolicy};
use model::config::NodeConfig;

use super::*;
use crate::compile::compile_with_claims;
use crate::testing::{
    cluster, config, endpoint, eth0, node, parsed, port, service, slice, unready,
};

/// Explains `service` on node1, which has the address 192.168.77.11.
fn explained(service: Service, slices: Vec<EndpointSlice>) -> ServiceExplanation {
    explained_with(&config(), service, slices)
}

fn explained_with(
    config: &NodeConfig,
    service: Service,
    slices: Vec<EndpointSlice>,
) -> ServiceExplanation {
    let name = service.name.clone();
    let mut state = cluster(vec![service], slices);
    let own = Node {
        zone: Some("a".into()),
        ..node("node1", &["192.168.77.11"])
    };
    for node in [own, node("node2", &["192.168.77.12"])] {
        state.absorb(model::ClusterEvent::Upsert(Object::Node(node)));
    }
    let (desired, _, claims) = compile_with_claims(
        &state,
        &eth0(&["192.168.77.11/24"]),
        config,
        Default::default(),
    );
    (claims.explain(&state, &desired, &name)).expect("the Service")
}

/// Checks the endpoints of the first port. A line is `slice address: name`, and after a `/` the
/// name of the decision for external traffic if there is one.
#[track_caller]
fn check(explained: &ServiceExplanation, expected: &[&str]) {
    let endpoints = explained.ports[0].endpoints.iter();
    let lines: Vec<String> = (endpoints.chain(&explained.other_families))
        .map(|endpoint| {
            let address = match endpoint.address.as_result() {
                Ok(address) => address.to_string(),
                Err(text) => text.to_owned(),
            };
            let external = endpoint.external.as_ref();
            let external = external.map_or_else(String::new, |it| format!("/{}", it.name()));
            let internal = endpoint.internal.name();
            format!("{} {address}: {internal}{external}", endpoint.slice.name)
        })
        .collect();
    assert_eq!(lines, expected);
    let chosen: Vec<_> = (explained.ports[0].endpoints.iter())
        .filter(|endpoint| endpoint.internal.is_chosen())
        .map(|endpoint| (endpoint.address.clone(), endpoint.port))
        .collect();
    let cluster_ip = (explained.sites.iter()).find_map(|site| match &site.outcome {
        SiteOutcome::Served(site) if site.frontend.kind == FrontendKind::ClusterIp => {
            Some(&site.frontend)
        }
        _ => None,
    });
    let backends: Vec<_> = (cluster_ip.expect("a cluster IP").backends.iter())
        .map(|backend| (Parsed::Valid(backend.address), Some(backend.port)))
        .collect();
    assert_eq!(chosen, backends, "the explanation differs from the tables");
}

fn on(node: &str, endpoint: Endpoint) -> Endpoint {
    Endpoint {
        node: Some(node.into()),
        ..endpoint
    }
}

fn web() -> Service {
    service("web", &["10.96.0.1"])
}

#[test]
fn ready_endpoints_are_chosen_and_others_have_a_reason() {
    let endpoints = vec![
        endpoint("10.1.0.1"),
        unready("10.1.0.2", false, false),
        unready("10.1.0.3", true, true),
        unready("10.1.0.4", false, true),
    ];
    check(
        &explained(web(), vec![slice("web", "web-1", endpoints)]),
        &[
            "web-1 10.1.0.1: Ready",
            "web-1 10.1.0.2: NotReady",
            "web-1 10.1.0.3: Terminating",
            "web-1 10.1.0.4: Stopped",
        ],
    );
}

#[test]
fn endpoints_that_terminate_and_serve_are_the_last_resort() {
    let endpoints = vec![
        unready("10.1.0.2", false, false),
        unready("10.1.0.3", true, true),
    ];
    check(
        &explained(web(), vec![slice("web", "web-1", endpoints)]),
        &["web-1 10.1.0.2: NotReady", "web-1 10.1.0.3: LastResort"],
    );
}

#[test]
fn hints_leave_out_other_zones_and_nodes() {
    let hinted = |address, zone: &str, node: &[&str]| Endpoint {
        zone_hints: [zone.into()].into(),
        node_hints: node.iter().map(|&name| name.into()).collect(),
        ..endpoint(address)
    };
    let zones = vec![hinted("10.1.0.1", "a", &[]), hinted("10.1.0.2", "b", &[])];
    check(
        &explained(web(), vec![slice("web", "web-1", zones)]),
        &["web-1 10.1.0.1: Ready", "web-1 10.1.0.2: HintOfOtherZone"],
    );
    let nodes = vec![
        hinted("10.1.0.1", "a", &["node2"]),
        hinted("10.1.0.2", "b", &["node1"]),
    ];
    check(
        &explained(web(), vec![slice("web", "web-1", nodes)]),
        &["web-1 10.1.0.1: HintOfOtherNode", "web-1 10.1.0.2: Ready"],
    );
}

#[test]
fn each_traffic_policy_has_its_own_decision() {
    let endpoints = || {
        vec![
            on("node1", endpoint("10.1.0.1")),
            on("node2", endpoint("10.1.0.2")),
        ]
    };
    let mut internal = web();
    internal.internal_policy = TrafficPolicy::Local;
    check(
        &explained(internal, vec![slice("web", "web-1", endpoints())]),
        &["web-1 10.1.0.1: Ready", "web-1 10.1.0.2: NotOnThisNode"],
    );
    let mut external = web();
    external.kind = ServiceKind::NodePort;
    external.external_policy = TrafficPolicy::Local;
    external.ports[0].node_port = Some(parsed("30080"));
    check(
        &explained(external, vec![slice("web", "web-1", endpoints())]),
        &[
            "web-1 10.1.0.1: Ready/Ready",
            "web-1 10.1.0.2: Ready/NotOnThisNode",
        ],
    );
}

#[test]
fn an_internal_policy_without_local_endpoints_chooses_none() {
    let mut internal = web();
    internal.internal_policy = TrafficPolicy::Local;
    let endpoints = vec![endpoint("10.1.0.2")];
    check(
        &explained(internal, vec![slice("web", "web-1", endpoints)]),
        &["web-1 10.1.0.2: NotOnThisNode"],
    );
}

#[test]
fn endpoints_of_unusable_slices_have_a_reason() {
    let mut other_port = slice("web", "web-2", vec![endpoint("10.1.0.2")]);
    other_port.ports[0].name = Some("admin".into());
    let slices = vec![
        slice(
            "web",
            "web-1",
            vec![endpoint("10.1.0.1"), endpoint("10.1.0.300")],
        ),
        other_port,
        slice("web", "web-3", vec![endpoint("fd00::1")]),
    ];
    let explained = explained(web(), slices);
    check(
        &explained,
        &[
            "web-1 10.1.0.1: Ready",
            "web-1 10.1.0.300: UnusableAddress",
            "web-2 10.1.0.2: PortNotOffered",
            "web-3 fd00::1: OtherFamily",
        ],
    );
    assert_eq!(explained.slices, 3);
    assert_eq!(
        explained.ports[0].endpoints[1].internal.to_string(),
        "`10.1.0.300` is not an IP address"
    );
}

#[test]
fn the_entry_of_another_slice_precedes_a_duplicate() {
    for names in [["web-1", "web-2"], ["web-2", "web-1"]] {
        let [of_ready, of_unready] = names;
        let slices = vec![
            slice("web", of_unready, vec![unready("10.1.0.1", false, false)]),
            slice("web", of_ready, vec![endpoint("10.1.0.1")]),
        ];
        let explained = explained(web(), slices);
        let duplicate = &explained.ports[0].endpoints[1].internal;
        let other = ObjectName::new("default", of_ready);
        assert_eq!(*duplicate, EndpointVerdict::Duplicate(other));
        check(
            &explained,
            &[
                &format!("{of_ready} 10.1.0.1: Ready"),
                &format!("{of_unready} 10.1.0.1: Duplicate"),
            ],
        );
    }
}

#[test]
fn each_duplicate_names_the_entry_that_is_used() {
    let slices = vec![
        slice("web", "web-1", vec![unready("10.1.0.1", false, true)]),
        slice("web", "web-2", vec![unready("10.1.0.1", false, false)]),
        slice("web", "web-3", vec![endpoint("10.1.0.1")]),
    ];
    let explained = explained(web(), slices);
    let verdicts = explained.ports[0].endpoints.iter();
    let verdicts: Vec<_> = verdicts.map(|endpoint| &endpoint.internal).collect();
    let duplicate = EndpointVerdict::Duplicate(ObjectName::new("default", "web-3"));
    assert_eq!(verdicts, [&EndpointVerdict::Ready, &duplicate, &duplicate]);
}

/// Returns a line for each site: the address, port and protocol, and the outcome.
fn sites(explained: &ServiceExplanation) -> Vec<String> {
    (explained.sites.iter())
        .map(|site| {
            let outcome = match &site.outcome {
                SiteOutcome::Served(site) => format!("served, bound: {}", site.frontend.bind),
                SiteOutcome::Clash(winner) => format!("taken by {winner}"),
                other => other.code().expect("a code").to_string(),
            };
            format!("{}:{}/{} {outcome}", site.address, site.port, site.protocol)
        })
        .collect()
}

#[test]
fn every_requested_address_is_listed() {
    let mut web = web();
    web.kind = ServiceKind::LoadBalancer;
    web.ports[0].node_port = Some(parsed("30080"));
    web.external_ips = vec![parsed("192.0.2.1"), parsed("bad"), parsed("192.168.77.12")];
    web.load_balancer_ips = vec![parsed("203.0.113.1"), parsed("2001:db8::1")];
    let explained = explained(web, Vec::new());
    assert_eq!(
        sites(&explained),
        [
            "10.96.0.1:80/TCP served, bound: true",
            "192.0.2.1:80/TCP served, bound: true",
            "203.0.113.1:80/TCP served, bound: true",
            "192.168.77.11:30080/TCP served, bound: false",
        ]
    );
    let refused: Vec<_> = (explained.refused_addresses.iter())
        .map(|refused| (refused.kind, refused.code))
        .collect();
    assert_eq!(
        refused,
        [
            (FrontendKind::ExternalIp, Code::InvalidServiceAddress),
            (FrontendKind::ExternalIp, Code::OtherNodesAddress),
            (FrontendKind::LoadBalancerIp, Code::OtherFamilyAddress),
        ]
    );
}

#[test]
fn a_served_site_names_its_entries() {
    let explained = explained(web(), Vec::new());
    let SiteOutcome::Served(site) = &explained.sites[0].outcome else {
        panic!("not served");
    };
    assert_eq!(site.virtual_server.key.to_string(), "10.96.0.1:80/TCP");
    let entries: Vec<String> = (site.set_entries.iter())
        .map(|(set, entry)| format!("{set} {entry}"))
        .collect();
    assert_eq!(
        entries,
        [
            "KUBE-CLUSTER-IP 10.96.0.1,tcp:80",
            "KUBE-IPVS-IPS 10.96.0.1"
        ]
    );
}

#[test]
fn a_limit_names_the_addresses_that_it_leaves_out() {
    let mut config = config();
    config.service_limits.entries = 1;
    let mut web = web();
    web.external_ips = vec![parsed("192.0.2.1")];
    let endpoints = vec![endpoint("10.1.0.1")];
    let explained = explained_with(&config, web, vec![slice("web", "web-1", endpoints)]);
    assert_eq!(
        sites(&explained),
        [
            "10.96.0.1:80/TCP served, bound: true",
            "192.0.2.1:80/TCP KIV0118"
        ]
    );
    check(&explained, &["web-1 10.1.0.1: Ready/Ready"]);
    assert_eq!(explained.ports.len(), 1, "each port is explained once");
}

#[test]
fn a_protected_port_is_not_served() {
    let mut web = web();
    web.kind = ServiceKind::NodePort;
    web.ports[0].node_port = Some(parsed("10250"));
    assert_eq!(
        sites(&explained(web, Vec::new())),
        [
            "10.96.0.1:80/TCP served, bound: true",
            "192.168.77.11:10250/TCP KIV0117",
        ]
    );
}

#[test]
fn a_clash_names_the_winner() {
    let mut older = service("older", &["10.96.0.1"]);
    older.created = Some(1);
    let state = cluster(vec![older, web()], Vec::new());
    let (desired, _, claims) =
        compile_with_claims(&state, &NodeState::default(), &config(), Default::default());
    let explain = |name| claims.explain(&state, &desired, &ObjectName::new("default", name));
    let [loser, winner] = ["web", "older"].map(|name| sites(&explain(name).expect("a Service")));
    assert_eq!(loser, ["10.96.0.1:80/TCP taken by default/older"]);
    assert_eq!(winner, ["10.96.0.1:80/TCP served, bound: true"]);
    assert!(explain("none").is_none());
}

#[test]
fn a_service_without_cluster_ip_has_no_addresses_and_no_ports() {
    let explained = explained(service("web", &[]), Vec::new());
    assert!(explained.sites.is_empty() && explained.ports.is_empty());
}

#[test]
fn each_port_and_family_is_explained() {
    let mut web = service("web", &["10.96.0.1", "fd00:96::1"]);
    web.ports.push(port("admin", 90, Protocol::Udp));
    let explained = explained(web, Vec::new());
    let ports: Vec<_> = (explained.ports.iter())
        .map(|port| (&*port.name, port.number.get(), port.family))
        .collect();
    assert_eq!(
        ports,
        [
            ("http", 80, AddressFamily::Ipv4),
            ("http", 80, AddressFamily::Ipv6),
            ("admin", 90, AddressFamily::Ipv4),
            ("admin", 90, AddressFamily::Ipv6),
        ]
    );
}
