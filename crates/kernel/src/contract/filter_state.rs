//! Cases about sets, iptables rules and settings.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ipset::{Entry, HashType, Header, Protocol, Set, SetName};
use ipvs::{AddressFamily, Timeouts, VirtualServerKey};
use model::rules::{ChainKey, Match, Rule, Rules, RulesPatch, Table, Target};
use model::sets::{SetKind, service_entry};
use model::{Op, Scope};

use super::ContractKernel;
use super::builders::{VIP4, VIP6, do_all, outcomes, read, read_scope, refused};
use super::named;
use model::kernel::OpErrorKind;

named![
    a_set_of_each_kind_and_family_reads_back_as_created,
    creating_a_set_again_is_no_change_and_another_of_its_name_is_refused,
    entries_of_each_kind_read_back_as_added,
    adding_and_deleting_twice_is_no_error,
    an_entry_of_another_family_is_refused,
    a_network_of_length_zero_is_refused_and_its_halves_are_not,
    an_entry_of_a_missing_set_is_refused,
    destroying_a_missing_set_is_no_error,
    a_full_set_refuses_one_more_and_keeps_the_others,
    one_entry_that_is_refused_holds_up_no_other,
    a_set_is_replaced_by_a_larger_one_and_by_another_type,
    a_set_that_is_missing_is_replaced_too,
    twenty_thousand_entries_go_in_one_stage,
    rules_read_back_as_written,
    a_patch_leaves_other_chains_alone,
    rules_that_look_into_a_missing_set_are_refused_whole,
    a_set_that_rules_look_into_is_not_destroyed_and_can_be_replaced,
    a_set_that_rules_look_into_keeps_its_type,
    chains_and_jumps_go_as_they_came,
    a_setting_reads_back_as_written,
    an_unknown_setting_is_refused,
    timeouts_that_are_zero_are_kept,
];

fn cluster_ip() -> SetName {
    SetKind::ClusterIp.name(AddressFamily::Ipv4)
}

fn ranges() -> SetName {
    SetKind::LoadBalancerSourceCidr.name(AddressFamily::Ipv4)
}

fn mark(family: AddressFamily) -> VirtualServerKey {
    VirtualServerKey::Fwmark {
        family,
        mark: NonZeroU32::MAX,
    }
}

fn check_refused(kernel: &mut dyn ContractKernel, op: Op, kind: &OpErrorKind) {
    assert_eq!(refused(kernel, op), *kind);
}

fn create(kind: SetKind, family: AddressFamily) -> Op {
    Op::CreateSet(kind.name(family), kind.header(family, 0))
}

fn at(port: u16) -> Entry {
    Entry::IpPort(VIP4, Protocol::TCP, port)
}

fn add(port: u16) -> Op {
    Op::AddEntry(cluster_ip(), at(port))
}

fn of_size(max_elements: u32) -> Header {
    Header::Hash {
        hash_type: HashType::IpPort,
        family: ipset::Family::Inet,
        max_elements,
    }
}

fn entries(kernel: &mut dyn ContractKernel, name: &SetName) -> Vec<Entry> {
    let sets = read(kernel).tables.sets;
    sets[name].entries.iter().copied().collect()
}

fn a_set_of_each_kind_and_family_reads_back_as_created(kernel: &mut dyn ContractKernel) {
    let all = || {
        AddressFamily::ALL
            .into_iter()
            .flat_map(|family| SetKind::ALL.map(|kind| (kind, family)))
    };
    do_all(kernel, all().map(|(kind, family)| create(kind, family)));
    let sets = read(kernel).tables.sets;
    assert_eq!(sets.len(), all().count());
    for (kind, family) in all() {
        let set = &sets[&kind.name(family)];
        assert_eq!(set.header, kind.header(family, 0), "{kind:?}");
        assert!(set.entries.is_empty());
    }
    let destroy = all().map(|(kind, family)| Op::DestroySet(kind.name(family)));
    do_all(kernel, destroy);
    assert!(read(kernel).tables.sets.is_empty());
}

