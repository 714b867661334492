use std::num::NonZeroU16;
use std::time::Duration;

use ipvs::{Connections, Protocol, VirtualServerKey};
use model::cluster::{ClusterState, EndpointPort, EndpointSlice, Parsed, Service};
use model::finding::Code;
use model::policy::{Annotation, CheckTarget, Given, PolicyField, ServicePolicy};
use model::{ClusterEvent, Desired, Finding, NodeConfig, NodeState, Object, ObjectKind, Snapshot};

use crate::compile::EndpointStates;
use crate::diff;
use crate::testing::{
    Scene, after, cluster, compiler, config, deleted, endpoint, eth0, key, live, own, parsed, port,
    service, slice, texts,
};

/// Returns Service `default/NAME` with affinity at 10.96.0.1, ports 80 and 443, and this scope.
fn sticky(name: &str, scope: &str) -> Service {
    Service {
        affinity: Some(Duration::from_secs(60)),
        ports: vec![
            port("http", 80, Protocol::Tcp),
            port("tls", 443, Protocol::Tcp),
        ],
        annotations: [Annotation::new("affinity-scope", scope)].into(),
        ..service(name, &["10.96.0.1"])
    }
}

/// Returns a slice of `service` with the endpoints' ports `http` and `tls`.
fn endpoints(
    service: &str,
    name: &str,
    addresses: &[&str],
    [http, tls]: [u16; 2],
) -> EndpointSlice {
    let port = |name: &str, number| EndpointPort {
        name: Some(name.into()),
        protocol: Parsed::Valid(Protocol::Tcp),
        port: NonZeroU16::new(number),
    };
    EndpointSlice {
        ports: vec![port("http", http), port("tls", tls)],
        ..slice(
            service,
            name,
            addresses.iter().map(|text| endpoint(text)).collect(),
        )
    }
}

fn web(scope: &str) -> ClusterState {
    let slice = endpoints("web", "web", &["10.1.0.1", "10.1.0.2"], [80, 443]);
    cluster(vec![sticky("web", scope)], vec![slice])
}

fn compile(state: &ClusterState) -> (Desired, Vec<Finding>) {
    compile_with(state, &NodeState::default(), &config())
}

fn compile_with(
    state: &ClusterState,
    node: &NodeState,
    config: &NodeConfig,
) -> (Desired, Vec<Finding>) {
    let (desired, findings) = crate::compile(state, node, config);
    let merging = |finding: &Finding| finding.code == Code::PolicyWithoutEffect;
    (desired, findings.into_iter().filter(merging).collect())
}

fn keys(desired: &Desired) -> Vec<String> {
    texts(desired.tables.virtual_servers.keys())
}

const ALONE: [&str; 2] = ["10.96.0.1:80/TCP", "10.96.0.1:443/TCP"];

#[test]
fn one_virtual_server_serves_every_port() {
    let (desired, findings) = compile(&web("service"));
    assert_eq!(findings, []);
    assert_eq!(keys(&desired), ["10.96.0.1:0/TCP"]);
    let entry = &desired.tables.virtual_servers[&key("10.96.0.1:0")];
    assert_eq!(entry.server.validate(), Ok(()));
    assert_eq!(entry.server.persistence_timeout, Duration::from_secs(60));
    let real_servers = texts(entry.real_servers.keys());
    assert_eq!(real_servers, ["10.1.0.1:0", "10.1.0.2:0"]);
    assert_eq!(texts(desired.merged_ports.keys()), ALONE);
    let owner = &desired.owners.virtual_servers[&key("10.96.0.1:0")];
    assert_eq!(owner.to_string(), "default/web");

    // The rules match the same packets.
    let alone = compile(&web("port")).0;
    assert_eq!(keys(&alone), ALONE);
    for (name, set) in &desired.tables.sets {
        let added: Vec<_> = (set.entries)
            .difference(&alone.tables.sets[name].entries)
            .collect();
        let mark = (name.to_string() == "KUBE-EXTERNAL-IP-LOCAL").then_some("10.96.0.1,tcp:0");
        assert_eq!(texts(added), Vec::from_iter(mark), "{name}");
        assert!(
            alone.tables.sets[name].entries.is_subset(&set.entries),
            "{name}"
        );
    }
}

