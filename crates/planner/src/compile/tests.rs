mod checks;
mod slow_start;
mod unlabelled;

use std::collections::BTreeSet;

use ipvs::{AddressFamily, VirtualServerKey};
use model::cluster::{Changed, EndpointSlice, Node, Parsed, Service};
use model::config::NodePortAddresses;
use model::finding::Code;
use model::missing_family::{FamilyGap, MissingFamily};
use model::policy::Annotation;
use model::sets::SetKind;
use model::tables::Desired;
use model::{ClusterEvent, ClusterState, NodeState, Object, ObjectKind};

use crate::Compiler;
use crate::testing::{
    Scene, cluster, compile, compiler, config, deleted, endpoint, eth0, is_mistake, key, node,
    parsed, service, slice, texts,
};

#[test]
fn a_change_affects_only_the_entries_of_its_service() {
    let state = cluster(
        vec![service("a", &["10.96.0.1"]), service("b", &["10.96.0.2"])],
        vec![
            slice("a", "a", vec![endpoint("10.1.0.1")]),
            slice("b", "b", vec![endpoint("10.1.0.2")]),
        ],
    );
    let mut scene = Scene::new(state, compiler(), &NodeState::default());

    let more = slice("b", "b", vec![endpoint("10.1.0.2"), endpoint("10.1.0.3")]);
    let keys = scene.apply(ClusterEvent::Upsert(Object::EndpointSlice(more)));
    assert_eq!(texts(&keys.virtual_servers), ["10.96.0.2:80/TCP"]);
    assert_eq!(keys.addresses, BTreeSet::new());
    assert_eq!(*scene.compiler.desired(), compile(&scene.state).0);
}

#[test]
fn the_zone_of_the_own_node_affects_every_service() {
    let mut near = endpoint("10.1.0.1");
    near.zone_hints = Box::new(["zone-a".into()]);
    let mut far = endpoint("10.1.0.2");
    far.zone_hints = Box::new(["zone-b".into()]);
    let state = cluster(
        vec![service("a", &["10.96.0.1"])],
        vec![slice("a", "a", vec![near, far])],
    );
    let mut scene = Scene::new(state, compiler(), &NodeState::default());

    let node = Node {
        zone: Some("zone-a".into()),
        ..node("node1", &[])
    };
    let keys = scene.apply(ClusterEvent::Upsert(Object::Node(node)));
    assert_eq!(keys.virtual_servers.len(), 1);
    let tables = &scene.compiler.desired().tables;
    let entry = tables.virtual_servers.values().next();
    assert_eq!(entry.map(|entry| entry.real_servers.len()), Some(1));
}

#[test]
fn an_empty_change_affects_no_entry() {
    let state = cluster(vec![service("a", &["10.96.0.1"])], Vec::new());
    let mut compiler = compiler();
    assert!(
        !compiler
            .update_all(&state, &NodeState::default())
            .is_empty()
    );
    assert!(
        compiler
            .update_all(&state, &NodeState::default())
            .is_empty()
    );
    assert!(compiler.update(&state, &Changed::default()).is_empty());
}

/// Returns one Service of each kind. `own` requests an address of the node, `protected` an address
/// that is refused.
fn services() -> Vec<Service> {
    let mut port = service("port", &["10.96.0.2"]);
    port.ports[0].node_port = Some(parsed("30080"));
    let external = |name, cluster_ip, address| Service {
        external_ips: vec![parsed(address)],
        ..service(name, &[cluster_ip])
    };
    let balanced = Service {
        load_balancer_ips: vec![parsed("203.0.113.5")],
        ..service("balanced", &["10.96.0.6"])
    };
    vec![
        service("plain", &["10.96.0.1"]),
        port,
        external("external", "10.96.0.3", "203.0.113.3"),
        external("own", "10.96.0.4", "192.0.2.1"),
        external("protected", "10.96.0.5", "198.51.100.1"),
        balanced,
    ]
}

/// Compiles [`services`], and removes the endpoint of each Service from the cluster afterwards. The
/// changed keys then show which Services were compiled again.
fn unseen(node: &NodeState) -> Scene {
    let services = services();
    let slices = (services.iter()).map(|service| {
        slice(
            &service.name.name,
            &service.name.name,
            vec![endpoint("10.1.0.1")],
        )
    });
    let state = cluster(services.clone(), slices.collect());
    let mut config = config();
    config.node_port_addresses = NodePortAddresses::Within(Vec::new());
    config.protected_cidrs = vec!["198.51.100.0/24".parse().expect("a network")];
    let mut scene = Scene::new(state, Compiler::new(config), node);
    for service in services {
        let gone = deleted(ObjectKind::EndpointSlice, &service.name.name);
        scene.state.absorb(gone);
    }
    scene
}

