use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ipset::{Family, HashType, Header, Protocol, Set};
use ipvs::{
    AddressFamily, Forwarding, RealServer, RealServerKey, Scheduler, ServiceFlags, VirtualServer,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::plan::Reason;
use crate::rules::{ChainKey, Rule, Table, Target};
use crate::sets::{served_by, service_entry};

const HEADER: Header = Header::Hash {
    hash_type: HashType::IpPort,
    family: Family::Inet,
    max_elements: 65_536,
};

/// A [`DependencyGate`] that searches all ops that were not done.
#[derive(Default)]
struct Naive {
    ops: Vec<Op>,
    rules: BTreeSet<AddressFamily>,
    sets: BTreeSet<SetName>,
    device: bool,
    is_closed: bool,
}

impl Naive {
    fn not_done(&mut self, op: &Op) {
        self.is_closed = true;
        match op {
            Op::PatchRules(family, patch) if patch.effect() != OpEffect::Delete => {
                self.rules.insert(*family);
            }
            Op::CreateSet(name, _) => {
                self.sets.insert(name.clone());
            }
            Op::EnsureDevice => self.device = true,
            Op::ReplaceSet(name, set) => {
                let missing = (set.entries.iter()).map(|entry| Op::AddEntry(name.clone(), *entry));
                self.ops.extend(missing);
            }
            Op::SetRealServer(_, real) if real.weight == 0 => {}
            _ => self.ops.push(op.clone()),
        }
    }

    fn done(&mut self, op: &Op) {
        match op {
            Op::PatchRules(family, _) => {
                self.rules.remove(family);
            }
            Op::CreateSet(name, _) | Op::ReplaceSet(name, _) => {
                self.sets.remove(name);
            }
            Op::EnsureDevice => self.device = false,
            _ => {}
        }
    }

    fn blocks(&self, op: &Op) -> bool {
        let family = |of: IpAddr| self.rules.contains(&AddressFamily::of(of));
        let any = |blocks: &dyn Fn(&Op) -> bool| self.ops.iter().any(blocks);
        match op {
            Op::AddEntry(set, _) | Op::CreateSet(set, _) => self.sets.contains(set),
            Op::EnsureDevice => self.device,
            Op::PatchRules(_, patch) => (patch.chains.values().flatten())
                .any(|rule| self.sets.iter().any(|name| rule.uses_set(name))),
            Op::AddAddress(at) => {
                let needs = |op: &Op| matches!(op, Op::AddEntry(_, Entry::Ip(of)) if of == at);
                self.device || family(*at) || any(&needs)
            }
            Op::AddVirtualServer(server) => {
                let at = address_of(server.key);
                at.is_some_and(family)
                    || any(&|op| match op {
                        Op::AddEntry(_, entry) => served_by(entry, server.key),
                        Op::AddAddress(of) => Some(*of) == at,
                        _ => false,
                    })
            }
            Op::DelRealServer(key, _) | Op::SetRealServer(key, RealServer { weight: 0, .. }) => {
                any(
                    &|op| matches!(op, Op::AddRealServer(of, _) | Op::SetRealServer(of, _) if of == key),
                )
            }
            Op::AddRealServer(key, _) | Op::SetRealServer(key, _) => {
                any(&|op| matches!(op, Op::AddVirtualServer(server) if server.key == *key))
            }
            Op::DelAddress(at) => {
                any(&|op| matches!(op, Op::DelVirtualServer(of) if address_of(*of) == Some(*at)))
            }
            Op::DelEntry(_, entry) => any(&|op| match op {
                Op::DelVirtualServer(key) => served_by(entry, *key),
                Op::AddEntry(_, missing) => replaces(*missing, *entry),
                _ => false,
            }),
            Op::DestroySet(_) => any(&|op| matches!(op, Op::PatchRules(..))),
            Op::DelDevice => self.is_closed,
            _ => false,
        }
    }
}

/// Returns true if both entries may mark the same virtual server, and at least one of them names
/// its address and port.
fn replaces(missing: Entry, deleted: Entry) -> bool {
    let marked = |entry| match Destination::of(entry) {
        Destination::VirtualServer(key) => Some(key),
        Destination::Address(_) | Destination::Port(_) => None,
    };
    let marks = |entry| matches!(entry, Entry::IpPort(..) | Entry::Port(_));
    marks(deleted)
        && (marked(missing).is_some_and(|key| served_by(&deleted, key))
            || marked(deleted).is_some_and(|key| served_by(&missing, key)))
}

fn address_of(key: VirtualServerKey) -> Option<IpAddr> {
    match key {
        VirtualServerKey::Address { address, .. } => Some(address),
        VirtualServerKey::Fwmark { .. } => None,
    }
}

fn set(name: &str) -> SetName {
    SetName::cut(name)
}

fn server(key: VirtualServerKey) -> VirtualServer {
    VirtualServer {
        key,
        scheduler: Scheduler("rr".into()),
        flags: ServiceFlags::default(),
        persistence_timeout: Duration::ZERO,
        persistence_prefix: 32,
        persistence_engine: None,
    }
}

const REAL: RealServer = RealServer {
    key: RealServerKey {
        address: IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 1)),
        port: 80,
    },
    forwarding: Forwarding::Masquerade,
    weight: 1,
    upper_threshold: 0,
    lower_threshold: 0,
};

