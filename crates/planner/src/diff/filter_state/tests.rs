use std::time::Duration;

use ipset::{Entry, HashType, Header, Set};
use ipvs::{AddressFamily, Timeouts};
use model::plan::Plan;
use model::rules::{ChainKey, Rule, Table, Target};
use model::sets::SetKind;
use model::{Desired, NodeConfig, Op, Snapshot, TableKeys};

use crate::testing::{cluster, compile, endpoint, service, slice};
use crate::{Ownership, cleanup, diff, diff_keys};

pub(super) fn own() -> Ownership {
    Ownership::new(&NodeConfig::new("node1"))
}

/// Service `web` at 10.96.0.1 with the endpoint 10.1.0.1.
pub(super) fn web() -> Desired {
    let state = cluster(
        vec![service("web", &["10.96.0.1"])],
        vec![slice("web", "web", vec![endpoint("10.1.0.1")])],
    );
    compile(&state).0
}

pub(super) fn live(desired: &Desired) -> Snapshot {
    Snapshot {
        tables: desired.tables.clone(),
        device: true,
        ..Snapshot::default()
    }
}

/// The ops of what stands beside the virtual servers, with their reasons, in order.
fn said(plan: &Plan) -> Vec<String> {
    plan.ops()
        .filter(|planned| {
            let keys = planned.op.keys();
            keys.virtual_servers.is_empty() && keys.addresses.is_empty()
        })
        .map(|planned| {
            let mark = planned.op.effect().mark();
            format!("{mark} {}: {}", planned.op, planned.reason)
        })
        .collect()
}

fn check(live: &Snapshot, desired: &Desired, expected: &[&str]) {
    assert_eq!(said(&diff(desired, live, &own())), expected);
}

pub(super) fn set(kind: SetKind) -> ipset::SetName {
    kind.name(AddressFamily::Ipv4)
}

/// In which order the kinds of ops come.
pub(super) fn order(plan: &Plan) -> Vec<&'static str> {
    let mut order: Vec<&'static str> = plan
        .ops()
        .map(|planned| match planned.op {
            Op::SetSysctl(..) | Op::SetTimeouts(_) => "settings",
            Op::EnsureDevice => "device",
            Op::CreateSet(..) | Op::ReplaceSet(..) => "sets",
            Op::AddEntry(..) => "entries",
            Op::PatchRules(..) => "rules",
            Op::AddAddress(_) => "addresses",
            Op::AddVirtualServer(_) | Op::SetVirtualServer(_) => "virtual servers",
            Op::AddRealServer(..) | Op::SetRealServer(..) => "real servers",
            Op::DelRealServer(..) => "del real servers",
            Op::DelVirtualServer(_) => "del virtual servers",
            Op::DelAddress(_) => "del addresses",
            Op::DelEntry(..) => "del entries",
            Op::DestroySet(_) => "del sets",
            Op::DelDevice => "del device",
        })
        .collect();
    order.dedup();
    order
}

#[test]
fn everything_that_a_virtual_server_needs_comes_before_it() {
    let plan = diff(&web(), &Snapshot::default(), &own());
    assert_eq!(
        order(&plan),
        [
            "settings",
            "device",
            "sets",
            "entries",
            "rules",
            "addresses",
            "virtual servers",
            "real servers"
        ]
    );
}

#[test]
fn cleanup_goes_the_other_way_round() {
    let plan = cleanup(&live(&web()), &own());
    assert_eq!(
        order(&plan),
        [
            "del virtual servers",
            "del addresses",
            "rules",
            "del sets",
            "del device"
        ]
    );
}

#[test]
fn a_setting_that_differs_is_written_alone() {
    let desired = web();
    let mut live = live(&desired);
    let forward = "net.ipv4.ip_forward";
    live.tables.sysctls.insert(forward.into(), "0".into());
    live.tables
        .sysctls
        .insert("net.ipv4.tcp_sack".into(), "0".into());
    check(
        &live,
        &desired,
        &["~ set net.ipv4.ip_forward = 1: value 0 -> 1"],
    );
}

#[test]
fn timeouts_that_are_asked_for_are_set() {
    let mut desired = web();
    desired.tables.timeouts.udp = Duration::from_secs(60);
    let mut live = live(&desired);
    live.tables.timeouts = Timeouts {
        tcp: Duration::from_secs(900),
        tcp_fin: Duration::from_secs(120),
        udp: Duration::from_secs(300),
    };
    check(
        &live,
        &desired,
        &["~ set the IPVS timeouts (tcp 0 s, tcpfin 0 s, udp 60 s; 0 keeps): udp 300 s -> 60 s"],
    );
}