/// Returns the names of the Services whose entries are in `keys`, because they were compiled again.
fn compiled(keys: &model::TableKeys, state: &ClusterState) -> Vec<String> {
    let at = |key: &VirtualServerKey| match key {
        VirtualServerKey::Address { address, .. } => Parsed::Valid(*address),
        VirtualServerKey::Fwmark { .. } => panic!("no Service has a firewall mark"),
    };
    let cluster_ips: BTreeSet<_> = keys.virtual_servers.iter().map(at).collect();
    (state.service_names())
        .filter_map(|name| state.service(name))
        .filter(|service| {
            service
                .cluster_ips
                .iter()
                .any(|ip| cluster_ips.contains(ip))
        })
        .map(|service| service.name.name.to_string())
        .collect()
}

fn check_compiled_by_address(address: &str, expected: &[&str]) {
    let before = ["192.0.2.1/24"];
    let after = ["192.0.2.1/24", address];
    for (before, after) in [(&before[..], &after[..]), (&after[..], &before[..])] {
        let mut scene = unseen(&eth0(before));
        let keys = scene.look_at_node(&eth0(after));
        assert_eq!(compiled(&keys, &scene.state), expected, "{address}");
    }
}

#[test]
fn an_interface_address_affects_its_dependent_services() {
    check_compiled_by_address("fe80::1/64", &[]);
    check_compiled_by_address("192.0.2.2/24", &["port"]);
    check_compiled_by_address("203.0.113.3/24", &["external", "port"]);
    check_compiled_by_address("203.0.113.5/24", &["balanced", "port"]);
    check_compiled_by_address("198.51.100.1/24", &["port", "protected"]);
}

/// Deviation D10.
#[test]
fn a_cluster_ip_on_an_interface_has_no_node_ports() {
    let served = |scene: &Scene| -> Vec<String> {
        let mut keys = texts(scene.compiler.desired().tables.virtual_servers.keys());
        keys.retain(|key| key.contains(":30080/"));
        keys
    };
    let elsewhere = ["192.0.2.1:30080/TCP"];
    let everywhere = ["10.96.0.1:30080/TCP", "192.0.2.1:30080/TCP"];
    let node = eth0(&["192.0.2.1/24", "10.96.0.1/32"]);
    let mut scene = unseen(&node);
    assert_eq!(served(&scene), elsewhere);

    // The address stops being a cluster IP and becomes one again. Only the Services with node ports
    // are compiled again.
    let keys = scene.apply(deleted(ObjectKind::Service, "plain"));
    assert_eq!(served(&scene), everywhere);
    assert_eq!(compiled(&keys, &scene.state), ["port"]);
    let upsert = |name: &str| ClusterEvent::Upsert(Object::Service(service(name, &["10.96.0.1"])));
    scene.apply(upsert("plain"));
    assert_eq!(served(&scene), elsewhere);

    // Adding and deleting a second Service at the address changes nothing for other Services.
    for event in [upsert("second"), deleted(ObjectKind::Service, "second")] {
        scene.apply(event);
        assert_eq!(served(&scene), elsewhere);
    }

    scene.look_at_node(&eth0(&["192.0.2.1/24"]));
    assert_eq!(served(&scene), elsewhere);
    scene.look_at_node(&node);
    assert_eq!(served(&scene), elsewhere);
}

/// Deviation D8: such an address is the node's own, and a Service with it must not disable the node
/// ports of the node.
#[test]
fn an_external_address_on_an_interface_keeps_its_node_ports() {
    for address in ["192.0.2.1", "203.0.113.3", "203.0.113.5"] {
        let scene = unseen(&eth0(&[&format!("{address}/24")]));
        let node_port = key(&format!("{address}:30080"));
        let servers = &scene.compiler.desired().tables.virtual_servers;
        assert!(servers.contains_key(&node_port), "{address}");
    }
}

fn check_compiled_by_node(node: Node, expected: &[&str]) {
    let mut scene = unseen(&eth0(&["192.0.2.1/24"]));
    let keys = scene.apply(ClusterEvent::Upsert(Object::Node(node)));
    assert_eq!(compiled(&keys, &scene.state), expected);
}