/// Returns a patch that writes a chain that uses the set, or deletes that chain.
fn patch(name: &SetName, deletes: bool) -> Arc<RulesPatch> {
    let key = ChainKey::new(Table::Nat, "KUBE-SERVICES");
    let mut patch = RulesPatch::default();
    if deletes {
        patch.delete_chains.insert(key);
    } else {
        let rule = Rule {
            matches: vec![Match::Set {
                negated: false,
                name: name.clone(),
                dimensions: vec![ipset::Dimension::Dst],
            }],
            target: Target::Accept,
        };
        patch.chains.insert(key, vec![rule]);
    }
    patch.into()
}

fn planned(op: Op) -> PlannedOp {
    PlannedOp {
        op,
        owner: None,
        reason: Reason::Missing,
    }
}

fn address() -> impl Strategy<Value = IpAddr> {
    select(vec!["10.96.0.1", "10.96.0.2", "fd00::1"])
        .prop_map(|text| text.parse().expect("an address"))
}

fn key() -> impl Strategy<Value = VirtualServerKey> {
    let at = (address(), select(vec![80, 81]), select(vec![6, 17]));
    let of_address = at.prop_map(|(address, port, protocol)| VirtualServerKey::Address {
        address,
        port,
        protocol: ipvs::Protocol::from(protocol),
    });
    let mark = (select(AddressFamily::ALL.to_vec()), select(vec![7_u32, 8]));
    let of_mark = mark.prop_map(|(family, mark)| VirtualServerKey::Fwmark {
        family,
        mark: mark.try_into().expect("a mark"),
    });
    prop_oneof![4 => of_address, 1 => of_mark]
}

