//! Protection of addresses and ports, from the cluster to the tables. A refused address does not
//! appear in the tables.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use ipvs::Protocol;
use model::cluster::{EndpointSlice, Parsed, Service, ServiceKind, TrafficPolicy};
use model::snapshot::Interface;
use model::{ClusterEvent, ClusterState, NodeConfig, NodeState, Object, ObjectKind, ObjectName};

use crate::testing::{cluster, compile, config, endpoint, is_mistake, port, service, slice};
use crate::{Compiler, Ownership, diff};

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

fn ip(text: &str) -> Parsed<std::net::IpAddr> {
    Parsed::Valid(text.parse().expect("an address"))
}

/// Returns load balancers `NAME` that request `address`, one for each kind of address.
fn greedy(name: &str, address: &str) -> [(&'static str, Service); 3] {
    let plain = || Service {
        kind: ServiceKind::LoadBalancer,
        ..service(name, &["10.96.0.9", "fd00:96::9"])
    };
    let mut by_cluster_ip = plain();
    by_cluster_ip.cluster_ips.push(ip(address));
    let by_external_ip = Service {
        external_ips: vec![ip(address)],
        ..plain()
    };
    let by_load_balancer_ip = Service {
        load_balancer_ips: vec![ip(address)],
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
    let texts: Vec<String> = mistakes.map(ToString::to_string).collect();
    let expected = format!(
        "KIV0116 error Service default/greedy: {field}: {address} is an address of the API server; \
         this address is not served; choose another one"
    );
    assert_eq!(texts, [expected]);
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
        let mut state = cluster(vec![kubernetes, greedy, bystander], Vec::new());
        let mut compiler = Compiler::new(config());
        compiler.update_all(&state, &NodeState::default());
        let added = ClusterEvent::Upsert(Object::EndpointSlice(slices[0].clone()));
        let gone = ClusterEvent::Delete(ObjectKind::EndpointSlice, slices[0].name.clone());
        for (event, findings) in [(added, 1), (gone, 0)] {
            let changed = state.absorb(event);
            let keys = compiler.update(&state, &changed);
            assert_eq!(*compiler.desired(), compile(&state).0);
            let found = compiler.findings().filter(|one| is_mistake(one));
            assert_eq!(found.count(), findings);
            assert_eq!(keys.addresses, [[192, 0, 2, 21].into()].into());
            let touched: BTreeSet<String> = keys
                .virtual_servers
                .iter()
                .map(ToString::to_string)
                .collect();
            let expected = ["10.96.0.1:443/TCP", "192.0.2.21:80/TCP"].map(str::to_owned);
            assert_eq!(touched, expected.into());
        }
    }
}

/// Returns a node with the address 192.0.2.1 on an interface.
fn node() -> NodeState {
    NodeState {
        interfaces: vec![Interface {
            name: "eth0".into(),
            addresses: vec!["192.0.2.1/24".parse().expect("a network")],
        }],
        ..NodeState::default()
    }
}

/// Returns a Service with these ports and node ports at the node's address 192.0.2.1 and at
/// 203.0.113.9.
fn at_the_node(ports: &[u16], node_ports: &[u16]) -> Service {
    let mut greedy = service("greedy", &["10.96.0.9"]);
    greedy.external_ips = vec![ip("192.0.2.1"), ip("203.0.113.9")];
    let number = |port: u16| NonZeroU16::new(port).map(Parsed::Valid);
    let plain = ports
        .iter()
        .map(|number| port("http", *number, Protocol::Tcp));
    let with_node_port = node_ports.iter().zip(1..).map(|(node_port, at)| {
        let mut port = port("http", at, Protocol::Udp);
        port.node_port = number(*node_port);
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
    let at_node: Vec<String> = (desired.tables)
        .virtual_servers_at([192, 0, 2, 1].into())
        .map(|(key, _)| key.to_string())
        .collect();
    assert_eq!(at_node, served);
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
    let mut state = cluster(
        vec![kubernetes, at_the_node(&[80, 6443], &[6443])],
        Vec::new(),
    );
    let mut compiler = Compiler::new(config());
    compiler.update_all(&state, &node());
    let both = ["192.0.2.1:1/UDP", "192.0.2.1:80/TCP"];
    for slice in slices.iter().cloned() {
        let changed = state.absorb(ClusterEvent::Upsert(Object::EndpointSlice(slice)));
        compiler.update(&state, &changed);
    }
    check_ports(
        &state,
        &config(),
        &both,
        &[
            "spec.ports[1].port: port 6443 at this node's addresses belongs to the API server",
            "spec.ports[2].nodePort: port 6443 at this node's addresses belongs to the API server",
        ],
    );
    let full = |state: &ClusterState| crate::compile(state, &node(), &config()).0;
    assert_eq!(*compiler.desired(), full(&state));
    let gone = ClusterEvent::Delete(ObjectKind::EndpointSlice, slices[0].name.clone());
    let changed = state.absorb(gone);
    compiler.update(&state, &changed);
    assert_eq!(*compiler.desired(), full(&state));
    assert!(!full(&state).tables.virtual_servers.is_empty());
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
    let found: Vec<String> = (found.iter())
        .filter(|finding| finding.code == model::Code::HostPort)
        .map(ToString::to_string)
        .collect();
    let refused = user.map(|user| {
        format!(
            "KIV0117 error Service default/web: spec.healthCheckNodePort: port {port} at this node's addresses belongs to {user}; \
             load balancers cannot ask this node for endpoints; choose another port"
        )
    });
    assert_eq!(found, Vec::from_iter(refused));
}

#[test]
fn a_protected_health_check_port_is_refused() {
    for (port, user) in [
        (10250, Some("the kubelet")),
        (22, Some("a host program (protectedHostPorts)")),
        (10256, Some("kube-ipvsd")),
        (10249, Some("kube-ipvsd")),
        (31000, None),
    ] {
        let state = cluster(vec![with_health_check(port)], Vec::new());
        check_health_port(&state, &config(), port, user);
    }
    let mut config = config();
    config.protected_host_ports = [31000].into();
    for (port, user) in [
        (31000, Some("a host program (protectedHostPorts)")),
        (22, None),
    ] {
        let state = cluster(vec![with_health_check(port)], Vec::new());
        check_health_port(&state, &config, port, user);
    }
}

/// The API server may move to this node or away while the Service stays unchanged.
#[test]
fn a_health_check_port_follows_the_protected_ports() {
    let (kubernetes, slices) = kubernetes(&["192.0.2.1"]);
    let mut state = cluster(vec![kubernetes, with_health_check(6443)], Vec::new());
    let mut compiler = Compiler::new(config());
    compiler.update_all(&state, &node());
    check_health_port(&state, &config(), 6443, None);
    let come = ClusterEvent::Upsert(Object::EndpointSlice(slices[0].clone()));
    let gone = ClusterEvent::Delete(ObjectKind::EndpointSlice, slices[0].name.clone());
    for (event, user) in [(come, Some("the API server")), (gone, None)] {
        let changed = state.absorb(event);
        compiler.update(&state, &changed);
        check_health_port(&state, &config(), 6443, user);
        let full = crate::compile(&state, &node(), &config()).0;
        assert_eq!(*compiler.desired(), full);
    }
}

/// A version without protection bound the address. The first sync after the restart removes it
/// completely.
#[test]
fn a_restart_removes_addresses_that_an_older_version_bound() {
    let (_, greedy) = greedy("greedy", "192.0.2.100")[1].clone();
    let mut state = with(&kubernetes(&["192.0.2.21"]), &[greedy]);
    let live = model::Snapshot {
        tables: compile(&state).0.tables,
        device: true,
        ..model::Snapshot::default()
    };
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
        plan.ops().map(|planned| planned.op.to_string()).collect()
    };
    assert_eq!(ops(&state), expected);
    // The Service still exists, or it was deleted.
    let name = ObjectName::new("default", "greedy");
    state.absorb(ClusterEvent::Delete(ObjectKind::Service, name));
    let gone = ops(&state);
    assert!(
        expected
            .iter()
            .all(|op| gone.iter().any(|found| found == op)),
        "{gone:#?}"
    );
}