#[test]
fn a_node_affects_its_dependent_services() {
    check_compiled_by_node(node("node2", &["192.0.2.9"]), &[]);
    check_compiled_by_node(node("node2", &["203.0.113.3"]), &["external"]);
    check_compiled_by_node(node("node1", &[]), &[]);
    let all = ["balanced", "external", "own", "plain", "port", "protected"];
    check_compiled_by_node(node("node1", &["192.0.2.1"]), &all);
}

#[test]
fn a_deleted_service_depends_on_nothing() {
    let mut scene = unseen(&eth0(&[]));
    for name in ["external", "port"] {
        scene.apply(deleted(ObjectKind::Service, name));
    }
    let keys = scene.look_at_node(&eth0(&["203.0.113.3/24"]));
    assert!(keys.is_empty());
}

/// Findings of a Service, of a clash and of the node change independently.
#[test]
fn finding_changes_follow_their_sources() {
    let odd = |name: &str, created| Service {
        created: Some(created),
        annotations: [Annotation::new("scheduler", "BAD")].into(),
        ..service(name, &["10.96.0.1"])
    };
    let upsert = |service: Service| ClusterEvent::Upsert(Object::Service(service));
    let state = cluster(vec![odd("a", 2)], Vec::new());
    let mut scene = Scene::new(state, compiler(), &NodeState::default());
    let mut step = |event: ClusterEvent| {
        scene.apply(event);
        let changes = scene.compiler.take_finding_changes();
        let text = |findings: Vec<model::Finding>| -> Vec<String> {
            let name = |finding: model::Finding| format!("{} {}", finding.code, finding.object);
            (findings.into_iter().filter(is_mistake))
                .map(name)
                .collect()
        };
        (text(changes.raised), text(changes.cleared))
    };
    let check = |changes: (Vec<String>, Vec<String>), raised: &[&str], cleared: &[&str]| {
        assert_eq!(changes.0, raised);
        assert_eq!(changes.1, cleared);
    };
    let nothing = ClusterEvent::ListStarted(ObjectKind::Service);
    check(step(nothing), &["KIV0115 default/a"], &[]);
    // The new Service is younger and loses.
    let raised = ["KIV0115 default/c", "KIV0201 default/c"];
    check(step(upsert(odd("c", 3))), &raised, &[]);
    // This Service is older and wins: `c` now loses to another Service.
    check(
        step(upsert(Service {
            created: Some(1),
            ..service("b", &["10.96.0.1"])
        })),
        &["KIV0201 default/a", "KIV0201 default/c"],
        &["KIV0201 default/c"],
    );
    check(
        step(deleted(ObjectKind::Service, "b")),
        &["KIV0201 default/c"],
        &["KIV0201 default/a", "KIV0201 default/c"],
    );
    let other_node = Object::Node(node("node2", &[]));
    check(
        step(ClusterEvent::Upsert(other_node)),
        &["KIV0401 node1"],
        &[],
    );
    let own_node = Object::Node(node("node1", &[]));
    check(
        step(ClusterEvent::Upsert(own_node)),
        &[],
        &["KIV0401 node1"],
    );
}

/// Returns Services of both families and of one family, with node ports, external and load-balancer
/// addresses and source ranges.
fn in_families() -> (ClusterState, Vec<EndpointSlice>) {
    let ranged = |name, cluster_ip, ranges: &[&str]| Service {
        load_balancer_ips: vec![parsed("203.0.113.9"), parsed("2001:db8::9")],
        external_ips: vec![parsed("2001:db8::1")],
        source_ranges: (ranges.iter()).map(|range| parsed(range)).collect(),
        ..service(name, cluster_ip)
    };
    let mut dual = service("dual", &["10.96.0.1", "fd00::1"]);
    dual.ports[0].node_port = Some(parsed("30080"));
    let services = vec![
        dual,
        service("four", &["10.96.0.2"]),
        service("six", &["fd00::2"]),
        ranged("ranged", &["10.96.0.3", "fd00::3"], &["2001:db8:1::/64"]),
    ];
    let slices: Vec<EndpointSlice> = (services.iter())
        .map(|service| {
            let name = &service.name.name;
            slice(name, name, vec![endpoint("10.1.0.1")])
        })
        .collect();
    (cluster(services, slices.clone()), slices)
}

