use std::time::Duration;

use ipset::{Entry, HashType, Header, Set};
use ipvs::{AddressFamily, Timeouts};
use model::plan::Plan;
use model::rules::{ChainKey, Rule, Table, Target};
use model::sets::SetKind;
use model::{Desired, Op, Snapshot, TableKeys};

use crate::testing::{after, live, own, web};
use crate::{Ownership, cleanup, diff, diff_keys};

/// Returns all ops except those for virtual servers and addresses, with their reasons, in order.
fn filter_state_ops(plan: &Plan) -> Vec<String> {
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
    assert_eq!(filter_state_ops(&diff(desired, live, &own())), expected);
}

pub(super) fn set(kind: SetKind) -> ipset::SetName {
    kind.name(AddressFamily::Ipv4)
}

/// Returns the kinds of ops in the order of the plan.
pub(super) fn order(plan: &Plan) -> Vec<&'static str> {
    let mut order: Vec<&'static str> = plan
        .ops()
        .map(|planned| match planned.op {
            Op::SetSysctl(..) | Op::SetTimeouts(_) => "settings",
            Op::StopSyncDaemon(_) | Op::StartSyncDaemon(_) => "sync daemons",
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
fn filter_state_precedes_virtual_servers() {
    let plan = diff(&web(&["10.1.0.1"]), &Snapshot::default(), &own());
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
fn cleanup_uses_the_reverse_order() {
    let plan = cleanup(&live(&web(&["10.1.0.1"])), &own());
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
fn only_a_differing_setting_is_written() {
    let desired = web(&["10.1.0.1"]);
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
fn configured_timeouts_are_set() {
    let mut desired = web(&["10.1.0.1"]);
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
fn entries_are_added_and_deleted() {
    let desired = web(&["10.1.0.1"]);
    let mut live = live(&desired);
    let entries = &mut (live.tables.sets.get_mut(&set(SetKind::IpvsIps)))
        .expect("the set exists")
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
fn only_given_entries_are_compared() {
    let desired = web(&["10.1.0.1"]);
    let mut live = live(&desired);
    for set in live.tables.sets.values_mut() {
        set.entries.clear();
    }
    let keys = TableKeys {
        entries: [(set(SetKind::IpvsIps), Entry::Ip([10, 96, 0, 1].into()))].into(),
        ..TableKeys::default()
    };
    assert_eq!(
        filter_state_ops(&diff_keys(&desired, &live, &own(), &keys)),
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
fn a_set_of_another_type_is_replaced_with_all_entries() {
    let desired = web(&["10.1.0.1"]);
    let mut live = live(&desired);
    live.tables.sets.insert(set(SetKind::IpvsIps), of_ports());
    let plan = diff(&desired, &live, &own());
    let filter_state_ops = filter_state_ops(&plan);
    let replaced = filter_state_ops
        .iter()
        .filter(|line| line.contains("replace set"));
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
        .expect("the plan replaces the set");
    assert_eq!(set.entries, [Entry::Ip([10, 96, 0, 1].into())].into());
}

#[test]
fn only_a_set_that_is_too_small_is_replaced() {
    for (max_elements, replaced) in [(1_024, true), (65_536, false), (131_072, false)] {
        let desired = web(&["10.1.0.1"]);
        let mut live = live(&desired);
        let there = live.tables.sets.get_mut(&set(SetKind::IpvsIps));
        there.expect("the set exists").header = Header::Hash {
            hash_type: HashType::Ip,
            family: ipset::Family::Inet,
            max_elements,
        };
        let plan = diff(&desired, &live, &own());
        assert_eq!(!plan.is_empty(), replaced, "{max_elements}");
    }
}

/// While a list is incomplete, the entries of the old set may still be desired.
#[test]
fn a_set_replaced_before_deletions_keeps_old_entries() {
    let desired = web(&["10.1.0.1"]);
    let mut live = live(&desired);
    let there = (live.tables.sets.get_mut(&set(SetKind::IpvsIps))).expect("the set exists");
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
fn only_a_differing_chain_is_rewritten() {
    let desired = web(&["10.1.0.1"]);
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
fn the_reason_of_a_chain_is_its_first_rule_that_differs() {
    let desired = web(&["10.1.0.1"]);
    let key = ChainKey::new(Table::Nat, "KUBE-POSTROUTING");
    let chain = desired.tables.rules[&AddressFamily::Ipv4].chains[&key].clone();
    assert!(chain.len() > 1);
    for place in 0..chain.len() {
        let mut live = live(&desired);
        let rules = live.tables.rules.get_mut(&AddressFamily::Ipv4);
        rules
            .expect("rules")
            .chains
            .insert(key.clone(), chain[..place].to_vec());
        let (shown, wanted) = ("~ IPv4 rules: write nat KUBE-POSTROUTING", &chain[place]);
        check(
            &live,
            &desired,
            &[&format!("{shown}: KUBE-POSTROUTING none -> {wanted}")],
        );
    }
}

#[test]
fn missing_jumps_are_inserted_in_the_order_of_kube_proxy() {
    let desired = web(&["10.1.0.1"]);
    let mut live = live(&desired);
    let input = ChainKey::new(Table::Filter, "INPUT");
    let rules = live.tables.rules.get_mut(&AddressFamily::Ipv4);
    rules.expect("rules").jumps.remove(&input);
    let plan = diff(&desired, &live, &own());
    assert_eq!(after(&live, &plan).tables, desired.tables);
}

/// A node of an older version or of kube-proxy: both chains are rewritten at the same time, and
/// nothing is deleted.
#[test]
fn rules_in_an_old_order_are_rewritten_by_chain() {
    let desired = web(&["10.1.0.1"]);
    let mut live = live(&desired);
    let chains =
        ["KUBE-LOAD-BALANCER", "KUBE-SERVICES"].map(|name| ChainKey::new(Table::Nat, name));
    let [load_balancer, services] = &chains;
    for rules in live.tables.rules.values_mut() {
        // Removes the rule of D25, and moves the node ports before the addresses of Services.
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

/// Rules of other programs in our chains are foreign and keep the chains from being deleted.
#[test]
fn cleanup_keeps_chains_that_foreign_rules_use() {
    let desired = web(&["10.1.0.1"]);
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
    let live = after(&live, &cleanup(&live, &own()));
    let left = |family| -> Vec<String> {
        let rules = live.tables.rules[&family].chains.keys();
        rules.map(ToString::to_string).collect()
    };
    assert_eq!(left(AddressFamily::Ipv6), ["nat KUBE-MARK-MASQ"]);
    // The foreign rule jumps to this chain, which jumps to the other one.
    assert_eq!(
        left(AddressFamily::Ipv4),
        ["nat KUBE-LOAD-BALANCER", "nat KUBE-MARK-MASQ"]
    );
    let jumps = &live.tables.rules[&AddressFamily::Ipv4].jumps;
    assert_eq!(jumps.values().flatten().collect::<Vec<_>>(), [&theirs]);
}

/// An entry in a set would make the foreign virtual server look like ours next time, and the rules
/// would reject its clients.
#[test]
fn a_foreign_virtual_server_gets_no_entries() {
    let desired = web(&["10.1.0.1"]);
    let mut live = live(&Desired::default());
    let key = *desired.tables.virtual_servers.keys().next().expect("one");
    let entry = desired.tables.virtual_servers[&key].clone();
    live.tables.virtual_servers.insert(key, entry);
    let plan = diff(&desired, &live, &own());
    let after = after(&live, &plan);
    let entries = (after.tables.sets.values()).map(|set| set.entries.len());
    assert_eq!(entries.sum::<usize>(), 0);
    assert_eq!(plan.findings.len(), 1);
}

/// The kernel does not swap sets of different types while rules refer to them.
#[test]
fn rules_are_emptied_while_a_set_changes_its_type() {
    let desired = web(&["10.1.0.1"]);
    let mut live = live(&desired);
    live.tables.sets.insert(set(SetKind::ClusterIp), of_ports());
    let plan = diff(&desired, &live, &own());
    assert_eq!(order(&plan), ["rules", "sets", "rules"]);
    assert_eq!(after(&live, &plan).tables, desired.tables);
}
