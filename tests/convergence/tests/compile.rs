//! Laws of compilation, for objects and configurations of every kind.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use convergence::cluster::{change, cluster, configs, lists, node_state, objects, service};
use ipset::{Entry, Header};
use model::cluster::{Changed, Node};
use model::finding::FindingChanges;
use model::policy::RampStep;
use model::sets::SetKind;
use model::tables::TableKeys;
use model::{ClusterEvent, ClusterState, NodeConfig, NodeState, Object, ObjectName, text};
use planner::{Compiler, EndpointStates, compile, compile_with_claims, diff};
use proptest::collection::vec;
use proptest::prelude::*;

/// An event of a test case.
#[derive(Clone, Debug)]
enum Happening {
    Cluster(Vec<ClusterEvent>),
    Interfaces(NodeState),
    /// Results of health checks, in the order of their targets, again and again.
    Checks(Vec<bool>),
    /// Steps of the real servers of every virtual server, again and again; 0 is no slow start.
    Ramps(Vec<u8>),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => change().prop_map(Happening::Cluster),
        3 => node_state().prop_map(Happening::Interfaces),
        2 => vec(any::<bool>(), 1..4).prop_map(Happening::Checks),
        2 => vec(0_u8..12, 1..4).prop_map(Happening::Ramps),
    ]
}

/// Returns `state` as known to a compiler that saw `own` before it was deleted.
fn with_own_node(state: &ClusterState, own: Option<&Node>) -> ClusterState {
    let mut state = state.clone();
    if let Some(node) = own {
        state.absorb(ClusterEvent::Upsert(Object::Node(node.clone())));
    }
    state
}

/// Returns the addresses on the dummy device, from the sets that name them.
fn ipvs_ips(tables: &model::NodeTables) -> BTreeSet<IpAddr> {
    let names = [ipvs::AddressFamily::Ipv4, ipvs::AddressFamily::Ipv6]
        .map(|family| SetKind::IpvsIps.name(family));
    (names.iter())
        // A missing family has no sets.
        .filter_map(|name| tables.sets.get(name))
        .flat_map(|set| &set.entries)
        .filter_map(|entry| match entry {
            Entry::Ip(address) => Some(*address),
            _ => None,
        })
        .collect()
}