#[test]
fn ports_that_differ_have_an_affinity_of_their_own() {
    let with = |slices| compile(&cluster(vec![sticky("web", "service")], slices));
    let (desired, findings) = with(vec![endpoints("web", "web", &["10.1.0.1"], [80, 8443])]);
    assert_eq!(keys(&desired), ALONE);
    assert_eq!(
        texts(&findings),
        [
            "KIV0130 warning Service default/web: metadata.annotations[kube-ipvs.io/affinity-scope]: port \
          443 has endpoints at port 8443; an affinity of all ports needs endpoints with the port of the \
          Service; each of its ports has an affinity of its own there"
        ]
    );

    let mut other = endpoints("web", "web-2", &["10.1.0.2"], [80, 443]);
    other.ports.truncate(1);
    let (desired, findings) = with(vec![
        endpoints("web", "web", &["10.1.0.1"], [80, 443]),
        other,
    ]);
    assert_eq!(keys(&desired), ALONE);
    let problems = texts(findings.iter().map(|finding| &finding.problem));
    assert_eq!(
        problems,
        ["port 443 has other endpoints than the other ports"]
    );
}

#[test]
fn a_service_without_affinity_or_with_one_port_is_served_as_before() {
    let slice = || endpoints("web", "web", &["10.1.0.1"], [80, 443]);
    let without = Service {
        affinity: None,
        ..sticky("web", "service")
    };
    let (desired, findings) = compile(&cluster(vec![without], vec![slice()]));
    assert_eq!(keys(&desired), ALONE);
    let problems = texts(findings.iter().map(|finding| &finding.problem));
    assert_eq!(problems, ["spec.sessionAffinity is not ClientIP"]);

    let mut single = sticky("web", "service");
    single.ports.truncate(1);
    let (desired, findings) = compile(&cluster(vec![single], vec![slice()]));
    assert_eq!(keys(&desired), ["10.96.0.1:80/TCP"]);
    let problems = texts(findings.iter().map(|finding| &finding.problem));
    assert_eq!(problems, ["the Service has no two ports of one protocol"]);
}

/// A virtual server with port 0 at an address of the node would get the packets to every program.
#[test]
fn no_address_of_the_node_is_served_at_every_port() {
    let mut node_ports = sticky("web", "service");
    for (port, number) in node_ports.ports.iter_mut().zip(["30080", "30443"]) {
        port.node_port = Some(parsed(number));
    }
    let slice = endpoints("web", "web", &["10.1.0.1"], [80, 443]);
    let state = cluster(vec![node_ports], vec![slice.clone()]);
    let every = NodeConfig {
        node_port_addresses: model::config::NodePortAddresses::Within(Vec::new()),
        ..config()
    };
    let (desired, findings) = compile_with(&state, &eth0(&["192.0.2.1/24"]), &every);
    assert_eq!(findings, []);
    assert_eq!(
        keys(&desired),
        [
            "10.96.0.1:0/TCP",
            "192.0.2.1:30080/TCP",
            "192.0.2.1:30443/TCP"
        ]
    );

    let state = cluster(vec![sticky("web", "service")], vec![slice]);
    let (desired, findings) = compile_with(&state, &eth0(&["10.96.0.1/32"]), &config());
    assert_eq!(keys(&desired), ALONE);
    let problems = texts(findings.iter().map(|finding| &finding.problem));
    assert_eq!(problems, ["10.96.0.1 is an address of this node"]);
}

/// Returns a Service with an external address.
fn outside(name: &str, scope: &str, ports: [u16; 2], created: i64, ip: &str) -> Service {
    let mut service = Service {
        external_ips: vec![parsed("203.0.113.1")],
        created: Some(created),
        cluster_ips: vec![parsed(ip)],
        ..sticky(name, scope)
    };
    for (port, number) in service.ports.iter_mut().zip(ports) {
        port.port = parsed(&number.to_string());
    }
    service
}

