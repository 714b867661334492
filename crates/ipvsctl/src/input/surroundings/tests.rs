use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use kernel::linux::Route;
use model::snapshot::Interface;
use model::{NodeConfig, NodeState, NodeTables, text};
use trace::At;

use super::{Machine, Packet, Scene, Sender, scene};
use crate::cli::{Destination, SenderArgument};
use crate::input::Input;

const TABLES: &str = "\
-A -t 10.96.0.1:80 -s rr
-a -t 10.96.0.1:80 -r 10.244.1.5:8080 -m -w 1
-a -t 10.96.0.1:80 -r 10.244.2.5:8080 -m -w 1
-A -f 7 -s rr
-a -f 7 -r 10.244.3.5:8080 -m -w 1
-A -t 10.96.0.2:80 -s rr
-a -t 10.96.0.2:80 -r 10.244.9.9:8080 -m -w 1
# addresses
10.96.0.1/32
";

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn input() -> Input {
    let link = |name: &str, network: &str| Interface {
        name: name.into(),
        addresses: vec![network.parse().expect("a network")],
    };
    Input {
        cluster: Default::default(),
        config: NodeConfig::new("node1"),
        node: NodeState {
            interfaces: vec![link("cni0", "10.244.1.1/24"), link("eth0", "192.0.2.7/24")],
            ..NodeState::default()
        },
        desired: Default::default(),
        claims: planner::compile_with_claims(
            &Default::default(),
            &Default::default(),
            &NodeConfig::new("node1"),
            Default::default(),
        )
        .2,
        findings: Vec::new(),
        services: 0,
        whole: true,
        pods: Default::default(),
    }
}

fn tables() -> NodeTables {
    text::parse(TABLES).expect("tables")
}

fn packet(from: &str, to: &str) -> Packet {
    let sender = match from.parse().expect("a sender") {
        SenderArgument::Host => Sender::Host,
        SenderArgument::Outside(interface) => Sender::Outside(interface),
        SenderArgument::Address(address) => Sender::Pod {
            address,
            name: None,
        },
        SenderArgument::Pod(name) => panic!("{name} has no address"),
    };
    let Ok(Destination::Socket(to, protocol)) = to.parse() else {
        panic!("{to} is an address");
    };
    Packet::new(sender, None, (to, protocol)).expect("a packet")
}

fn route(interface: &str) -> Route {
    Route {
        interface: interface.into(),
        source: None,
        local: interface == "lo",
    }
}

/// A machine with the bridge cni0 and a pod behind cali1.
fn machine() -> Machine {
    let mut machine = Machine {
        bridges: BTreeSet::from(["cni0".into()]),
        ..Machine::default()
    };
    machine.routes.interfaces = vec!["lo".into(), "eth0".into(), "cni0".into()];
    machine.routes.routes = BTreeMap::from([
        (address("10.244.1.5"), route("cni0")),
        (address("10.244.2.5"), route("cali1")),
        (address("198.51.100.1"), route("eth0")),
        (address("192.0.2.7"), route("lo")),
        (address("10.96.0.1"), route("lo")),
    ]);
    machine
}

fn located(scene: &Scene, of: &str) -> Option<At> {
    scene.world.locate(address(of))
}

#[test]
fn addresses_of_a_packet_are_those_on_its_path() {
    let all = packet("outside", "10.96.0.1:80").addresses(&tables());
    let expected = [
        "10.96.0.1",
        "10.244.1.5",
        "10.244.2.5",
        "10.244.3.5",
        "198.51.100.1",
    ];
    assert_eq!(all, expected.map(address).into());
    let all = packet("host", "10.96.0.3:80").addresses(&tables());
    assert_eq!(all, ["10.96.0.3", "10.244.3.5"].map(address).into());
}

#[test]
fn routes_of_the_machine_locate_addresses() {
    let packet = packet("outside", "10.96.0.1:80");
    let scene = scene(&packet, &input(), &tables(), None, Some(&machine()));
    let link = |name: &str| Some(At::Link(Some(name.to_owned())));
    let unknown = Some(At::Unknown(Some("cali1".to_owned())));
    assert_eq!(
        located(&scene, "10.244.1.5"),
        Some(At::Bridge("cni0".to_owned()))
    );
    assert_eq!(located(&scene, "10.244.2.5"), unknown);
    assert_eq!(located(&scene, "198.51.100.1"), link("eth0"));
    assert_eq!(located(&scene, "10.244.3.5"), None);
    assert_eq!(located(&scene, "192.0.2.7"), Some(At::Host));
    assert_eq!(scene.world.first_interface.as_deref(), Some("eth0"));
    assert!(!scene.world.bridge_calls_iptables);
    assert_eq!(scene.sender, "outside");
}

#[test]
fn elsewhere_interfaces_locate_addresses() {
    let scene = scene(
        &packet("10.244.1.6", "10.96.0.1:80"),
        &input(),
        &tables(),
        None,
        None,
    );
    let unknown = Some(At::Unknown(None));
    assert_eq!(located(&scene, "10.244.2.5"), unknown);
    let near = Some(At::Unknown(Some("cni0".to_owned())));
    assert_eq!(located(&scene, "10.244.1.5"), near);
    assert!(scene.world.bridge_calls_iptables);
    assert_eq!(scene.sender, "pod on this node");
    assert!((scene.assumptions).contains(&"10.244.1.6 is a pod on this node".to_owned()));
}

#[test]
fn an_address_of_the_node_is_the_host() {
    let scene = scene(
        &packet("192.0.2.7", "10.96.0.1:80"),
        &input(),
        &tables(),
        None,
        None,
    );
    assert_eq!(scene.probe.from, "host");
}