fn lacking(family: Option<AddressFamily>) -> NodeState {
    NodeState {
        missing: family.map(|family| MissingFamily {
            family,
            gap: FamilyGap::NoNat,
        }),
        ..eth0(&["192.0.2.1/24", "fd77::1/64"])
    }
}

/// Returns true if `desired` contains nothing of `family`.
fn is_without(desired: &Desired, family: AddressFamily) -> bool {
    let tables = &desired.tables;
    let of_family = |address: &std::net::IpAddr| AddressFamily::of(*address) == family;
    let at_family = |key: &VirtualServerKey| match key {
        VirtualServerKey::Address { address, .. } => of_family(address),
        VirtualServerKey::Fwmark { .. } => false,
    };
    let is_six = |name: &ipset::SetName| name.to_string().starts_with("KUBE-6-");
    let six = family == AddressFamily::Ipv6;
    !tables.virtual_servers.keys().any(at_family)
        && !tables.addresses.iter().any(of_family)
        && !tables.sets.keys().any(|name| is_six(name) == six)
        && !tables.rules.contains_key(&family)
}

#[test]
fn a_missing_family_is_skipped_with_one_finding() {
    let (state, _) = in_families();
    for (missing, served) in [
        (AddressFamily::Ipv6, AddressFamily::Ipv4),
        (AddressFamily::Ipv4, AddressFamily::Ipv6),
    ] {
        let (desired, findings) = crate::compile(&state, &lacking(Some(missing)), &config());
        assert!(is_without(&desired, missing), "{missing}");
        let (both, before) = crate::compile(&state, &lacking(None), &config());
        assert!(!is_without(&both, missing));
        // The tables of the other family equal those of a node that has both.
        assert_eq!(desired.tables.rules[&served], both.tables.rules[&served]);
        for (name, set) in &desired.tables.sets {
            assert_eq!(Some(set), both.tables.sets.get(name));
        }
        for (key, entry) in &desired.tables.virtual_servers {
            assert_eq!(Some(entry), both.tables.virtual_servers.get(key));
        }
        let new: Vec<_> = (findings.iter())
            .filter(|finding| !before.contains(finding))
            .map(|finding| finding.code)
            .collect();
        assert_eq!(new, [Code::MissingFamily]);
    }
}

/// Ranges of the missing family do not open the served family.
#[test]
fn source_ranges_of_a_missing_family_still_restrict() {
    let (state, _) = in_families();
    let (desired, _) = crate::compile(&state, &lacking(Some(AddressFamily::Ipv6)), &config());
    let guarded = SetKind::LoadBalancerFw.name(AddressFamily::Ipv4);
    assert_eq!(desired.tables.sets[&guarded].entries.len(), 1);
    let admitted = SetKind::LoadBalancerSourceCidr.name(AddressFamily::Ipv4);
    assert!(desired.tables.sets[&admitted].entries.is_empty());
}

/// However families change, the tables equal those of a full compilation, and the keys contain
/// every difference.
#[test]
fn a_removed_family_leaves_no_entries() {
    let (state, slices) = in_families();
    let mut scene = Scene::new(state, compiler(), &lacking(None));
    let mut steps = vec![
        Some(AddressFamily::Ipv6),
        None,
        Some(AddressFamily::Ipv4),
        Some(AddressFamily::Ipv6),
        None,
    ];
    for slice in slices {
        steps.push(Some(AddressFamily::Ipv6));
        scene.apply(deleted(ObjectKind::EndpointSlice, &slice.name.name));
        steps.push(None);
        for missing in std::mem::take(&mut steps) {
            let before = scene.compiler.desired().tables.clone();
            let keys = scene.look_at_node(&lacking(missing));
            let (expected, findings) = crate::compile(&scene.state, &lacking(missing), &config());
            let found = &scene.compiler.desired().tables;
            assert_eq!(*found, expected.tables);
            let found_findings: Vec<_> = scene.compiler.findings().cloned().collect();
            assert_eq!(found_findings, findings);
            for (name, set) in &found.sets {
                let same = before.sets.get(name) == Some(set);
                let named =
                    keys.sets.contains(name) || keys.entries.iter().any(|(of, _)| of == name);
                assert!(same || named, "{name}");
            }
            let gone = before
                .sets
                .keys()
                .filter(|name| !found.sets.contains_key(*name));
            assert!(gone.into_iter().all(|name| keys.sets.contains(name)));
        }
    }
}
