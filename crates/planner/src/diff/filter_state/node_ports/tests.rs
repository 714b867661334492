use std::collections::BTreeSet;

use ipset::Entry;
use ipvs::Protocol;
use model::cluster::ClusterState;
use model::config::NodePortAddresses;
use model::plan::{DependencyGate, Plan};
use model::sets::SetKind;
use model::{Desired, NodeConfig, NodeState, Op, Parsed, Snapshot, TableKeys};

use super::super::tests::{order, set};
use crate::testing::{
    after, cluster, endpoint, eth0, key, live, own, parsed, service, slice, texts, web,
};
use crate::{Ownership, diff};

#[test]
fn the_set_marks_node_ports_at_addresses_of_the_node() {
    let mut live = live(&web(&["10.1.0.1"]));
    live.node = eth0(&["192.0.2.1/24"]);
    let ports = live.tables.sets.get_mut(&set(SetKind::NodePortTcp));
    ports
        .expect("the set exists")
        .entries
        .insert(Entry::Port(30080));
    assert!(crate::is_marked(&live, key("192.0.2.1:30080")));
    assert!(!crate::is_marked(&live, key("192.0.2.2:30080")));
}

fn two_addresses() -> NodeState {
    eth0(&["192.0.2.1/24", "198.51.100.1/24"])
}

/// Returns the tables of Service `web` with the TCP node port 30080 and one endpoint.
fn node_port(endpoint_address: &str) -> Desired {
    node_port_over(Protocol::Tcp, endpoint_address)
}

fn node_port_over(protocol: Protocol, endpoint_address: &str) -> Desired {
    let mut service = service("web", &["10.96.0.1"]);
    service.ports[0].protocol = Parsed::Valid(protocol);
    service.ports[0].node_port = Some(parsed("30080"));
    let mut slice = slice("web", "web", vec![endpoint(endpoint_address)]);
    slice.ports[0].protocol = Parsed::Valid(protocol);
    let state = cluster(vec![service], vec![slice]);
    let mut config = NodeConfig::new("node1");
    config.node_port_addresses = NodePortAddresses::Within(Vec::new());
    crate::compile(&state, &two_addresses(), &config).0
}

fn lines_at_node_port(live: &Snapshot) -> Vec<String> {
    let lines = model::text::virtual_server_lines(&live.tables).into_iter();
    lines.filter(|line| line.contains(":30080")).collect()
}

/// Returns the live tables after the start of a process and the deletion of drained real servers,
/// and its first plan.
fn after_start(mut live: Snapshot, desired: &Desired) -> (Snapshot, Plan) {
    let first = diff(desired, &live, &own());
    let mut plan = first.clone();
    for _ in 0..2 {
        live = after(&live, &plan);
        plan = diff(desired, &live, &own());
    }
    assert!(plan.is_empty(), "{plan:#?}");
    (live, first)
}

/// The set of node ports contains only the port. Its entry would make a foreign virtual server look
/// like ours. One of another protocol does not contest the node port.
#[test]
fn a_node_port_beside_a_foreign_server_is_served_and_stays_ours() {
    let (first, second) = ("192.0.2.1:30080", "198.51.100.1:30080");
    for (protocol, ours, other) in [(Protocol::Tcp, "-t", "-u"), (Protocol::Udp, "-u", "-t")] {
        for (foreign, served, findings) in [(ours, &[second][..], 1), (other, &[first, second], 0)]
        {
            let foreign = format!("-A {foreign} {first} -s rr");
            let mut live = beside_foreign(&foreign);
            // A start, and a restart with another endpoint.
            for endpoint in ["10.1.0.1", "10.1.0.7"] {
                let plan;
                (live, plan) = after_start(live, &node_port_over(protocol, endpoint));
                let servers = [first, second].map(|at| format!("-A {ours} {at} -s rr"));
                let real_servers =
                    (served.iter()).map(|at| format!("-a {ours} {at} -r {endpoint}:8080 -m -w 1"));
                let expected: BTreeSet<String> = (servers.into_iter())
                    .chain(real_servers)
                    .chain([foreign.clone()])
                    .collect();
                let found: BTreeSet<_> = lines_at_node_port(&live).into_iter().collect();
                assert_eq!(found, expected, "{protocol:?} {foreign}");
                assert_eq!(plan.findings.len(), findings, "{protocol:?} {foreign}");
            }
        }
    }
}

