//! Protection of addresses and ports, from the cluster to the tables. A refused address does not
//! appear in the tables.

use std::num::NonZeroU16;

use ipvs::Protocol;
use model::cluster::{EndpointSlice, Parsed, Service, ServiceKind, TrafficPolicy};
use model::{ClusterEvent, ClusterState, NodeConfig, NodeState, Object, ObjectKind};

use crate::testing::{
    Scene, cluster, compile, compiler, config, deleted, endpoint, eth0, is_mistake, key, live,
    parsed, port, service, slice, texts,
};
use crate::{Ownership, diff};

/// Returns `default/kubernetes` with endpoints that listen on 6443.
fn kubernetes(endpoints: &[&str]) -> (Service, Vec<EndpointSlice>) {
    let mut kubernetes = service("kubernetes", &["10.96.0.1", "fd00:96::1"]);
    kubernetes.ports = vec![port("http", 443, Protocol::Tcp)];
    let slices = endpoints.iter().map(|text| {
        let mut slice = slice("kubernetes", text, vec![endpoint(text)]);
        slice.ports[0].port = NonZeroU16::new(6443);
        slice
    });
    (kubernetes, slices.collect())
}

/// Returns load balancers `NAME` that request `address`, one for each kind of address.
fn greedy(name: &str, address: &str) -> [(&'static str, Service); 3] {
    let plain = || Service {
        kind: ServiceKind::LoadBalancer,
        ..service(name, &["10.96.0.9", "fd00:96::9"])
    };
    let mut by_cluster_ip = plain();
    by_cluster_ip.cluster_ips.push(parsed(address));
    let by_external_ip = Service {
        external_ips: vec![parsed(address)],
        ..plain()
    };
    let by_load_balancer_ip = Service {
        load_balancer_ips: vec![parsed(address)],
        ..plain()
    };
    [
        ("spec.clusterIPs[2]", by_cluster_ip),
        ("spec.externalIPs[0]", by_external_ip),
        ("status.loadBalancer.ingress[].ip", by_load_balancer_ip),
    ]
}

fn with(objects: &(Service, Vec<EndpointSlice>), others: &[Service]) -> ClusterState {
    let (kubernetes, slices) = objects.clone();
    let services = [kubernetes].into_iter().chain(others.iter().cloned());
    cluster(services.collect(), slices)
}

/// Checks that no line of the tables contains `address`, and that a finding names the field.
#[track_caller]
fn check_refused(state: &ClusterState, config: &NodeConfig, address: &str, field: &str) {
    let (desired, findings) = crate::compile(state, &NodeState::default(), config);
    let text = model::text::print(&desired.tables);
    // Real servers of the API server's own Service have the address.
    let lines: Vec<&str> = (text.lines())
        .filter(|line| !line.starts_with("-a "))
        .filter(|line| {
            line.split([' ', ',', '/', '[', ']'])
                .any(|word| word.trim_end_matches(":80") == address)
        })
        .collect();
    assert_eq!(lines, [""; 0], "{field}");
    let mistakes = findings.iter().filter(|finding| is_mistake(finding));
    let expected = format!(
        "KIV0116 error Service default/greedy: {field}: {address} is an address of the API server; \
         this address is not served; choose another one"
    );
    assert_eq!(texts(mistakes), [expected]);
}

/// Checks that the Service `greedy` is served at `address`.
#[track_caller]
fn check_served(state: &ClusterState, address: &str) {
    let (desired, findings) = compile(state);
    assert_eq!(findings, []);
    let address = address.parse().expect("an address");
    assert!(desired.tables.addresses.contains(&address), "{address}");
}

#[test]
fn a_configured_api_server_address_is_served_by_no_service() {
    let objects = kubernetes(&[]);
    for (socket, address) in [
        ("192.0.2.100:6443", "192.0.2.100"),
        ("[::ffff:192.0.2.100]:6443", "192.0.2.100"),
        ("[2001:db8::100]:6443", "2001:db8::100"),
    ] {
        let mut config = config();
        config.api_server = [socket.parse().expect("a socket")].into();
        for (field, greedy) in greedy("greedy", address) {
            check_served(&with(&objects, std::slice::from_ref(&greedy)), address);
            check_refused(&with(&objects, &[greedy]), &config, address, field);
        }
    }
}

#[test]
fn an_endpoint_of_the_api_server_is_served_by_no_service() {
    for address in ["192.0.2.21", "2001:db8::21"] {
        let objects = kubernetes(&[address]);
        for (field, greedy) in greedy("greedy", address) {
            check_refused(&with(&objects, &[greedy]), &config(), address, field);
        }
    }
}

#[test]
fn a_cluster_ip_of_the_api_server_is_served_only_by_its_service() {
    let mut config = config();
    config.api_server = ["10.96.0.1:443".parse().expect("a socket")].into();
    let (_, greedy) = greedy("greedy", "10.96.0.1")[1].clone();
    let state = with(&kubernetes(&["192.0.2.21"]), &[greedy]);
    let (desired, findings) = crate::compile(&state, &NodeState::default(), &config);
    let at: Vec<String> = (desired.tables)
        .virtual_servers_at([10, 96, 0, 1].into())
        .map(|(key, entry)| format!("{key} {}", entry.real_servers.len()))
        .collect();
    assert_eq!(at, ["10.96.0.1:443/TCP 1"]);
    assert!(desired.tables.addresses.contains(&[10, 96, 0, 1].into()));
    assert_eq!(findings.iter().filter(|one| is_mistake(one)).count(), 1);
}

/// Each change of endpoints gives the tables of a full compilation, and affects only Services at
/// the address.
#[test]
fn an_endpoint_change_affects_only_services_at_the_address() {
    for (_, greedy) in greedy("greedy", "192.0.2.21") {
        let (kubernetes, slices) = kubernetes(&["192.0.2.21"]);
        let bystander = service("bystander", &["10.96.0.8"]);
        let state = cluster(vec![kubernetes, greedy, bystander], Vec::new());
        let mut scene = Scene::new(state, compiler(), &NodeState::default());
        let added = ClusterEvent::Upsert(Object::EndpointSlice(slices[0].clone()));
        let gone = deleted(ObjectKind::EndpointSlice, "192.0.2.21");
        for (event, findings) in [(added, 1), (gone, 0)] {
            let keys = scene.apply(event);
            assert_eq!(*scene.compiler.desired(), compile(&scene.state).0);
            assert_eq!(scene.mistakes(), findings);
            assert_eq!(keys.addresses, [[192, 0, 2, 21].into()].into());
            let touched = [key("10.96.0.1:443"), key("192.0.2.21:80")];
            assert_eq!(keys.virtual_servers, touched.into());
            let entries = texts(keys.entries.iter().map(|(_, entry)| entry));
            assert!(!entries.is_empty());
            assert!(
                entries.iter().all(|entry| entry.contains("192.0.2.21")),
                "{entries:?}"
            );
        }
    }
}

/// Returns a node with the address 192.0.2.1 on an interface.
fn node() -> NodeState {
    eth0(&["192.0.2.1/24"])
}

/// Returns a Service with these ports and node ports at the node's address 192.0.2.1 and at
/// 203.0.113.9.
fn at_the_node(ports: &[u16], node_ports: &[u16]) -> Service {
    let mut greedy = service("greedy", &["10.96.0.9"]);
    greedy.external_ips = vec![parsed("192.0.2.1"), parsed("203.0.113.9")];
    let plain = ports
        .iter()
        .map(|number| port("http", *number, Protocol::Tcp));
    let with_node_port = node_ports.iter().zip(1..).map(|(node_port, at)| {
        let mut port = port("http", at, Protocol::Udp);
        port.node_port = NonZeroU16::new(*node_port).map(Parsed::Valid);
        port
    });
    greedy.ports = plain.chain(with_node_port).collect();
    greedy
}

/// Checks the virtual servers at the node's address, and the field and problem of each finding
/// except KIV0107.
#[track_caller]
fn check_ports(state: &ClusterState, config: &NodeConfig, served: &[&str], findings: &[&str]) {
    let (desired, found) = crate::compile(state, &node(), config);
    let at_node = (desired.tables).virtual_servers_at([192, 0, 2, 1].into());
    assert_eq!(texts(at_node.map(|(key, _)| key)), served);
    let found: Vec<String> = (found.iter())
        .filter(|finding| finding.code == model::Code::HostPort)
        .map(|finding| format!("{}: {}", finding.field, finding.problem))
        .collect();
    assert_eq!(found, findings);
}

#[test]
fn protected_ports_are_refused_only_at_addresses_of_the_node() {
    let greedy = at_the_node(&[22, 80, 10249, 10250, 10256], &[]);
    let state = cluster(vec![greedy], Vec::new());
    check_ports(
        &state,
        &config(),
        &["192.0.2.1:80/TCP"],
        &[
            "spec.ports[0].port: port 22 at this node's addresses belongs to a host program (protectedHostPorts)",
            "spec.ports[2].port: port 10249 at this node's addresses belongs to kube-ipvsd",
            "spec.ports[3].port: port 10250 at this node's addresses belongs to the kubelet",
            "spec.ports[4].port: port 10256 at this node's addresses belongs to kube-ipvsd",
        ],
    );
    let elsewhere = crate::compile(&state, &node(), &config()).0;
    let at_virtual = (elsewhere.tables).virtual_servers_at([203, 0, 113, 9].into());
    assert_eq!(at_virtual.count(), 5);
    let mut config = config();
    config.protected_host_ports = [80].into();
    config.listener_ports = [10256].into();
    check_ports(
        &state,
        &config,
        &["192.0.2.1:22/TCP", "192.0.2.1:10249/TCP"],
        &[
            "spec.ports[1].port: port 80 at this node's addresses belongs to a host program (protectedHostPorts)",
            "spec.ports[3].port: port 10250 at this node's addresses belongs to the kubelet",
            "spec.ports[4].port: port 10256 at this node's addresses belongs to kube-ipvsd",
        ],
    );
}

#[test]
fn protected_node_ports_are_refused() {
    let state = cluster(vec![at_the_node(&[], &[10250, 30080])], Vec::new());
    check_ports(
        &state,
        &config(),
        &["192.0.2.1:1/UDP", "192.0.2.1:2/UDP", "192.0.2.1:30080/UDP"],
        &["spec.ports[0].nodePort: port 10250 at this node's addresses belongs to the kubelet"],
    );
}

/// On a control-plane node the address is not bound. The API server keeps its port, and a Service
/// gets the others.
#[test]
fn the_api_server_on_this_node_keeps_its_port() {
    let (kubernetes, slices) = kubernetes(&["192.0.2.1"]);
    let state = cluster(
        vec![kubernetes, at_the_node(&[80, 6443], &[6443])],
        Vec::new(),
    );
    let mut scene = Scene::new(state, compiler(), &node());
    let come = ClusterEvent::Upsert(Object::EndpointSlice(slices[0].clone()));
    scene.apply(come);
    check_ports(
        &scene.state,
        &config(),
        &["192.0.2.1:1/UDP", "192.0.2.1:80/TCP"],
        &[
            "spec.ports[1].port: port 6443 at this node's addresses belongs to the API server",
            "spec.ports[2].nodePort: port 6443 at this node's addresses belongs to the API server",
        ],
    );
    let full = |state: &ClusterState| crate::compile(state, &node(), &config()).0;
    assert_eq!(*scene.compiler.desired(), full(&scene.state));
    scene.apply(deleted(ObjectKind::EndpointSlice, "192.0.2.1"));
    assert_eq!(*scene.compiler.desired(), full(&scene.state));
    assert!(!full(&scene.state).tables.virtual_servers.is_empty());
}

/// Returns a load balancer with the health-check node port `port`.
fn with_health_check(port: u16) -> Service {
    Service {
        kind: ServiceKind::LoadBalancer,
        external_policy: TrafficPolicy::Local,
        health_check_node_port: NonZeroU16::new(port).map(Parsed::Valid),
        ..service("web", &["10.96.0.9"])
    }
}

/// Checks the health-check node port `port`. `user` is the program that keeps it; `None` if it is
/// answered.
#[track_caller]
fn check_health_port(state: &ClusterState, config: &NodeConfig, port: u16, user: Option<&str>) {
    let (desired, found) = crate::compile(state, &node(), config);
    let answered: Vec<u16> = (desired.health_checks.values())
        .map(|check| check.port.get())
        .collect();
    let expected: Vec<u16> = user.is_none().then_some(port).into_iter().collect();
    assert_eq!(answered, expected, "{port}");
    let found = (found.iter()).filter(|finding| finding.code == model::Code::HostPort);
    let refused = user.map(|user| {
        format!(
            "KIV0117 error Service default/web: spec.healthCheckNodePort: port {port} at this node's addresses belongs to {user}; \
             load balancers cannot ask this node for endpoints; choose another port"
        )
    });
    assert_eq!(texts(found), Vec::from_iter(refused));
}

#[test]
fn a_protected_health_check_port_is_refused() {
    let program = Some("a host program (protectedHostPorts)");
    let mut changed = config();
    changed.protected_host_ports = [31000].into();
    for (config, port, user) in [
        (&config(), 10250, Some("the kubelet")),
        (&config(), 22, program),
        (&config(), 10256, Some("kube-ipvsd")),
        (&config(), 10249, Some("kube-ipvsd")),
        (&config(), 31000, None),
        (&changed, 31000, program),
        (&changed, 22, None),
    ] {
        let state = cluster(vec![with_health_check(port)], Vec::new());
        check_health_port(&state, config, port, user);
    }
}

/// The API server may move to this node or away while the Service stays unchanged.
#[test]
fn a_health_check_port_follows_the_protected_ports() {
    let (kubernetes, slices) = kubernetes(&["192.0.2.1"]);
    let state = cluster(vec![kubernetes, with_health_check(6443)], Vec::new());
    let mut scene = Scene::new(state, compiler(), &node());
    check_health_port(&scene.state, &config(), 6443, None);
    let come = ClusterEvent::Upsert(Object::EndpointSlice(slices[0].clone()));
    let gone = deleted(ObjectKind::EndpointSlice, "192.0.2.1");
    for (event, user) in [(come, Some("the API server")), (gone, None)] {
        scene.apply(event);
        check_health_port(&scene.state, &config(), 6443, user);
        let full = crate::compile(&scene.state, &node(), &config()).0;
        assert_eq!(*scene.compiler.desired(), full);
    }
}

/// A version without protection bound the address. The first sync after the restart removes it
/// completely.
#[test]
fn a_restart_removes_addresses_that_an_older_version_bound() {
    let (_, greedy) = greedy("greedy", "192.0.2.100")[1].clone();
    let mut state = with(&kubernetes(&["192.0.2.21"]), &[greedy]);
    let live = live(&compile(&state).0);
    let mut config = config();
    config.api_server = ["192.0.2.100:6443".parse().expect("a socket")].into();
    let expected = [
        "delete virtual server 192.0.2.100:80/TCP",
        "delete address 192.0.2.100 from kube-ipvs0",
        "delete 192.0.2.100,tcp:80 from set KUBE-EXTERNAL-IP",
        "delete 192.0.2.100 from set KUBE-IPVS-IPS",
    ];
    let ops = |state: &ClusterState| -> Vec<String> {
        let (desired, _) = crate::compile(state, &NodeState::default(), &config);
        let plan = diff(&desired, &live, &Ownership::new(&config));
        texts(plan.ops().map(|planned| &planned.op))
    };
    assert_eq!(ops(&state), expected);
    // The Service still exists, or it was deleted.
    state.absorb(deleted(ObjectKind::Service, "greedy"));
    let gone = ops(&state);
    assert!(
        expected
            .iter()
            .all(|op| gone.iter().any(|found| found == op)),
        "{gone:#?}"
    );
}