fn creating_a_set_again_is_no_change_and_another_of_its_name_is_refused(
    kernel: &mut dyn ContractKernel,
) {
    do_all(
        kernel,
        [create(SetKind::ClusterIp, AddressFamily::Ipv4), add(80)],
    );
    do_all(kernel, [create(SetKind::ClusterIp, AddressFamily::Ipv4)]);
    assert_eq!(entries(kernel, &cluster_ip()), [at(80)]);
    let other = SetKind::IpvsIps.header(AddressFamily::Ipv4, 0);
    check_refused(
        kernel,
        Op::CreateSet(cluster_ip(), other),
        &OpErrorKind::AlreadyExists,
    );
}

fn entries_of_each_kind_read_back_as_added(kernel: &mut dyn ContractKernel) {
    for (family, vip) in AddressFamily::ALL.into_iter().zip([VIP4, VIP6]) {
        let network = match family {
            AddressFamily::Ipv4 => "192.0.2.0/24",
            AddressFamily::Ipv6 => "2001:db8::/32",
        };
        let network = network.parse().expect("a valid network");
        let added = [
            (SetKind::IpvsIps, Entry::Ip(vip)),
            (SetKind::ClusterIp, Entry::IpPort(vip, Protocol::SCTP, 99)),
            (SetKind::ExternalIpLocal, service_entry(mark(family))),
            (
                SetKind::LoopBack,
                Entry::IpPortIp(vip, Protocol::UDP, 53, vip),
            ),
            (
                SetKind::LoadBalancerSourceCidr,
                Entry::IpPortNet(vip, Protocol::TCP, 80, network),
            ),
            (
                SetKind::LoadBalancerSourceCidr,
                Entry::IpPortNet(vip, Protocol::TCP, 80, vip.into()),
            ),
            (SetKind::NodePortTcp, Entry::Port(30080)),
        ];
        do_all(kernel, added.map(|(kind, _)| create(kind, family)));
        let ops = added.map(|(kind, entry)| Op::AddEntry(kind.name(family), entry));
        do_all(kernel, ops);
        let sets = read(kernel).tables.sets;
        for (kind, entry) in added {
            assert!(sets[&kind.name(family)].entries.contains(&entry), "{entry}");
        }
        let ops = added.map(|(kind, entry)| Op::DelEntry(kind.name(family), entry));
        do_all(kernel, ops);
        let sets = read(kernel).tables.sets;
        assert!(sets.values().all(|set| set.entries.is_empty()));
    }
}

fn adding_and_deleting_twice_is_no_error(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [create(SetKind::ClusterIp, AddressFamily::Ipv4)]);
    do_all(kernel, [add(80), add(80)]);
    let delete = || Op::DelEntry(cluster_ip(), at(80));
    do_all(kernel, [delete(), delete()]);
}

fn an_entry_of_another_family_is_refused(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [create(SetKind::ClusterIp, AddressFamily::Ipv4)]);
    let entry = Entry::IpPort(VIP6, Protocol::TCP, 80);
    let op = Op::AddEntry(cluster_ip(), entry);
    check_refused(kernel, op, &OpErrorKind::Invalid);
}

fn a_network_of_length_zero_is_refused_and_its_halves_are_not(kernel: &mut dyn ContractKernel) {
    let family = AddressFamily::Ipv4;
    do_all(kernel, [create(SetKind::LoadBalancerSourceCidr, family)]);
    let add = |network: &str| {
        let network = network.parse().expect("a valid network");
        Op::AddEntry(ranges(), Entry::IpPortNet(VIP4, Protocol::TCP, 80, network))
    };
    check_refused(kernel, add("0.0.0.0/0"), &OpErrorKind::Invalid);
    do_all(kernel, [add("0.0.0.0/1"), add("128.0.0.0/1")]);
}

fn an_entry_of_a_missing_set_is_refused(kernel: &mut dyn ContractKernel) {
    check_refused(kernel, add(80), &OpErrorKind::NoSuchSet);
}

fn destroying_a_missing_set_is_no_error(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [Op::DestroySet(cluster_ip())]);
}