fn fits(header: Header, entry: Entry) -> bool {
    let no_network_of_everything = match entry {
        Entry::IpPortNet(.., network) => network.prefix() > 0,
        _ => true,
    };
    no_network_of_everything && header.fit(entry) == Ok(entry)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_order_of_events_does_not_matter(
        objects in objects(), node in node_state(), config in configs(),
    ) {
        let mut reversed = objects.clone();
        reversed.reverse();
        prop_assert_eq!(
            compile(&cluster(objects), &node, &config),
            compile(&cluster(reversed), &node, &config)
        );
    }

    #[test]
    fn splitting_slices_does_not_matter(
        objects in objects(), node in node_state(), config in configs(),
    ) {
        let split: Vec<Object> = (objects.iter().cloned())
            .flat_map(|object| match object {
                Object::EndpointSlice(slice) => (slice.endpoints.iter().enumerate())
                    .map(|(index, endpoint)| {
                        let mut part = slice.clone();
                        part.name.name = format!("{}-{index}", slice.name.name).into();
                        part.endpoints = vec![endpoint.clone()];
                        Object::EndpointSlice(part)
                    })
                    .collect(),
                other => vec![other],
            })
            .collect();
        prop_assert_eq!(
            compile(&cluster(objects), &node, &config).0,
            compile(&cluster(split), &node, &config).0
        );
    }

    /// Renames slices, reorders endpoints, and lets every slice belong to another Service before.
    #[test]
    fn relabelling_does_not_matter(
        objects in objects(), node in node_state(), config in configs(),
    ) {
        let mut state = cluster(Vec::new());
        for object in objects.clone() {
            if let Object::EndpointSlice(mut slice) = object.clone() {
                slice.name.name = format!("other-{}", slice.name.name).into();
                slice.endpoints.reverse();
                let now = slice.clone();
                slice.service = "someone-else".into();
                state.absorb(ClusterEvent::Upsert(Object::EndpointSlice(slice)));
                state.absorb(ClusterEvent::Upsert(Object::EndpointSlice(now)));
            } else {
                state.absorb(ClusterEvent::Upsert(object));
            }
        }
        prop_assert_eq!(
            compile(&cluster(objects), &node, &config).0,
            compile(&state, &node, &config).0
        );
    }

    #[test]
    fn incremental_equals_full(
        first in objects(),
        mut node in node_state(),
        config in configs(),
        happenings in vec(happening(), 0..12),
    ) {
        let mut state = cluster(first);
        let mut compiler = Compiler::new(config.clone());
        compiler.update_all(&state, &node);
        let mut findings = BTreeSet::new();
        // A deleted Node keeps its last known state: the full compilation must have seen it too.
        let mut own = state.node(&config.node_name).cloned();
        for happening in happenings {
            let before = compiler.desired().clone();
            let keys = match happening {
                Happening::Cluster(events) => {
                    let mut changed = Changed::default();
                    for event in events {
                        changed.merge(state.absorb(event));
                    }
                    compiler.update(&state, &changed)
                }
                Happening::Interfaces(new) => {
                    node = new;
                    compiler.look_at_node(&state, &node)
                }
                Happening::Checks(healthy) => {
                    let targets = compiler.desired().checks.keys().cloned();
                    let results = targets.zip(healthy.into_iter().cycle());
                    let error = |healthy: bool| (!healthy).then(|| "refused".into());
                    let results = results.map(|(target, healthy)| (target, error(healthy)));
                    let services = compiler.set_health(results.collect());
                    compiler.update(&state, &Changed { services, ..Changed::default() })
                }
                Happening::Ramps(steps) => {
                    let mut keys = TableKeys::default();
                    for (key, entry) in &before.tables.virtual_servers {
                        let reals = entry.real_servers.keys().zip(steps.iter().cycle());
                        let steps = reals
                            .filter_map(|(real, step)| Some((*real, RampStep::new(*step)?)));
                        if compiler.set_ramps(*key, steps.collect()) {
                            keys.virtual_servers.insert(*key);
                        }
                    }
                    keys
                }
            };
            own = state.node(&config.node_name).cloned().or(own);
            let full = |state: &ClusterState| {
                let states = EndpointStates {
                    failed: compiler.failed_targets().clone(),
                    ramps: compiler.ramps().clone(),
                };
                let (desired, findings, _) = compile_with_claims(state, &node, &config, states);
                (desired, findings)
            };
            let (desired, _) = full(&with_own_node(&state, own.as_ref()));
            let (full_findings, full) = (full(&state).1, desired);
            prop_assert_eq!(compiler.desired(), &full);
            check_keys(&before, &full, &keys)?;
            let FindingChanges { raised, cleared } = compiler.take_finding_changes();
            for finding in &cleared {
                prop_assert!(findings.remove(finding), "{} was not raised before", finding);
            }
            for finding in raised {
                prop_assert!(findings.insert(finding), "a finding was raised twice");
            }
            prop_assert!(compiler.findings().eq(&findings));
            if state.node(&config.node_name).is_some() {
                prop_assert!(compiler.findings().eq(&full_findings));
            }
        }
    }

    #[test]
    fn bound_addresses_are_in_their_set(
        objects in objects(), node in node_state(), config in configs(),
    ) {
        let (desired, _) = compile(&cluster(objects), &node, &config);
        let mut expected = desired.tables.addresses.clone();
        // A VirtualServer may get the packets to every port of its address. The rules refuse other
        // ports than those of a Service.
        for key in desired.tables.virtual_servers.keys() {
            if !desired.owners.virtual_servers[key].service.is_virtual_server() {
                continue;
            }
            if let ipvs::VirtualServerKey::Address { address, port: 0, .. } = key {
                expected.remove(address);
            }
        }
        prop_assert_eq!(ipvs_ips(&desired.tables), expected);
        let owned: BTreeSet<IpAddr> = desired.owners.addresses.keys().copied().collect();
        prop_assert_eq!(owned, desired.tables.addresses);
    }

    #[test]
    fn every_entry_fits_its_set(
        objects in objects(), node in node_state(), config in configs(),
    ) {
        let (desired, _) = compile(&cluster(objects), &node, &config);
        for (name, set) in &desired.tables.sets {
            for entry in &set.entries {
                prop_assert!(fits(set.header, *entry), "{} {:?}", name, entry);
            }
        }
    }

    /// Deviation D8: if an interface or another Node has an address, only a cluster IP may be bound
    /// there.
    #[test]
    fn addresses_of_nodes_are_not_bound(
        objects in objects(), node in node_state(), config in configs(),
    ) {
        let state = cluster(objects);
        let (desired, _) = compile(&state, &node, &config);
        let cluster_ips: BTreeSet<IpAddr> = (state.service_names())
            .filter_map(|name| state.service(name))
            .flat_map(|service| service.cluster_ips)
            .filter_map(|address| address.as_result().ok().copied())
            .collect();
        let of_nodes: BTreeSet<IpAddr> = (state.nodes())
            .flat_map(|node| node.addresses.iter().copied())
            .chain(node.addresses())
            .collect();
        for address in desired.tables.addresses.intersection(&of_nodes) {
            prop_assert!(cluster_ips.contains(address), "{} is bound", address);
        }
    }

    /// Deviation D10: at a cluster IP that an interface has too, the only virtual servers are those
    /// of the cluster IP, even if other Services need all addresses of the node.
    #[test]
    fn no_node_port_is_served_at_a_cluster_ip(
        objects in objects(), node in node_state(), config in configs(),
    ) {
        let (desired, _) = compile(&cluster(objects), &node, &config);
        let own: BTreeSet<IpAddr> = node.addresses().collect();
        let tables = &desired.tables;
        for key in tables.virtual_servers.keys() {
            let ipvs::VirtualServerKey::Address { address, port, protocol } = *key else {
                continue;
            };
            if own.contains(&address) && tables.addresses.contains(&address) {
                let entry = Entry::IpPort(address, ipset::Protocol(protocol.number()), port);
                let holds = |kind: SetKind| {
                    tables.sets[&kind.name(ipvs::AddressFamily::of(address))].entries.contains(&entry)
                };
                let of_service = [
                    SetKind::ClusterIp,
                    SetKind::ExternalIp,
                    SetKind::ExternalIpLocal,
                    SetKind::LoadBalancer,
                ];
                prop_assert!(of_service.into_iter().any(holds), "{}", key);
            }
        }
    }

    /// Deviation D22: an address of the API server is bound only for `default/kubernetes`, and the
    /// ports that the node needs are not served at its own addresses.
    #[test]
    fn what_the_node_needs_is_not_served(
        objects in objects(), node in node_state(), config in configs(),
    ) {
        let state = cluster(objects);
        let (desired, _) = compile(&state, &node, &config);
        let kubernetes = ObjectName::api_server();
        let endpoints = (state.slices(&kubernetes))
            .flat_map(|slice| slice.endpoints)
            .filter_map(|endpoint| endpoint.address.as_result().ok().copied());
        let configured = config.api_server.iter().map(std::net::SocketAddr::ip);
        let of_server: BTreeSet<IpAddr> = configured.chain(endpoints).collect();
        for address in desired.tables.addresses.intersection(&of_server) {
            let owner = desired.owners.addresses.get(address);
            prop_assert!(owner.is_some_and(|owner| owner.service.is_api_server()), "{}", address);
        }
        let own: BTreeSet<IpAddr> = node.addresses().collect();
        for key in desired.tables.virtual_servers.keys() {
            if let ipvs::VirtualServerKey::Address { address, port, .. } = key {
                let needed = config.protected_host_ports.contains(port);
                prop_assert!(!needed || !own.contains(address), "{}", key);
            }
        }
    }

    /// Deviation D23: no Service has more virtual servers than its limit of entries, and no more
    /// real servers than theirs.
    #[test]
    fn no_service_is_over_its_limit(
        objects in objects(), node in node_state(), config in configs(),
    ) {
        let (desired, _) = compile(&cluster(objects), &node, &config);
        let mut counts = BTreeMap::new();
        for (key, owner) in &desired.owners.virtual_servers {
            // The administrator's own objects have no limit.
            if owner.service.is_virtual_server() {
                continue;
            }
            let (virtual_servers, real_servers) = counts.entry(&owner.service).or_insert((0, 0));
            *virtual_servers += 1;
            *real_servers += desired.tables.virtual_servers[key].real_servers.len();
        }
        let limits = config.service_limits;
        for (service, (virtual_servers, real_servers)) in counts {
            prop_assert!(virtual_servers <= limits.entries, "{}", service);
            prop_assert!(real_servers <= limits.real_servers, "{}", service);
        }
    }

    #[test]
    fn rules_do_not_depend_on_services(
        objects in objects(), node in node_state(), config in configs(),
    ) {
        let state = cluster(objects);
        let own = state.node(&config.node_name).cloned();
        let empty = with_own_node(&cluster(Vec::new()), own.as_ref());
        prop_assert_eq!(
            compile(&state, &node, &config).0.tables.rules,
            compile(&empty, &node, &config).0.tables.rules
        );
    }

    /// Deviation D2: with any content of the youngest Service, the others are served as before.
    /// Exception: node ports at its cluster IPs, where the rules refuse everything else (deviation
    /// D10).
    #[test]
    fn one_service_harms_no_other(
        objects in objects(), node in node_state(), config in configs(), mut wild in service(),
    ) {
        wild.name = ObjectName::new("zzz", "wild");
        wild.created = None;
        let before = compile(&cluster(objects.clone()), &node, &config).0;
        let mut with = objects;
        with.push(Object::Service(wild.clone()));
        let after = compile(&cluster(with), &node, &config).0;
        let own: BTreeSet<IpAddr> = node.addresses().collect();
        for (key, owner) in &before.owners.virtual_servers {
            if let ipvs::VirtualServerKey::Address { address, .. } = *key
                && own.contains(&address)
                && wild.cluster_ips.contains(&model::Parsed::Valid(address))
            {
                continue;
            }
            prop_assert_eq!(after.owners.virtual_servers.get(key), Some(owner));
            prop_assert_eq!(
                after.tables.virtual_servers.get(key),
                before.tables.virtual_servers.get(key)
            );
        }
        for (service, check) in &before.health_checks {
            prop_assert_eq!(after.health_checks.get(service), Some(check));
        }
    }

    #[test]
    fn tables_parse_back(objects in objects(), node in node_state(), config in configs()) {
        let tables = compile(&cluster(objects), &node, &config).0.tables;
        prop_assert_eq!(text::parse(&text::print(&tables)), Ok(tables));
    }

    #[test]
    fn equal_tables_give_an_empty_plan(objects in objects(), node in node_state(), config in configs()) {
        let (desired, _) = compile(&cluster(objects), &node, &config);
        let live = model::Snapshot {
            tables: desired.tables.clone(),
            device: true,
            node: node.clone(),
            ..model::Snapshot::default()
        };
        let own = planner::Ownership::new(&config);
        prop_assert!(diff(&desired, &live, &own).is_empty());
    }
}