#[test]
fn entries_come_and_go() {
    let desired = web();
    let mut live = live(&desired);
    let entries = &mut (live.tables.sets.get_mut(&set(SetKind::IpvsIps)))
        .expect("the set is there")
        .entries;
    entries.clear();
    entries.insert(Entry::Ip([10, 96, 0, 9].into()));
    check(
        &live,
        &desired,
        &[
            "+ add 10.96.0.1 to set KUBE-IPVS-IPS: missing in the kernel",
            "- delete 10.96.0.9 from set KUBE-IPVS-IPS: no Service asks for it",
        ],
    );
}

#[test]
fn of_some_entries_no_others_are_looked_at() {
    let desired = web();
    let mut live = live(&desired);
    for set in live.tables.sets.values_mut() {
        set.entries.clear();
    }
    let keys = TableKeys {
        entries: [(set(SetKind::IpvsIps), Entry::Ip([10, 96, 0, 1].into()))].into(),
        ..TableKeys::default()
    };
    assert_eq!(
        said(&diff_keys(&desired, &live, &own(), &keys)),
        ["+ add 10.96.0.1 to set KUBE-IPVS-IPS: missing in the kernel"]
    );
}

fn of_ports() -> Set {
    Set {
        header: Header::BitmapPort { first: 0, last: 10 },
        entries: [Entry::Port(7)].into(),
    }
}

#[test]
fn a_set_of_another_type_is_replaced_with_all_it_should_hold() {
    let desired = web();
    let mut live = live(&desired);
    live.tables.sets.insert(set(SetKind::IpvsIps), of_ports());
    let plan = diff(&desired, &live, &own());
    let said = said(&plan);
    let replaced = said.iter().filter(|line| line.contains("replace set"));
    assert_eq!(
        replaced.collect::<Vec<_>>(),
        [
            "~ replace set KUBE-IPVS-IPS: header bitmap:port range 0-10 -> \
             hash:ip family inet maxelem 65536"
        ]
    );
    let set = (plan.ops())
        .find_map(|planned| match &planned.op {
            Op::ReplaceSet(_, set) => Some(set),
            _ => None,
        })
        .expect("it is replaced");
    assert_eq!(set.entries, [Entry::Ip([10, 96, 0, 1].into())].into());
}

#[test]
fn a_set_that_is_too_small_is_replaced_and_a_larger_one_is_kept() {
    for (max_elements, replaced) in [(1_024, true), (65_536, false), (131_072, false)] {
        let desired = web();
        let mut live = live(&desired);
        let there = live.tables.sets.get_mut(&set(SetKind::IpvsIps));
        there.expect("the set is there").header = Header::Hash {
            hash_type: HashType::Ip,
            family: ipset::Family::Inet,
            max_elements,
        };
        let plan = diff(&desired, &live, &own());
        assert_eq!(!plan.is_empty(), replaced, "{max_elements}");
    }
}

/// While a list is not complete, what the old set held may still be wanted.
#[test]
fn a_set_that_is_replaced_early_loses_nothing_that_fits() {
    let desired = web();
    let mut live = live(&desired);
    let there = (live.tables.sets.get_mut(&set(SetKind::IpvsIps))).expect("the set is there");
    there.entries.insert(Entry::Ip([10, 96, 0, 9].into()));
    there.header = Header::Hash {
        hash_type: HashType::Ip,
        family: ipset::Family::Inet,
        max_elements: 2,
    };
    let own = Ownership {
        deletions: false,
        ..own()
    };
    let plan = diff(&desired, &live, &own);
    let Some(Op::ReplaceSet(_, set)) = plan.ops().map(|planned| &planned.op).next() else {
        panic!("{plan:?}");
    };
    assert_eq!(set.entries.len(), 2);
}

#[test]
fn a_chain_that_differs_is_rewritten_and_no_other() {
    let desired = web();
    let mut live = live(&desired);
    let rules = live.tables.rules.get_mut(&AddressFamily::Ipv4);
    let chain = ChainKey::new(Table::Nat, "KUBE-MARK-MASQ");
    rules.expect("rules").chains.insert(chain, Vec::new());
    check(
        &live,
        &desired,
        &["~ IPv4 rules: write nat KUBE-MARK-MASQ: \
           KUBE-MARK-MASQ none -> -j MARK --set-xmark 0x4000/0x4000"],
    );
}

