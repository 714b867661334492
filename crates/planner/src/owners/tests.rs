use ipset::Entry;
use model::cluster::Service;
use model::config::NodePortAddresses;
use model::tables::TableKeys;
use model::{ClusterState, NodeState};

use super::EntryOwner;
use crate::compile_with_claims;
use crate::testing::{cluster, config, endpoint, eth0, parsed, service, slice, unready};

/// Returns the owners of each entry and each address of the desired tables, and the number of those
/// without owner.
fn owners(state: &ClusterState, node: &NodeState) -> (Vec<String>, usize) {
    let mut config = config();
    config.node_port_addresses = NodePortAddresses::Within(Vec::new());
    let (desired, _, claims) = compile_with_claims(state, node, &config, Default::default());
    let mut keys = TableKeys {
        addresses: desired.tables.addresses.clone(),
        ..TableKeys::default()
    };
    for (name, set) in &desired.tables.sets {
        let entries = set.entries.iter();
        (keys.entries).extend(entries.map(|entry| (name.clone(), *entry)));
    }
    let all = keys.entries.len() + keys.addresses.len();
    // An entry that no Service asks for has no owner.
    let stray = keys.entries.first().map(|(set, _)| set.clone());
    keys.entries
        .extend(stray.map(|set| (set, Entry::Ip([192, 0, 2, 99].into()))));
    let owners = claims.owners(&keys);
    let text = |what: String, owner: &EntryOwner| {
        let ports: Vec<String> = owner.iter().map(ToString::to_string).collect();
        format!("{what}: {}", ports.join(" "))
    };
    let entries =
        (owners.entries.iter()).map(|((set, entry), owner)| text(format!("{set} {entry}"), owner));
    let addresses = (owners.addresses.iter()).map(|(at, owner)| text(at.to_string(), owner));
    let lines: Vec<String> = entries.chain(addresses).collect();
    let found = lines.len();
    (lines, all - found)
}

fn with_node_port(name: &str, cluster_ip: &str) -> Service {
    let mut service = service(name, &[cluster_ip]);
    service.ports[0].node_port = Some(parsed("30080"));
    service
}

#[test]
fn every_entry_of_the_desired_tables_has_an_owner() {
    let mut local = endpoint("10.1.0.1");
    local.node = Some("node1".into());
    let mut sick = unready("10.1.0.2", false, false);
    sick.node = Some("node1".into());
    let state = cluster(
        vec![with_node_port("web", "10.96.0.1")],
        vec![slice("web", "web", vec![local, sick])],
    );
    let (lines, without) = owners(&state, &eth0(&["192.0.2.1/24"]));
    assert_eq!(without, 0, "{lines:#?}");
    assert_eq!(
        lines,
        [
            "KUBE-CLUSTER-IP 10.96.0.1,tcp:80: default/web:http",
            "KUBE-IPVS-IPS 10.96.0.1: default/web:http",
            "KUBE-LOOP-BACK 10.1.0.1,tcp:8080,10.1.0.1: default/web:http",
            "KUBE-LOOP-BACK 10.1.0.2,tcp:8080,10.1.0.2: default/web",
            "KUBE-NODE-PORT-TCP 30080: default/web:http",
            "10.96.0.1: default/web:http",
        ]
    );
}

#[test]
fn shared_entries_name_every_service_once() {
    let mut local = endpoint("10.1.0.1");
    local.node = Some("node1".into());
    let external = |name: &str, cluster_ip: &str, port: u16| {
        let mut service = service(name, &[cluster_ip]);
        service.external_ips = vec![parsed("203.0.113.3")];
        service.ports[0] = crate::testing::port("http", port, ipvs::Protocol::Tcp);
        service
    };
    let state = cluster(
        vec![
            external("b", "10.96.0.2", 81),
            external("a", "10.96.0.1", 80),
            external("c", "10.96.0.3", 82),
        ],
        vec![
            slice("a", "a", vec![local.clone()]),
            slice("b", "b", vec![local.clone()]),
            slice("c", "c", vec![local]),
        ],
    );
    let (lines, without) = owners(&state, &NodeState::default());
    assert_eq!(without, 0, "{lines:#?}");
    for shared in [
        "203.0.113.3: default/a:http default/b:http default/c:http",
        "KUBE-IPVS-IPS 203.0.113.3: default/a:http default/b:http default/c:http",
        "KUBE-LOOP-BACK 10.1.0.1,tcp:8080,10.1.0.1: default/a:http default/b:http default/c:http",
        "KUBE-EXTERNAL-IP 203.0.113.3,tcp:81: default/b:http",
    ] {
        assert!(lines.iter().any(|line| line == shared), "{lines:#?}");
    }
}
