use std::collections::BTreeSet;
use std::net::IpAddr;

use ipvs::AddressFamily;
use model::cluster::{ClusterEvent, ClusterState, Node, Object};
use model::config::{DetectLocal, NodeConfig, NodePortAddresses};
use model::snapshot::NodeState;

use super::{NodeChange, NodeContext};
use crate::rules::{LocalTraffic, NodePortPlaces};
use crate::testing::{self, config, interface, texts};

/// Returns lo, and eth0 with two addresses of each family, one of them link-local.
fn interfaces() -> NodeState {
    let eth0 = ["192.0.2.1/24", "169.254.1.1/16", "fd00::1/64", "fe80::1/64"];
    NodeState {
        interfaces: vec![
            interface("eth0", &eth0),
            interface("lo", &["127.0.0.1/8", "::1/128"]),
        ],
        ..NodeState::default()
    }
}

fn node(name: &str, addresses: &[&str]) -> Node {
    Node {
        zone: Some("zone-a".into()),
        ..testing::node(name, addresses)
    }
}

/// Returns a cluster without Services.
fn cluster(nodes: Vec<Node>) -> ClusterState {
    let mut cluster = ClusterState::default();
    for node in nodes {
        cluster.absorb(ClusterEvent::Upsert(Object::Node(node)));
    }
    cluster
}

fn view(config: &NodeConfig, nodes: Vec<Node>) -> NodeContext {
    let mut view = NodeContext::default();
    view.update_node(&interfaces(), config);
    view.update_nodes(&cluster(nodes), config);
    view
}

fn within(networks: &[&str]) -> NodePortAddresses {
    NodePortAddresses::Within(parsed(networks))
}

fn primary_and(networks: &[&str]) -> NodePortAddresses {
    NodePortAddresses::PrimaryAnd(parsed(networks))
}

fn parsed(networks: &[&str]) -> Vec<ipnetwork::IpNetwork> {
    let parsed = networks.iter().map(|text| text.parse().expect("a network"));
    parsed.collect()
}

/// Without networks, node ports are at all addresses except loopback and IPv6 link-local ones.
#[test]
fn node_ports_are_at_the_configured_addresses() {
    let everywhere = &["169.254.1.1", "192.0.2.1", "fd00::1"][..];
    let primary = &["192.0.2.1"][..];
    for (addresses, expected) in [
        (within(&[]), everywhere),
        (within(&["0.0.0.0/0", "10.0.0.0/8"]), everywhere),
        // Networks of one family do not restrict the other one.
        (within(&["192.0.2.0/24"]), &["192.0.2.1", "fd00::1"]),
        (within(&["10.0.0.0/8", "fe80::/10"]), &["fe80::1"]),
        (within(&["127.0.0.0/8", "::1/128"]), &[]),
        (primary_and(&[]), primary),
        (primary_and(&["127.0.0.0/8", "::1/128"]), primary),
        (
            primary_and(&["169.254.0.0/16"]),
            &["169.254.1.1", "192.0.2.1"],
        ),
        (primary_and(&["fd00::/8"]), &["192.0.2.1", "fd00::1"]),
        (primary_and(&["0.0.0.0/0", "::/0"]), everywhere),
    ] {
        let case = format!("{addresses:?}");
        let mut config = config();
        config.node_port_addresses = addresses;
        let view = view(&config, vec![node("node1", &["192.0.2.1"])]);
        assert_eq!(texts(&view.node_ports), expected, "{case}");
    }
}

fn check_primary(change: impl FnOnce(&mut NodeConfig), nodes: Vec<Node>, expected: [&str; 2]) {
    let mut config = config();
    change(&mut config);
    let view = view(&config, nodes);
    let found = AddressFamily::ALL.map(|family| view.primary(family, &config).to_string());
    assert_eq!(found, expected);
}

#[test]
fn the_primary_address_is_the_nodes_first_of_its_family() {
    let nodes = || vec![node("node1", &["192.0.2.1", "192.0.2.9", "fd00::1"])];
    check_primary(|_| {}, nodes(), ["192.0.2.1", "fd00::1"]);
    let bind = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
    check_primary(
        |config| config.bind_address = bind("198.51.100.7"),
        nodes(),
        ["198.51.100.7", "fd00::1"],
    );
    check_primary(|_| {}, vec![], ["127.0.0.1", "::1"]);
}

#[test]
fn a_deleted_node_keeps_its_properties() {
    let config = config();
    let mut view = view(&config, vec![node("node1", &["192.0.2.1"])]);
    let before = view.clone();
    view.update_nodes(&ClusterState::default(), &config);
    assert_eq!(view, before);
}

fn at(texts: &[&str]) -> BTreeSet<IpAddr> {
    let addresses = texts.iter().map(|text| text.parse().expect("an address"));
    addresses.collect()
}