/// Checks that `keys` names every virtual server and address that differs. It may name more: if
/// several Services change at once, one may claim an entry that another one releases.
fn check_keys(
    before: &model::Desired,
    after: &model::Desired,
    keys: &model::TableKeys,
) -> Result<(), TestCaseError> {
    let (then, now) = (&before.tables, &after.tables);
    let servers: BTreeSet<_> = (then.virtual_servers.keys())
        .chain(now.virtual_servers.keys())
        .filter(|key| then.virtual_servers.get(key) != now.virtual_servers.get(key))
        .copied()
        .collect();
    prop_assert!(keys.virtual_servers.is_superset(&servers));
    let mut addresses = then.addresses.symmetric_difference(&now.addresses);
    prop_assert!(addresses.all(|address| keys.addresses.contains(address)));
    // A missing family has no sets.
    let names: BTreeSet<_> = then.sets.keys().chain(now.sets.keys()).collect();
    for name in names {
        let (Some(old), Some(new)) = (then.sets.get(name), now.sets.get(name)) else {
            prop_assert!(keys.sets.contains(name));
            continue;
        };
        let mut entries = new.entries.symmetric_difference(&old.entries);
        prop_assert!(entries.all(|entry| keys.entries.contains(&(name.clone(), *entry))));
    }
    Ok(())
}