#[test]
fn jumps_that_are_missing_come_in_kube_proxys_order() {
    let desired = web();
    let mut live = live(&desired);
    let input = ChainKey::new(Table::Filter, "INPUT");
    let rules = live.tables.rules.get_mut(&AddressFamily::Ipv4);
    rules.expect("rules").jumps.remove(&input);
    let plan = diff(&desired, &live, &own());
    let mut after = live.clone();
    for planned in plan.ops() {
        after.apply(&planned.op);
    }
    assert_eq!(after.tables, desired.tables);
}

/// A node of an older version or of kube-proxy: both chains are rewritten at one moment, and nothing is deleted.
#[test]
fn rules_in_an_old_order_are_rewritten_chain_by_chain() {
    let desired = web();
    let mut live = live(&desired);
    let chains =
        ["KUBE-LOAD-BALANCER", "KUBE-SERVICES"].map(|name| ChainKey::new(Table::Nat, name));
    let [load_balancer, services] = &chains;
    for rules in live.tables.rules.values_mut() {
        // Without the rule of D25, and with node ports before the addresses of Services.
        rules
            .chains
            .entry(load_balancer.clone())
            .and_modify(|rules| drop(rules.remove(0)));
        let of_services = rules.chains.get_mut(services).expect("a chain");
        let node_ports = of_services.pop().expect("the last rule");
        of_services.insert(of_services.len() - 2, node_ports);
    }
    let plan = diff(&desired, &live, &own());
    assert_eq!(plan.ops().count(), 2);
    for planned in plan.ops() {
        let Op::PatchRules(_, patch) = &planned.op else {
            panic!("{}", planned.op);
        };
        assert!(patch.chains.keys().eq(&chains), "{}", planned.op);
        assert!(patch.delete_chains.is_empty() && patch.delete_jumps.is_empty());
        live.apply(&planned.op);
    }
    assert_eq!(live.tables, desired.tables);
}

/// Rules of others in our chains are theirs, and keep the chains from being deleted.
#[test]
fn cleanup_leaves_chains_that_others_use() {
    let desired = web();
    let mut live = live(&desired);
    let mark = ChainKey::new(Table::Nat, "KUBE-MARK-MASQ");
    let theirs = Rule {
        matches: Vec::new(),
        target: Target::Jump("KUBE-LOAD-BALANCER".into()),
    };
    live.held_chains
        .insert(AddressFamily::Ipv6, [mark.clone()].into());
    let rules = live.tables.rules.get_mut(&AddressFamily::Ipv4);
    let prerouting = ChainKey::new(Table::Nat, "PREROUTING");
    let jumps = &mut rules.expect("rules").jumps;
    jumps.entry(prerouting).or_default().push(theirs.clone());
    let plan = cleanup(&live, &own());
    for planned in plan.ops() {
        live.apply(&planned.op);
    }
    let left = |family| -> Vec<String> {
        let rules = live.tables.rules[&family].chains.keys();
        rules.map(ToString::to_string).collect()
    };
    assert_eq!(left(AddressFamily::Ipv6), ["nat KUBE-MARK-MASQ"]);
    // Their rule leads to this one, and from there to the other.
    assert_eq!(
        left(AddressFamily::Ipv4),
        ["nat KUBE-LOAD-BALANCER", "nat KUBE-MARK-MASQ"]
    );
    let jumps = &live.tables.rules[&AddressFamily::Ipv4].jumps;
    assert_eq!(jumps.values().flatten().collect::<Vec<_>>(), [&theirs]);
}

/// With its entry in a set, a foreign virtual server would look like ours next time, and the rules would
/// refuse its clients.
#[test]
fn a_foreign_virtual_server_gets_no_entries() {
    let desired = web();
    let mut live = live(&Desired::default());
    let key = *desired.tables.virtual_servers.keys().next().expect("one");
    let entry = desired.tables.virtual_servers[&key].clone();
    live.tables.virtual_servers.insert(key, entry);
    let plan = diff(&desired, &live, &own());
    let mut after = live.clone();
    for planned in plan.ops() {
        after.apply(&planned.op);
    }
    let entries = (after.tables.sets.values()).map(|set| set.entries.len());
    assert_eq!(entries.sum::<usize>(), 0);
    assert_eq!(plan.findings.len(), 1);
}

/// The kernel exchanges no sets of different types while rules look into them.
#[test]
fn rules_let_go_of_a_set_that_changes_its_type_and_come_back() {
    let desired = web();
    let mut live = live(&desired);
    live.tables.sets.insert(set(SetKind::ClusterIp), of_ports());
    let plan = diff(&desired, &live, &own());
    assert_eq!(order(&plan), ["rules", "sets", "rules"]);
    let mut after = live.clone();
    for planned in plan.ops() {
        after.apply(&planned.op);
    }
    assert_eq!(after.tables, desired.tables);
}