fn check_node_change(nodes: Vec<Node>, expected: &NodeChange) {
    let config = config();
    let mut context = view(&config, vec![node("node1", &["192.0.2.1"])]);
    let cluster = cluster(nodes);
    assert_eq!(context.update_nodes(&cluster, &config), *expected);
    let again = context.update_nodes(&cluster, &config);
    assert_eq!(again, NodeChange::default());
}

#[test]
fn an_address_of_another_node_affects_only_services_at_it() {
    let own = || node("node1", &["192.0.2.1"]);
    check_node_change(vec![own()], &NodeChange::default());
    check_node_change(
        vec![own(), node("node2", &["192.0.2.2"])],
        &NodeChange {
            addresses: at(&["192.0.2.2"]),
            ..NodeChange::default()
        },
    );
    check_node_change(
        vec![node("node1", &["192.0.2.7"])],
        &NodeChange {
            all_services: true,
            ..NodeChange::default()
        },
    );
}

fn check_interface_change(address: &str, node_ports: NodePortAddresses, moves_node_ports: bool) {
    let mut config = config();
    config.node_port_addresses = node_ports;
    let mut context = view(&config, vec![node("node1", &["192.0.2.1"])]);
    let mut state = interfaces();
    state.interfaces.push(interface("veth1", &[address]));
    let expected = NodeChange {
        all_services: false,
        node_ports: moves_node_ports,
        addresses: at(&[address.split('/').next().unwrap_or_default()]),
        ..NodeChange::default()
    };
    assert_eq!(context.update_node(&state, &config), expected);
    assert_eq!(context.update_node(&interfaces(), &config), expected);
}

#[test]
fn an_interface_address_affects_node_ports_that_it_serves() {
    check_interface_change("fe80::2/64", within(&[]), false);
    check_interface_change("192.0.2.9/24", primary_and(&[]), false);
    check_interface_change("192.0.2.9/24", within(&[]), true);
}

#[test]
fn local_traffic_is_known_by_each_mode() {
    let network = |text: &str| text.parse().expect("a network");
    let cidrs = vec![network("10.0.0.0/8"), network("10.244.0.0/16")];
    let from = |text| LocalTraffic::From(network(text));
    let through = |name: &str| LocalTraffic::Through(name.into());
    let unknown = || LocalTraffic::Unknown;
    for (mode, expected) in [
        (
            DetectLocal::ClusterCidr(cidrs),
            [from("10.0.0.0/8"), unknown()],
        ),
        (DetectLocal::NodeCidr, [from("10.244.1.0/24"), unknown()]),
        (
            DetectLocal::BridgeInterface("cni0".into()),
            [through("cni0"), through("cni0")],
        ),
        (
            DetectLocal::InterfaceNamePrefix("veth".into()),
            [through("veth+"), through("veth+")],
        ),
    ] {
        let mut config = config();
        config.detect_local = mode;
        let view = view(&config, vec![node("node1", &[])]);
        let found = AddressFamily::ALL.map(|family| view.local_traffic(family, &config));
        assert_eq!(found, expected);
    }
}

#[test]
fn an_unknown_node_has_a_finding() {
    let findings = |nodes| NodeContext::default().findings(&cluster(nodes), &config());
    assert_eq!(findings(vec![]), []);
    assert_eq!(
        texts(findings(vec![node("node2", &[])])),
        [
            "KIV0401 warning Node node1: metadata.name: no Node has this name; no endpoint counts as on this node"
        ]
    );
}

/// The accepted places include every address at which node ports are served.
#[test]
fn node_ports_are_accepted_where_they_are_served() {
    let places = |addresses: NodePortAddresses, accepts| {
        let mut config = config();
        config.node_port_addresses = addresses;
        config.accept_served_traffic = accepts;
        let view = view(&config, vec![node("node1", &["192.0.2.1"])]);
        let accepted = AddressFamily::ALL.map(|family| view.accepted(family, &config));
        for address in &view.node_ports {
            let family = usize::from(address.is_ipv6());
            match &accepted[family] {
                None => assert!(!accepts),
                Some(NodePortPlaces::Everywhere) => {}
                Some(NodePortPlaces::Within(networks)) => {
                    assert!(networks.iter().any(|network| network.contains(*address)));
                }
            }
        }
        accepted
    };
    let everywhere = || Some(NodePortPlaces::Everywhere);
    let only = |networks: &[&str]| Some(NodePortPlaces::Within(parsed(networks)));
    assert_eq!(places(within(&[]), false), [None, None]);
    assert_eq!(places(within(&[]), true), [everywhere(), everywhere()]);
    assert_eq!(
        places(within(&["192.0.2.0/24"]), true),
        [only(&["192.0.2.0/24"]), everywhere()]
    );
    assert_eq!(
        places(within(&["192.0.2.7/24", "::/0", "fd00::/64"]), true),
        [only(&["192.0.2.0/24"]), everywhere()]
    );
    assert_eq!(
        places(primary_and(&[]), true),
        [only(&["192.0.2.1/32"]), only(&[])]
    );
}