fn entry() -> impl Strategy<Value = Entry> {
    let tuple = || {
        (
            address(),
            select(vec![6, 17]).prop_map(Protocol),
            select(vec![80_u16, 81]),
        )
    };
    prop_oneof![
        address().prop_map(Entry::Ip),
        select(vec![80, 81]).prop_map(Entry::Port),
        key().prop_map(service_entry),
        tuple().prop_map(|(at, protocol, port)| Entry::IpPort(at, protocol, port)),
        tuple().prop_map(|(at, protocol, port)| Entry::IpPortIp(at, protocol, port, at)),
        tuple().prop_map(|(at, protocol, port)| Entry::IpPortNet(at, protocol, port, at.into())),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let name = || select(vec!["A", "B"]).prop_map(set);
    let family = select(AddressFamily::ALL.to_vec());
    prop_oneof![
        name().prop_map(|name| Op::CreateSet(name, HEADER)),
        (name(), btree_set(entry(), 0..3)).prop_map(|(name, entries)| {
            let set = Set {
                header: HEADER,
                entries,
            };
            Op::ReplaceSet(name, set.into())
        }),
        name().prop_map(Op::DestroySet),
        (name(), entry()).prop_map(|(name, entry)| Op::AddEntry(name, entry)),
        (name(), entry()).prop_map(|(name, entry)| Op::DelEntry(name, entry)),
        (family, name(), any::<bool>())
            .prop_map(|(family, name, deletes)| Op::PatchRules(family, patch(&name, deletes))),
        Just(Op::EnsureDevice),
        Just(Op::DelDevice),
        address().prop_map(Op::AddAddress),
        address().prop_map(Op::DelAddress),
        key().prop_map(|key| Op::AddVirtualServer(server(key))),
        key().prop_map(|key| Op::SetVirtualServer(server(key))),
        key().prop_map(Op::DelVirtualServer),
        key().prop_map(|key| Op::AddRealServer(key, REAL)),
        (key(), 0_u32..2)
            .prop_map(|(key, weight)| Op::SetRealServer(key, RealServer { weight, ..REAL })),
        key().prop_map(|key| Op::DelRealServer(key, REAL.key)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn gate_equals_a_linear_search(
        rules in any::<[bool; 2]>(),
        sets in any::<[bool; 2]>(),
        device in any::<bool>(),
        stages in vec(vec((op(), any::<bool>()), 0..5), 0..10),
    ) {
        let rules: BTreeSet<_> = AddressFamily::ALL
            .into_iter()
            .zip(rules)
            .filter(|(_, failed)| *failed)
            .map(|(family, _)| family)
            .collect();
        let sets: BTreeSet<_> = ["A", "B"]
            .into_iter()
            .zip(sets)
            .filter(|(_, failed)| *failed)
            .map(|(name, _)| set(name))
            .collect();
        let mut gate = DependencyGate::with_failed(rules.clone(), sets.clone(), device);
        let is_closed = device || !rules.is_empty() || !sets.is_empty();
        let mut naive = Naive { rules, sets, device, is_closed, ..Naive::default() };
        for stage in stages {
            let ops: Vec<_> = stage.iter().map(|(op, _)| planned(op.clone())).collect();
            let expected: Vec<_> = ops.iter().map(|planned| naive.blocks(&planned.op)).collect();
            let (admitted, blocked) = gate.admit(ops.clone());
            let of = |wanted: bool| -> Vec<PlannedOp> {
                let pairs = ops.iter().zip(&expected);
                pairs.filter(|(_, blocks)| **blocks == wanted).map(|(op, _)| op.clone()).collect()
            };
            prop_assert_eq!(admitted, of(false));
            prop_assert_eq!(&blocked, &of(true));
            for planned in &blocked {
                naive.not_done(&planned.op);
            }
            for ((op, fails), _) in stage.iter().zip(&expected).filter(|(_, blocked)| !**blocked) {
                if *fails {
                    naive.not_done(op);
                    gate.not_done(op);
                } else {
                    naive.done(op);
                    gate.done(op);
                }
            }
        }
    }
}

fn check_admitted(gate: &mut DependencyGate, op: Op, expected: bool) {
    let (admitted, _) = gate.clone().admit(vec![planned(op)]);
    assert_eq!(!admitted.is_empty(), expected);
}

/// An earlier sync failed to write the rules, and this plan changes one Service.
#[test]
fn earlier_failures_block_until_done() {
    let at: IpAddr = [10, 96, 0, 1].into();
    let mut gate = DependencyGate::with_failed([AddressFamily::Ipv4], [set("A")], false);
    check_admitted(&mut gate, Op::AddAddress(at), false);
    check_admitted(
        &mut gate,
        Op::AddAddress("fd00::1".parse().expect("an address")),
        true,
    );
    check_admitted(&mut gate, Op::AddEntry(set("A"), Entry::Ip(at)), false);
    check_admitted(&mut gate, Op::AddEntry(set("B"), Entry::Ip(at)), true);
    gate.done(&Op::CreateSet(set("A"), HEADER));
    check_admitted(&mut gate, Op::AddEntry(set("A"), Entry::Ip(at)), true);
    let rules = Op::PatchRules(AddressFamily::Ipv4, patch(&set("A"), false));
    check_admitted(&mut gate, rules.clone(), true);
    gate.done(&rules);
    check_admitted(&mut gate, Op::AddAddress(at), true);
}

#[test]
fn a_mark_waits_for_its_entry_and_keeps_it() {
    let [key, other] = [7_u32, 8].map(|mark| VirtualServerKey::Fwmark {
        family: AddressFamily::Ipv4,
        mark: mark.try_into().expect("a mark"),
    });
    let add = |key| planned(Op::AddVirtualServer(server(key)));
    let mut gate = DependencyGate::default();
    gate.not_done(&Op::AddEntry(set("A"), service_entry(key)));
    let (admitted, blocked) = gate.admit(vec![add(key), add(other)]);
    assert_eq!((admitted, blocked), (vec![add(other)], vec![add(key)]));

    let delete = |key| planned(Op::DelEntry(set("A"), service_entry(key)));
    let mut gate = DependencyGate::default();
    gate.not_done(&Op::DelVirtualServer(key));
    let (admitted, blocked) = gate.admit(vec![delete(key), delete(other)]);
    assert_eq!(
        (admitted, blocked),
        (vec![delete(other)], vec![delete(key)])
    );
}