/// The node may get the address later. The entry of the port would then mark the foreign virtual
/// server as ours.
#[test]
fn a_foreign_server_stays_foreign_when_the_node_gets_its_address() {
    let foreign = key("203.0.113.9:30080");
    let mut live = beside_foreign("-A -t 203.0.113.9:30080 -s rr");
    let desired = node_port("10.1.0.1");
    live = after_start(live, &desired).0;
    let servers = &live.tables.virtual_servers;
    assert_eq!(servers.len(), desired.tables.virtual_servers.len() + 1);
    live.node.interfaces[0]
        .addresses
        .push("203.0.113.9/24".parse().expect("a network"));
    assert!(!crate::is_marked(&live, foreign));
}

fn beside_foreign(line: &str) -> Snapshot {
    Snapshot {
        tables: model::text::parse(line).expect("it parses"),
        node: two_addresses(),
        ..Snapshot::default()
    }
}

/// Returns the entries of the set of this kind as text.
fn entries(live: &Snapshot, kind: SetKind) -> Vec<String> {
    texts(&live.tables.sets[&set(kind)].entries)
}

/// The entry of the port and its stand-ins replace each other. The new mark of a virtual server is
/// added before the old one is deleted, and the old one stays if the addition fails.
#[test]
fn marks_of_a_node_port_follow_the_foreign_virtual_server() {
    let desired = node_port("10.1.0.1");
    let foreign = key("192.0.2.1:30080");
    let (mut live, _) = after_start(beside_foreign("-A -t 192.0.2.1:30080 -s rr"), &desired);
    let stand_in = ["198.51.100.1,tcp:30080"];
    assert_eq!(entries(&live, SetKind::ExternalIp), stand_in);
    assert_eq!(entries(&live, SetKind::NodePortTcp), [""; 0]);

    let server = live.tables.virtual_servers.remove(&foreign);
    let plan = diff(&desired, &live, &own());
    assert_eq!(
        order(&plan),
        ["entries", "virtual servers", "real servers", "del entries"]
    );
    let mut gate = DependencyGate::default();
    let add = plan
        .ops()
        .find(|planned| matches!(planned.op, Op::AddEntry(..)));
    gate.not_done(&add.expect("the plan adds the entry of the port").op);
    let delete = plan
        .ops()
        .find(|planned| matches!(planned.op, Op::DelEntry(..)));
    let (admitted, blocked) =
        gate.admit(vec![delete.expect("the plan deletes the stand-in").clone()]);
    assert_eq!((admitted.len(), blocked.len()), (0, 1));
    live = after_start(live, &desired).0;
    assert_eq!(entries(&live, SetKind::ExternalIp), [""; 0]);
    assert_eq!(entries(&live, SetKind::NodePortTcp), ["30080"]);

    // Another program adds its virtual server at an address that the node gets later.
    live.tables
        .virtual_servers
        .extend(server.map(|server| (foreign, server)));
    let own = Ownership {
        foreign: [foreign].into(),
        ..own()
    };
    let plan = diff(&desired, &live, &own);
    assert_eq!(order(&plan), ["entries", "del entries"]);
    live = after(&live, &plan);
    assert_eq!(entries(&live, SetKind::ExternalIp), stand_in);
    assert_eq!(entries(&live, SetKind::NodePortTcp), [""; 0]);
    assert!(!crate::is_marked(&live, foreign));
}

/// A sync of one Service compares only its entries, so it must keep the last mark of a virtual
/// server.
#[test]
fn a_sync_of_one_service_keeps_the_last_mark() {
    let desired = node_port("10.1.0.1");
    let (mut live, _) = after_start(beside_foreign("-A -t 192.0.2.1:30080 -s rr"), &desired);
    live.tables.virtual_servers.remove(&key("192.0.2.1:30080"));
    let ours = key("198.51.100.1:30080");
    let keys = TableKeys {
        virtual_servers: [ours].into(),
        ..TableKeys::default()
    };
    let plan = crate::diff_keys(&desired, &live, &own(), &keys);
    assert!(plan.is_empty(), "{plan:#?}");
    // The Service loses its port: the virtual server and its stand-in are deleted together.
    let (gone, _) = crate::compile(
        &ClusterState::default(),
        &two_addresses(),
        &NodeConfig::new("node1"),
    );
    let plan = crate::diff_keys(&gone, &live, &own(), &keys);
    assert_eq!(
        texts(plan.ops().map(|planned| &planned.op)),
        [
            "delete virtual server 198.51.100.1:30080/TCP",
            "delete 198.51.100.1,tcp:30080 from set KUBE-EXTERNAL-IP"
        ]
    );
}