#[test]
fn senders_and_destinations_are_parsed() {
    for (text, expected) in [
        ("host", SenderArgument::Host),
        ("outside", SenderArgument::Outside(None)),
        ("outside:eth0", SenderArgument::Outside(Some("eth0".into()))),
        ("fd00::1", SenderArgument::Address(address("fd00::1"))),
        (
            "shop/web-0",
            SenderArgument::Pod(model::ObjectName::new("shop", "web-0")),
        ),
    ] {
        assert_eq!(text.parse(), Ok(expected), "{text}");
    }
    for (text, expected) in [
        ("10.96.0.1:80", "10.96.0.1:80 TCP"),
        ("10.96.0.1:80/udp", "10.96.0.1:80 UDP"),
        ("[fd00::1]:80/sctp", "[fd00::1]:80 SCTP"),
        ("fd00::1/icmp", "[fd00::1]:0 protocol 1"),
    ] {
        let Ok(Destination::Socket(socket, protocol)) = text.parse() else {
            panic!("{text}");
        };
        assert_eq!(format!("{socket} {protocol}"), expected);
    }
    let Ok(Destination::Service(name, port)) = "a/b:http".parse() else {
        panic!("a Service");
    };
    assert_eq!(
        (name.to_string(), port.as_deref()),
        ("a/b".to_owned(), Some("http"))
    );
}

#[test]
fn sockets_of_the_machine_are_known() {
    let mut machine = machine();
    machine.sockets = ["192.0.2.7:22", "0.0.0.0:10256", "127.0.0.1:25", "[::]:80"]
        .map(|socket| (ipvs::Protocol::Tcp, socket.parse().expect("a socket")))
        .into();
    let outcome = |to: &str, machine: Option<&Machine>| {
        let (packet, tables, input) = (packet("outside", to), tables(), input());
        let scene = scene(&packet, &input, &tables, Some(10256), machine);
        let path = trace::trace(&tables, &scene.world, &scene.probe);
        path.verdict().expect("a verdict").to_string()
    };
    let seeing = "seeing 198.51.100.1";
    for (to, expected) in [
        (
            "192.0.2.7:22",
            format!("the socket 192.0.2.7:22 of this node {seeing}"),
        ),
        (
            "192.0.2.7:80",
            format!("the socket [::]:80 of this node {seeing}"),
        ),
        ("192.0.2.7:10256", format!("kube-ipvsd (healthz) {seeing}")),
        ("192.0.2.7:25", "refused".to_owned()),
        ("192.0.2.7:25/udp", "unreachable port".to_owned()),
        (
            "192.0.2.7:25/sctp",
            format!("delivered to 192.0.2.7:25 {seeing}"),
        ),
    ] {
        assert_eq!(outcome(to, Some(&machine)), expected, "{to}");
    }
    let delivered = format!("delivered to 192.0.2.7:25 {seeing}");
    assert_eq!(outcome("192.0.2.7:25", None), delivered);
}

#[test]
fn machine_is_read() {
    let loopback = address("127.0.0.1");
    let listener = std::net::TcpListener::bind((loopback, 0)).expect("a listener");
    let socket = listener.local_addr().expect("its address");
    let machine = Machine::without_rules(&[loopback].into()).expect("a machine");
    assert!(machine.sockets.contains(&(ipvs::Protocol::Tcp, socket)));
    let route = machine.routes.routes.get(&loopback).expect("a route");
    assert_eq!(&*route.interface, "lo");
}

#[test]
fn machine_knows_local_routes_and_forwarding() {
    let mut machine = machine();
    machine.keeps_ipv6 = true;
    let of = |machine: &Machine| {
        let (packet, mut tables, input) = (packet("outside", "10.96.0.1:80"), tables(), input());
        (tables.sysctls).insert("net.ipv4.ip_forward".into(), "0".into());
        scene(&packet, &input, &tables, None, Some(machine)).world
    };
    let world = of(&machine);
    assert!(!world.not_local.contains(&address("10.96.0.1")));
    assert_eq!(world.no_forwarding.len(), 2);
    machine.routes.routes.remove(&address("10.96.0.1"));
    assert!(of(&machine).not_local.contains(&address("10.96.0.1")));
}

#[test]
fn rules_of_other_programs_are_named_with_their_effect() {
    for (target, expected) in [
        ("DROP", "no answer: dropped by"),
        ("REJECT --reject-with tcp-reset", "refused: refused by"),
        (
            "REJECT --reject-with icmp-admin-prohibited",
            "refused with ICMP admin-prohibited: refused by",
        ),
        (
            "REJECT --reject-with icmp-host-unreachable",
            "refused with ICMP host unreachable: refused by",
        ),
    ] {
        let rule = format!("-A INPUT -p tcp -j {target}");
        let saved = format!("*filter\n{rule}\nCOMMIT\n");
        let rules = model::host_rules::HostRules::parse(&saved);
        let machine = Machine {
            host_rules: BTreeMap::from([(ipvs::AddressFamily::Ipv4, rules)]),
            ..machine()
        };
        let (packet, tables, input) = (packet("outside", "10.96.0.1:80"), tables(), input());
        let scene = scene(&packet, &input, &tables, None, Some(&machine));
        let path = trace::trace(&tables, &scene.world, &scene.probe);
        let subject = crate::schema::Subject {
            node_name: "node1",
            tables: "kernel",
            from: scene.sender.clone(),
            service: None,
            missing: None,
            endpoints: &scene.endpoints,
            assumptions: &scene.assumptions,
        };
        let document = crate::schema::Trace::new(&subject, &path);
        let expected = format!("{expected} rule `{rule}`, of another program, in filter INPUT");
        assert_eq!(document.verdict.text, expected);
        assert_eq!(document.verdict.result, "failed");
    }
}
