//! Laws of policies of Services.

use std::collections::{BTreeMap, BTreeSet};

use convergence::cluster::{cluster, configs, node_state, objects};
use ipset::{Entry, SetName};
use ipvs::{AddressFamily, Forwarding, RealServerKey, VirtualServerKey};
use model::finding::Code;
use model::sets::{SetKind, service_entry};
use model::tables::every_port_of;
use model::{Desired, NodeConfig, Object};
use planner::compile;
use proptest::prelude::*;

/// Returns the objects with Services that set nothing themselves.
fn without_annotations(objects: &[Object]) -> Vec<Object> {
    (objects.iter().cloned())
        .map(|object| match object {
            Object::Service(mut service) => {
                service.annotations = Box::default();
                Object::Service(service)
            }
            other => other,
        })
        .collect()
}

/// Returns the entries of all sets, without the decision whether packets keep the client's address.
fn without_client_addresses(desired: &Desired) -> BTreeMap<SetName, BTreeSet<Entry>> {
    let mut sets: BTreeMap<SetName, BTreeSet<Entry>> = BTreeMap::new();
    for (name, set) in &desired.tables.sets {
        let is = |kind: SetKind| {
            AddressFamily::ALL
                .into_iter()
                .find(|of| kind.name(*of) == *name)
        };
        if is(SetKind::LoadBalancerLocal)
            .or(is(SetKind::NoLocalEndpoint))
            .is_some()
        {
            continue;
        }
        let name = match is(SetKind::ExternalIpLocal) {
            Some(family) => SetKind::ExternalIp.name(family),
            None => name.clone(),
        };
        sets.entry(name).or_default().extend(&set.entries);
    }
    sets
}

/// Replaces virtual servers of every port by those of single ports, after a comparison of their
/// endpoints.
fn with_single_ports(mut desired: Desired) -> Desired {
    for (port, merged) in std::mem::take(&mut desired.merged_ports) {
        let every = every_port_of(port).expect("an address");
        if let Some(serving) = desired.tables.virtual_servers.get(&every) {
            let at = |real: &RealServerKey| real.address;
            let served: BTreeSet<_> = serving.real_servers.keys().map(at).collect();
            let alone: BTreeSet<_> = merged.entry.real_servers.keys().map(at).collect();
            assert!(
                served.is_subset(&alone),
                "{every} serves {served:?}, {port} {alone:?}"
            );
            assert_eq!(served.is_empty(), alone.is_empty(), "{every}");
        }
        desired.tables.virtual_servers.insert(port, merged.entry);
        desired.owners.virtual_servers.insert(port, merged.owner);
        desired.finishing.remove(&every);
    }
    let every = |key: &VirtualServerKey| every_port_of(*key) == Some(*key);
    let ports = |key: &VirtualServerKey| {
        let owner = &desired.owners.virtual_servers[key];
        every(key) && !owner.service.is_virtual_server()
    };
    let merged: Vec<_> = (desired.tables.virtual_servers.keys().copied())
        .filter(|key| ports(key))
        .collect();
    for key in merged {
        desired.tables.virtual_servers.remove(&key);
        desired.owners.virtual_servers.remove(&key);
        for set in desired.tables.sets.values_mut() {
            set.entries.remove(&service_entry(key));
        }
    }
    desired
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Policies decide about shares, limits and drains. They leave the addresses, the endpoints and
    /// the rules as they are, and never keep every endpoint from new connections unless the
    /// Service's own weights are all 0. Only a forwarding method changes the sets.
    #[test]
    fn policies_keep_every_endpoint(
        objects in objects(), node in node_state(), config in configs(),
    ) {
        let plain = without_annotations(&objects);
        let without = NodeConfig { service_policies: Vec::new(), ..config.clone() };
        let with = with_single_ports(compile(&cluster(objects), &node, &config).0);
        let without = compile(&cluster(plain), &node, &without).0;
        let sets = [&with, &without].map(without_client_addresses);
        prop_assert_eq!(&sets[0], &sets[1]);
        if with.policies.values().all(|policy| policy.forwarding.is_none()) {
            prop_assert_eq!(&with.tables.sets, &without.tables.sets);
        }
        prop_assert_eq!(&with.tables.rules, &without.tables.rules);
        prop_assert_eq!(&with.tables.addresses, &without.tables.addresses);
        prop_assert_eq!(&with.owners, &without.owners);
        let keys = |desired: &Desired| -> Vec<_> {
            (desired.tables.virtual_servers.iter())
                .map(|(key, entry)| (*key, entry.real_servers.keys().copied().collect::<Vec<_>>()))
                .collect()
        };
        prop_assert_eq!(keys(&with), keys(&without));
        for (key, entry) in &with.tables.virtual_servers {
            if with.owners.virtual_servers[key].service.is_virtual_server() {
                continue;
            }
            let policy = with.policy(*key);
            if policy.is_none_or(|policy| policy.weights.is_none()) && policy.is_some() {
                prop_assert!(
                    entry.real_servers.is_empty()
                        || entry.real_servers.values().any(|real| real.weight > 0),
                    "{:?}", policy
                );
            }
        }
    }

    /// Packets to cluster IPs, and to endpoints of this node, are always rewritten. Other packets keep
    /// the client's address exactly if they are not rewritten, and then only at the endpoint's port.
    #[test]
    fn unrewritten_packets_keep_client_and_port(
        objects in objects(), node in node_state(), config in configs(),
    ) {
        let desired = compile(&cluster(objects), &node, &config).0;
        for (key, entry) in &desired.tables.virtual_servers {
            let VirtualServerKey::Address { port, .. } = *key else { continue };
            let Some(owner) = desired.owners.virtual_servers.get(key) else { continue };
            if owner.service.is_virtual_server() {
                continue;
            }
            for real in entry.real_servers.values() {
                if real.forwarding == Forwarding::Masquerade {
                    continue;
                }
                prop_assert_eq!(real.key.port, port);
                prop_assert_eq!(real.validate(key), Ok(()));
                prop_assert!(!node.addresses().any(|own| own == real.key.address));
                let entry = service_entry(*key);
                let masquerades = [SetKind::ClusterIp, SetKind::ExternalIp].iter().any(|kind| {
                    let set = desired.tables.sets.get(&kind.name(key.family()));
                    set.is_some_and(|set| set.entries.contains(&entry))
                });
                prop_assert!(!masquerades, "{} is masqueraded and not rewritten", key);
            }
        }
    }

    /// An annotation with a mistake leaves its Service as it is without the annotation.
    #[test]
    fn mistakes_in_policies_have_no_effect(
        objects in objects(), node in node_state(), config in configs(),
    ) {
        let config = NodeConfig { allowed_annotations: BTreeSet::new(), ..config };
        let plain = without_annotations(&objects);
        let (with, findings) = compile(&cluster(objects.clone()), &node, &config);
        prop_assert_eq!(with, compile(&cluster(plain), &node, &config).0);
        let refused = findings.iter().filter(|finding| finding.code == Code::PolicyNotAllowed);
        let names: BTreeSet<_> = refused.map(|finding| &finding.object).collect();
        for name in names {
            let service = cluster(objects.clone()).service(name).expect("the Service");
            prop_assert!(!service.annotations.is_empty());
        }
    }
}