fn outside_keys(desired: &Desired) -> Vec<String> {
    let mut keys = keys(desired);
    keys.retain(|key| key.starts_with("203"));
    keys
}

#[test]
fn a_shared_address_has_one_virtual_server_of_every_port() {
    let a = outside("a", "service", [80, 443], 1, "10.96.0.1");
    let b = outside("b", "service", [81, 444], 2, "10.96.0.2");
    let slices = || {
        vec![
            endpoints("a", "a", &["10.1.0.1"], [80, 443]),
            endpoints("b", "b", &["10.1.0.2"], [81, 444]),
        ]
    };
    let (desired, findings) = compile(&cluster(vec![a.clone(), b.clone()], slices()));
    let shared = [
        "203.0.113.1:0/TCP",
        "203.0.113.1:81/TCP",
        "203.0.113.1:444/TCP",
    ];
    assert_eq!(outside_keys(&desired), shared);
    assert_eq!(
        texts(&findings),
        [
            "KIV0130 warning Service default/b: metadata.annotations[kube-ipvs.io/affinity-scope]: \
          203.0.113.1:0/TCP: default/a, which is older, already has the other ports; each of its ports \
          has an affinity of its own there"
        ]
    );

    // The older Service loses a port: it cannot have every port, and the other one gets them.
    let oldest = Service {
        affinity: None,
        ..outside("c", "port", [443, 445], 0, "10.96.0.3")
    };
    let mut scene = Scene::new(
        cluster(vec![a, b, oldest], slices()),
        compiler(),
        &NodeState::default(),
    );
    assert_eq!(
        outside_keys(scene.compiler.desired()),
        [
            "203.0.113.1:0/TCP",
            "203.0.113.1:80/TCP",
            "203.0.113.1:443/TCP",
            "203.0.113.1:445/TCP"
        ]
    );
    let keys = scene.apply(deleted(ObjectKind::Service, "c"));
    assert_eq!(outside_keys(scene.compiler.desired()), shared);
    assert!(keys.virtual_servers.contains(&key("203.0.113.1:0")));
    assert_eq!(*scene.compiler.desired(), compile(&scene.state).0);
    scene.apply(deleted(ObjectKind::Service, "a"));
    assert_eq!(
        outside_keys(scene.compiler.desired()),
        ["203.0.113.1:0/TCP"]
    );
    assert_eq!(*scene.compiler.desired(), compile(&scene.state).0);
    let left = scene.compiler.findings();
    assert_eq!(
        left.filter(|finding| finding.code == Code::PolicyWithoutEffect)
            .count(),
        0
    );
}

/// An endpoint that fails its check at one port gets no new clients at any.
#[test]
fn a_failed_check_of_one_port_counts_for_all() {
    for (policy, expected) in [
        (
            "type=tcp, panicThreshold=100",
            vec!["10.1.0.1:0 0", "10.1.0.2:0 1"],
        ),
        (
            "type=tcp, panicThreshold=100, onFailure=remove",
            vec!["10.1.0.2:0 1"],
        ),
    ] {
        let mut service = sticky("web", "service");
        service.annotations = [
            Annotation::new("affinity-scope", "service"),
            Annotation::new("health-check", policy),
        ]
        .into();
        let slice = endpoints("web", "web", &["10.1.0.1", "10.1.0.2"], [80, 443]);
        let state = cluster(vec![service], vec![slice]);
        let config = NodeConfig {
            allowed_annotations: PolicyField::ALL.iter().copied().collect(),
            health_check_networks: vec!["10.1.0.0/16".parse().expect("a network")],
            ..config()
        };
        let mut read = ServicePolicy::default();
        (read.set(PolicyField::HealthCheck, &Given::from(policy))).expect("a valid value");
        let failed = CheckTarget {
            address: [10, 1, 0, 1].into(),
            port: NonZeroU16::new(443).expect("not zero"),
            probe: read.health_check.expect("a check").probe,
        };
        let states = EndpointStates {
            failed: [(failed, "refused".into())].into(),
            ..EndpointStates::default()
        };
        let (desired, ..) =
            crate::compile_with_claims(&state, &NodeState::default(), &config, states);
        let entry = &desired.tables.virtual_servers[&key("10.96.0.1:0")];
        let weights = entry.real_servers.values();
        let weights = texts(weights.map(|real| format!("{} {}", real.key, real.weight)));
        assert_eq!(weights, expected, "{policy}");
    }
}