fn a_full_set_refuses_one_more_and_keeps_the_others(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [Op::CreateSet(cluster_ip(), of_size(64))]);
    do_all(kernel, (1..=64).map(add));
    check_refused(kernel, add(65), &OpErrorKind::SetFull);
    do_all(kernel, [add(64)]);
    assert_eq!(entries(kernel, &cluster_ip()).len(), 64);
}

fn one_entry_that_is_refused_holds_up_no_other(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [create(SetKind::ClusterIp, AddressFamily::Ipv4)]);
    let wrong = Op::AddEntry(cluster_ip(), Entry::IpPort(VIP6, Protocol::TCP, 80));
    let mut ops: Vec<Op> = (1..=1_000).map(add).collect();
    ops.insert(500, wrong);
    let outcomes = outcomes(kernel, ops);
    let failed: Vec<usize> = (outcomes.iter().enumerate())
        .filter(|(_, outcome)| outcome.is_err())
        .map(|(index, _)| index)
        .collect();
    assert_eq!(failed, [500]);
    assert_eq!(entries(kernel, &cluster_ip()).len(), 1_000);
}

fn a_set_is_replaced_by_a_larger_one_and_by_another_type(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [Op::CreateSet(cluster_ip(), of_size(64)), add(1)]);
    let larger = Set {
        header: of_size(131_072),
        entries: (1..=100).map(at).collect(),
    };
    replace(kernel, &larger);
    let other = Set {
        header: SetKind::IpvsIps.header(AddressFamily::Ipv4, 0),
        entries: [Entry::Ip(VIP4)].into(),
    };
    replace(kernel, &other);
    assert_eq!(
        read(kernel).tables.sets.len(),
        1,
        "no temporary set remains"
    );
}

fn replace(kernel: &mut dyn ContractKernel, set: &Set) {
    do_all(
        kernel,
        [Op::ReplaceSet(cluster_ip(), Arc::new(set.clone()))],
    );
    assert_eq!(read(kernel).tables.sets[&cluster_ip()], *set);
}

fn a_set_that_is_missing_is_replaced_too(kernel: &mut dyn ContractKernel) {
    let set = Set {
        header: of_size(65_536),
        entries: [at(80)].into(),
    };
    replace(kernel, &set);
}

fn twenty_thousand_entries_go_in_one_stage(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [create(SetKind::ClusterIp, AddressFamily::Ipv4)]);
    do_all(kernel, (1..=20_000).map(add));
    assert_eq!(entries(kernel, &cluster_ip()).len(), 20_000);
}

fn rule(matches: Vec<Match>, target: Target) -> Rule {
    Rule { matches, target }
}

fn jump(chain: &str) -> Rule {
    let comment = Match::Comment("kubernetes service portals".into());
    rule(vec![comment], Target::Jump(chain.into()))
}

fn key(table: Table, chain: &str) -> ChainKey {
    ChainKey::new(table, chain)
}

/// Returns a patch with two chains and a jump. One chain refers to a set.
fn patch() -> RulesPatch {
    let known = Match::Set {
        negated: false,
        name: cluster_ip(),
        dimensions: vec![ipset::Dimension::Dst, ipset::Dimension::Dst],
    };
    RulesPatch {
        chains: [
            (
                key(Table::Nat, "KUBE-SERVICES"),
                vec![rule(vec![known], Target::Jump("KUBE-MARK-MASQ".into()))],
            ),
            (
                key(Table::Nat, "KUBE-MARK-MASQ"),
                vec![rule(
                    vec![],
                    Target::Mark {
                        value: 0x4000,
                        mask: 0x4000,
                    },
                )],
            ),
        ]
        .into(),
        insert_jumps: vec![(key(Table::Nat, "OUTPUT"), jump("KUBE-SERVICES"))],
        ..RulesPatch::default()
    }
}

fn write(patch: RulesPatch) -> Op {
    Op::PatchRules(AddressFamily::Ipv4, Arc::new(patch))
}

fn rules(kernel: &mut dyn ContractKernel) -> Rules {
    let scope = Scope {
        rules: true,
        ..Scope::NOTHING
    };
    let mut rules = read_scope(kernel, &scope).tables.rules;
    rules.remove(&AddressFamily::Ipv4).unwrap_or_default()
}

