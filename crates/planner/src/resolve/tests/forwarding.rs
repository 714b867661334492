//! Forwarding methods of endpoints on other hosts.

use ipvs::Forwarding;
use model::cluster::TrafficPolicy;
use model::config::NodeConfig;
use model::finding::Code;
use model::frontend::FrontendKind;
use model::policy::{Annotation, PolicyField};
use model::{ClusterEvent, Object};

use super::*;
use crate::Compiler;
use crate::testing::{Scene, cluster, eth0, key, node as node_object};

/// Kind of a frontend and the forwarding methods of its backends; `None` if all are masqueraded.
type Methods = (FrontendKind, Option<Vec<Forwarding>>);

const DIRECT: Forwarding = Forwarding::DirectRoute;
const MASQUERADE: Forwarding = Forwarding::Masquerade;

fn allowing() -> NodeConfig {
    NodeConfig {
        allowed_annotations: PolicyField::ALL.iter().copied().collect(),
        ..config()
    }
}

/// Returns a load balancer with an external address, whose port is that of the endpoints.
fn balancer(forwarding: &str) -> Service {
    Service {
        kind: ServiceKind::LoadBalancer,
        annotations: [Annotation::new("forwarding", forwarding)].into(),
        external_ips: vec![parsed("203.0.113.1")],
        load_balancer_ips: vec![parsed("203.0.113.2")],
        ports: vec![model::cluster::ServicePort {
            node_port: Some(parsed("30080")),
            ..crate::testing::port("http", 8080, ipvs::Protocol::Tcp)
        }],
        ..service("web", &["10.96.0.1"])
    }
}

/// Returns endpoints: on this node, on another one, and without a node.
fn places() -> EndpointSlice {
    let at = |address: &str, node: Option<&str>| Endpoint {
        node: node.map(Into::into),
        ..endpoint(address)
    };
    let endpoints = vec![
        at("10.1.0.1", Some("node1")),
        at("10.1.0.2", Some("node2")),
        at("192.0.2.9", None),
    ];
    slice("web", "web-1", endpoints)
}

/// Returns the context of a node with other nodes and node ports.
fn context() -> NodeContext {
    NodeContext {
        node_ports: [[192, 0, 2, 1].into()].into(),
        other_nodes: [([192, 0, 2, 2].into(), "node2".into())].into(),
        ..NodeContext::default()
    }
}

/// Returns the methods of each kind of address, and the findings about the field.
fn served(service: &Service, slices: &[EndpointSlice]) -> (Vec<Methods>, Vec<String>) {
    let resolved = resolve(service, slices, &context(), &allowing());
    let findings = (resolved.findings.into_iter())
        .filter(|finding| finding.field.contains("forwarding"))
        .map(|finding| format!("{} {}", finding.code, finding.problem));
    let frontends = resolved.frontends.into_iter();
    (
        frontends
            .map(|frontend| (frontend.kind, frontend.forwarding))
            .collect(),
        findings.collect(),
    )
}

#[test]
fn only_endpoints_elsewhere_get_packets_from_outside_unchanged() {
    let (methods, findings) = served(&balancer("direct"), &[places()]);
    let direct = Some(vec![MASQUERADE, DIRECT, DIRECT]);
    assert_eq!(
        methods,
        [
            (FrontendKind::ClusterIp, None),
            (FrontendKind::ExternalIp, direct.clone()),
            (FrontendKind::LoadBalancerIp, direct),
            (FrontendKind::NodePort, None),
        ]
    );
    assert_eq!(findings, Vec::<String>::new());
    let (methods, findings) = served(&balancer("masquerade"), &[places()]);
    assert!(methods.iter().all(|(_, methods)| methods.is_none()));
    assert_eq!(findings, Vec::<String>::new());
}

/// The packets of an address keep the client's address all alike, so that an endpoint that needs
/// masquerading decides for all.
#[test]
fn one_endpoint_that_needs_masquerading_decides() {
    let other_port = Service {
        ports: vec![crate::testing::port("http", 80, ipvs::Protocol::Tcp)],
        ..balancer("direct")
    };
    let of_node = slice("web", "web-2", vec![endpoint("192.0.2.2")]);
    for (service, slices, expected) in [
        (
            other_port,
            vec![places()],
            "KIV0138 endpoint 10.1.0.2:8080 and 1 more of port 80/TCP cannot get packets to port 80, which only \
             masquerading changes",
        ),
        (
            balancer("tunnel"),
            vec![places(), of_node],
            "KIV0138 endpoint 192.0.2.2:8080 of port 8080/TCP has the address of Node node2, whose own proxy would \
             balance the packets again",
        ),
    ] {
        let (methods, findings) = served(&service, &slices);
        assert!(methods.iter().all(|(_, methods)| methods.is_none()));
        assert_eq!(findings, [expected]);
    }
}

/// One address may have endpoints at several ports. Each is a real server of its own.
#[test]
fn ports_of_one_address_stay_distinct() {
    let mut second = slice("web", "web-2", vec![endpoint("10.1.0.2")]);
    for port in &mut second.ports {
        port.port = std::num::NonZeroU16::new(9090);
    }
    let (methods, findings) = served(&balancer("direct"), &[places(), second]);
    assert!(methods.iter().all(|(_, methods)| methods.is_none()));
    let expected = "KIV0138 endpoint 10.1.0.2:9090 of port 8080/TCP cannot get";
    assert!(findings[0].starts_with(expected), "{findings:?}");
}

#[test]
fn the_field_without_effect_is_told() {
    let local = Service {
        external_policy: TrafficPolicy::Local,
        ..balancer("direct")
    };
    let inside = Service {
        external_ips: Vec::new(),
        load_balancer_ips: Vec::new(),
        ..balancer("direct")
    };
    for service in [local, inside] {
        let (methods, findings) = served(&service, &[places()]);
        assert!(methods.iter().all(|(_, methods)| methods.is_none()));
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].starts_with("KIV0130"), "{findings:?}");
    }
}

/// An endpoint's address that becomes that of a Node, or stops being one, changes the method.
#[test]
fn nodes_and_interfaces_change_the_method() {
    let state = cluster(vec![balancer("direct")], vec![places()]);
    let mut scene = Scene::new(state, Compiler::new(allowing()), &eth0(&["192.0.2.1/24"]));
    let methods = |scene: &Scene| -> Vec<Forwarding> {
        let servers = &scene.compiler.desired().tables.virtual_servers;
        let reals = &servers[&key("203.0.113.1:8080")].real_servers;
        reals.values().map(|real| real.forwarding).collect()
    };
    assert_eq!(methods(&scene), [MASQUERADE, DIRECT, DIRECT]);
    let event = ClusterEvent::Upsert(Object::Node(node_object("node2", &["192.0.2.9"])));
    let changed = scene.apply(event);
    assert!(changed.virtual_servers.contains(&key("203.0.113.1:8080")));
    assert_eq!(methods(&scene), [MASQUERADE; 3]);
    let findings = || scene.compiler.findings().map(|finding| finding.code);
    assert!(findings().any(|code| code == Code::ForwardingNotUsed));
    scene.apply(ClusterEvent::Upsert(Object::Node(node_object(
        "node2",
        &[],
    ))));
    assert_eq!(methods(&scene), [MASQUERADE, DIRECT, DIRECT]);
    // The endpoint is this host.
    scene.look_at_node(&eth0(&["192.0.2.1/24", "192.0.2.9/24"]));
    assert_eq!(methods(&scene), [MASQUERADE, DIRECT, MASQUERADE]);
}