/// Returns the rules of a node with `count` Services, and the number of entries of its sets.
fn rules_with(count: u32) -> (BTreeMap<ipvs::AddressFamily, model::rules::Rules>, usize) {
    let objects = (0..count).map(|number| {
        let address = IpAddr::from((0x0a60_0000 + number).to_be_bytes());
        let external = IpAddr::from((0x0b60_0000 + number).to_be_bytes());
        Object::Service(model::cluster::Service {
            kind: model::cluster::ServiceKind::LoadBalancer,
            cluster_ips: vec![model::Parsed::Valid(address)],
            load_balancer_ips: vec![model::Parsed::Valid(external)],
            source_ranges: vec![model::Parsed::Valid(
                "192.0.2.0/24".parse().expect("a network"),
            )],
            ports: vec![model::cluster::ServicePort {
                name: "".into(),
                protocol: model::Parsed::Valid(ipvs::Protocol::Tcp),
                port: model::Parsed::Valid(std::num::NonZeroU16::MIN),
                node_port: None,
            }],
            ..model::cluster::Service::new(ObjectName::new("default", format!("s{number}")))
        })
    });
    let mut state = ClusterState::default();
    for event in lists(objects) {
        state.absorb(event);
    }
    let (desired, _) = compile(&state, &NodeState::default(), &NodeConfig::new("node1"));
    let entries = desired.tables.sets.values().map(|set| set.entries.len());
    (desired.tables.rules.clone(), entries.sum())
}

#[test]
fn fifty_thousand_services_have_the_rules_of_one() {
    let (one, few) = rules_with(1);
    let (many, entries) = rules_with(50_000);
    assert_eq!(one, many);
    assert!(one.values().all(|rules| rules.chains.len() == 11));
    assert_eq!(entries, few * 50_000);
}