fn with_rules(kernel: &mut dyn ContractKernel) -> Rules {
    do_all(
        kernel,
        [
            create(SetKind::ClusterIp, AddressFamily::Ipv4),
            write(patch()),
        ],
    );
    let mut expected = Rules::default();
    patch().apply(&mut expected);
    expected
}

fn rules_read_back_as_written(kernel: &mut dyn ContractKernel) {
    let expected = with_rules(kernel);
    assert_eq!(rules(kernel), expected);
}

fn a_patch_leaves_other_chains_alone(kernel: &mut dyn ContractKernel) {
    let mut expected = with_rules(kernel);
    let other = RulesPatch {
        chains: [(key(Table::Filter, "KUBE-FORWARD"), Vec::new())].into(),
        ..RulesPatch::default()
    };
    other.apply(&mut expected);
    do_all(kernel, [write(other)]);
    assert_eq!(rules(kernel), expected);
}

fn rules_that_look_into_a_missing_set_are_refused_whole(kernel: &mut dyn ContractKernel) {
    check_refused(kernel, write(patch()), &OpErrorKind::FilterRefused);
    assert_eq!(rules(kernel), Rules::default());
}

fn a_set_that_rules_look_into_is_not_destroyed_and_can_be_replaced(
    kernel: &mut dyn ContractKernel,
) {
    let expected = with_rules(kernel);
    let destroy = Op::DestroySet(cluster_ip());
    check_refused(kernel, destroy, &OpErrorKind::SetInUse);
    let set = Set {
        header: of_size(131_072),
        entries: [at(80)].into(),
    };
    replace(kernel, &set);
    assert_eq!(rules(kernel), expected);
}

/// Sets of different types cannot be swapped.
fn a_set_that_rules_look_into_keeps_its_type(kernel: &mut dyn ContractKernel) {
    with_rules(kernel);
    let set = Set {
        header: SetKind::IpvsIps.header(AddressFamily::Ipv4, 0),
        entries: [Entry::Ip(VIP4)].into(),
    };
    let op = Op::ReplaceSet(cluster_ip(), Arc::new(set.clone()));
    check_refused(kernel, op, &OpErrorKind::SetInUse);
    assert_eq!(
        read(kernel).tables.sets.len(),
        1,
        "no temporary set remains"
    );
    let empty = RulesPatch {
        chains: [(key(Table::Nat, "KUBE-SERVICES"), Vec::new())].into(),
        ..RulesPatch::default()
    };
    do_all(kernel, [write(empty)]);
    replace(kernel, &set);
}

fn chains_and_jumps_go_as_they_came(kernel: &mut dyn ContractKernel) {
    with_rules(kernel);
    let gone = RulesPatch {
        delete_chains: patch().chains.into_keys().collect(),
        delete_jumps: patch().insert_jumps,
        ..RulesPatch::default()
    };
    do_all(kernel, [write(gone), Op::DestroySet(cluster_ip())]);
    assert_eq!(rules(kernel), Rules::default());
    assert!(read(kernel).tables.sets.is_empty());
}

fn a_setting_reads_back_as_written(kernel: &mut dyn ContractKernel) {
    let name = "net.ipv4.vs.conntrack";
    for value in ["1", "0"] {
        do_all(kernel, [Op::SetSysctl(name.into(), value.into())]);
        assert_eq!(&*read(kernel).tables.sysctls[name], value);
    }
}

fn an_unknown_setting_is_refused(kernel: &mut dyn ContractKernel) {
    let op = Op::SetSysctl("net.ipv4.vs.no_such_setting".into(), "1".into());
    check_refused(kernel, op, &OpErrorKind::NoSuchSetting);
}

fn timeouts_that_are_zero_are_kept(kernel: &mut dyn ContractKernel) {
    let before = read(kernel).tables.timeouts;
    let op = Op::SetTimeouts(Timeouts {
        udp: Duration::from_secs(60),
        ..Timeouts::default()
    });
    do_all(kernel, [op]);
    let after = read(kernel).tables.timeouts;
    assert_eq!(after.udp, Duration::from_secs(60));
    assert_eq!((after.tcp, after.tcp_fin), (before.tcp, before.tcp_fin));
}