fn with_connection(mut live: Snapshot, server: VirtualServerKey) -> Snapshot {
    let real = *live.tables.virtual_servers[&server]
        .real_servers
        .keys()
        .next()
        .expect("one");
    let open = Connections {
        active: 1,
        ..Connections::default()
    };
    live.connections.insert((server, real), open);
    live
}

/// The virtual server of a port stays as long as it has a connection, with the current endpoints.
#[test]
fn a_port_with_connections_is_handed_over_later() {
    let (http, every) = (key("10.96.0.1:80"), key("10.96.0.1:0"));
    let before = with_connection(live(&compile(&web("port")).0), http);
    let wanted = compile(&web("service")).0;
    let first = after(&before, &diff(&wanted, &before, &own()));
    assert_eq!(
        texts(first.tables.virtual_servers.keys()),
        ["10.96.0.1:0/TCP", "10.96.0.1:80/TCP", "10.96.0.1:443/TCP"]
    );
    let second = after(&first, &diff(&wanted, &first, &own()));
    assert_eq!(
        texts(second.tables.virtual_servers.keys()),
        ["10.96.0.1:0/TCP", "10.96.0.1:80/TCP"]
    );
    assert!(diff(&wanted, &second, &own()).is_empty());

    // Its real servers follow the endpoints.
    let slice = endpoints("web", "web", &["10.1.0.1", "10.1.0.3"], [80, 443]);
    let state = cluster(vec![sticky("web", "service")], vec![slice]);
    let third = after(&second, &diff(&compile(&state).0, &second, &own()));
    let reals = |server| third.tables.virtual_servers[&server].real_servers.values();
    let weights = |server| texts(reals(server).map(|real| format!("{} {}", real.key, real.weight)));
    assert_eq!(
        weights(http),
        ["10.1.0.1:80 1", "10.1.0.2:80 0", "10.1.0.3:80 1"]
    );
    assert_eq!(
        weights(every),
        ["10.1.0.1:0 1", "10.1.0.2:0 0", "10.1.0.3:0 1"]
    );

    let mut idle = second;
    idle.connections.clear();
    let last = after(&idle, &diff(&wanted, &idle, &own()));
    assert_eq!(last.tables.virtual_servers, wanted.tables.virtual_servers);
}

/// The other direction: new connections reach the ports at once, and the old virtual server drains.
#[test]
fn the_virtual_server_of_every_port_drains() {
    let every = key("10.96.0.1:0");
    let before = with_connection(live(&compile(&web("service")).0), every);
    let wanted = compile(&web("port")).0;
    let mut now = before;
    for _ in 0..3 {
        now = after(&now, &diff(&wanted, &now, &own()));
        let weights = now.tables.virtual_servers[&every].real_servers.values();
        assert!(weights.map(|real| real.weight).any(|weight| weight == 0));
    }
    now.connections.clear();
    for _ in 0..2 {
        now = after(&now, &diff(&wanted, &now, &own()));
    }
    assert_eq!(now.tables, wanted.tables);
}

#[test]
fn a_change_of_the_scope_is_incremental() {
    let mut scene = Scene::new(web("port"), compiler(), &NodeState::default());
    for scope in ["service", "port", "service"] {
        let service = sticky("web", scope);
        let keys = scene.apply(ClusterEvent::Upsert(Object::Service(service)));
        assert!(
            keys.virtual_servers.contains(&key("10.96.0.1:0")),
            "{scope}"
        );
        assert_eq!(*scene.compiler.desired(), compile(&scene.state).0);
    }
    scene.apply(deleted(ObjectKind::Service, "web"));
    assert!(scene.compiler.desired().tables.virtual_servers.is_empty());
    assert!(scene.compiler.desired().merged_ports.is_empty());
}
