use std::collections::BTreeSet;

use ipvs::AddressFamily::{self, Ipv4, Ipv6};
use model::config::Masquerade;
use model::rules::{ChainKey, Match, OURS, Rule, Rules, Table};
use model::sets::SetKind;

use super::{LocalTraffic, NodePortPlaces, rules};

fn from(network: &str) -> LocalTraffic {
    LocalTraffic::From(network.parse().expect("a network"))
}

fn usual(family: AddressFamily) -> Rules {
    let local = match family {
        Ipv4 => from("10.244.0.0/16"),
        Ipv6 => from("fd00:10:244::/56"),
    };
    rules(family, Masquerade::default(), &local, None)
}

/// Returns the rules of kube-proxy in a recording of the conformance tests.
macro_rules! recorded {
    ($path:literal) => {
        include_str!(concat!("../../../../tests/conformance/recordings/", $path))
    };
}

/// Recordings of IPv4, with pods in 10.244.0.0/16.
const RECORDED_IPV4: [&str; 4] = [
    recorded!("13-nodeport-local/recorded/iptables.txt"),
    recorded!("17-lb-sourceranges/recorded/iptables.txt"),
    recorded!("19-lb-local-healthcheck/recorded/iptables.txt"),
    recorded!("20-externalips/recorded/iptables.txt"),
];

/// Recording of IPv6, with pods in fd00:10:244::/56.
const RECORDED_IPV6: &str = recorded!("05-dualstack/recorded/ip6tables.txt");

/// Checks that recorded rules of kube-proxy are a subsequence of ours.
///
/// kube-proxy writes a rule about a set only while the set has entries. Node ports have another
/// place (deviation D24), and KUBE-IPVS-OUT-FILTER differs.
fn check(ours: &Rules, recorded: &str) {
    let recorded = Rules::parse(recorded).expect("it parses");
    for (key, theirs) in &recorded.chains {
        let mut theirs = theirs.clone();
        theirs.sort_by_key(|rule| {
            key.table == Table::Nat && *key.chain == *"KUBE-SERVICES" && goes_to_node_ports(rule)
        });
        let chain = ours.chains.get(key).expect("one of our chains");
        let mut left = chain.iter();
        for rule in &theirs {
            let found = &*key.chain == "KUBE-IPVS-OUT-FILTER" || left.any(|ours| ours == rule);
            assert!(found, "{}: `{rule}` is missing or misplaced", key.chain);
        }
    }
    for (key, theirs) in &recorded.jumps {
        assert_eq!(ours.jumps.get(key), Some(theirs));
    }
}

fn goes_to_node_ports(rule: &Rule) -> bool {
    rule.target.to_string() == "-j KUBE-NODE-PORT"
}

/// Returns the rules of one of our chains as text.
fn chain(rules: &Rules, table: Table, chain: &str) -> Vec<String> {
    let rules = rules.chains.get(&ChainKey::new(table, chain));
    let rules = rules.expect("one of our chains").iter();
    rules.map(Rule::to_string).collect()
}

#[test]
fn our_rules_include_those_of_kube_proxy() {
    for recorded in RECORDED_IPV4 {
        check(&usual(Ipv4), recorded);
    }
    check(&usual(Ipv6), RECORDED_IPV6);
}

#[test]
fn all_chains_exist_and_are_reachable() {
    for family in [Ipv4, Ipv6] {
        let rules = usual(family);
        let chains: Vec<_> = rules.chains.keys().cloned().collect();
        let ours: BTreeSet<_> = OURS
            .map(|(table, chain)| ChainKey::new(table, chain))
            .into();
        assert_eq!(chains, ours.into_iter().collect::<Vec<_>>());
        let targets: BTreeSet<_> = (rules.chains.iter().chain(&rules.jumps))
            .flat_map(|(key, rules)| rules.iter().map(move |rule| (key.table, rule)))
            .map(|(table, rule)| (table, rule.target.to_string()))
            .collect();
        for key in chains {
            let jump = (key.table, format!("-j {}", key.chain));
            assert!(targets.contains(&jump), "{key:?}");
        }
    }
}

#[test]
fn the_rules_refer_to_every_set() {
    for family in [Ipv4, Ipv6] {
        let rules = usual(family);
        let all = rules.chains.values().flatten();
        let looked: BTreeSet<_> = all
            .flat_map(|rule| &rule.matches)
            .filter_map(|condition| match condition {
                Match::Set { name, .. } => Some(name.clone()),
                _ => None,
            })
            .collect();
        let sets = SetKind::ALL.map(|kind| kind.name(family));
        assert_eq!(looked, sets.into());
    }
}

#[test]
fn rules_parse_as_printed() {
    for family in [Ipv4, Ipv6] {
        let rules = usual(family);
        assert_eq!(Rules::parse(&rules.print()), Ok(rules));
    }
}

#[test]
fn traffic_to_cluster_ips_is_masqueraded_unless_it_is_from_pods() {
    let through = |name: &str| LocalTraffic::Through(name.into());
    let about = "-m comment --comment \"Kubernetes service cluster ip + port for masquerade \
         purpose\" -m set --match-set KUBE-CLUSTER-IP";
    for (all, local, not_local, first) in [
        (false, from("10.244.0.0/16"), "! -s 10.244.0.0/16", "dst"),
        (false, from("10.244.1.5/24"), "! -s 10.244.1.0/24", "dst"),
        (false, through("cbr0"), "! -i cbr0", "dst"),
        (false, through("veth+"), "! -i veth+", "dst"),
        // Without local detection only traffic of the node is masqueraded.
        (false, LocalTraffic::Unknown, "", "src"),
        // masqueradeAll ignores local detection.
        (true, LocalTraffic::Unknown, "", "dst"),
        (true, from("10.244.0.0/16"), "", "dst"),
        (true, through("cbr0"), "", "dst"),
    ] {
        let masquerade = Masquerade {
            all,
            ..Masquerade::default()
        };
        let rules = rules(Ipv4, masquerade, &local, None);
        let expected = format!("{not_local} {about} {first},dst -j KUBE-MARK-MASQ");
        let services = chain(&rules, Table::Nat, "KUBE-SERVICES");
        assert_eq!(services[3], expected.trim_start(), "all: {all}, {local:?}");
    }
}

#[test]
fn marks_are_configurable() {
    let masquerade = Masquerade {
        all: false,
        mark_bit: 0,
        drop_bit: 31,
    };
    let rules = rules(Ipv4, masquerade, &LocalTraffic::Unknown, None);
    assert_eq!(
        chain(&rules, Table::Nat, "KUBE-MARK-MASQ"),
        ["-j MARK --set-xmark 0x1/0x1"]
    );
    let postrouting = chain(&rules, Table::Nat, "KUBE-POSTROUTING");
    assert_eq!(
        postrouting[1..3],
        [
            "-m mark ! --mark 0x1/0x1 -j RETURN",
            "-j MARK --set-xmark 0x1/0x0"
        ]
    );
    assert_eq!(
        chain(&rules, Table::Filter, "KUBE-FORWARD")[0],
        "-m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x1/0x1 -j ACCEPT"
    );
    assert_eq!(
        chain(&rules, Table::Filter, "KUBE-IPVS-OUT-FILTER"),
        ["-m mark --mark 0x80000000/0x80000000 -j DROP"]
    );
    let load_balancer = chain(&rules, Table::Nat, "KUBE-LOAD-BALANCER");
    assert!(load_balancer[0].ends_with("-j MARK --set-xmark 0x80000000/0x80000000"));
    assert!(!rules.print().contains("0x4000") && !rules.print().contains("0x8000/"));
}

/// Deviation D24.
#[test]
fn service_addresses_precede_node_ports() {
    for (family, prefix) in [(Ipv4, "KUBE-"), (Ipv6, "KUBE-6-")] {
        let services = chain(&usual(family), Table::Nat, "KUBE-SERVICES");
        let accept = |set: &str| format!("-m set --match-set {prefix}{set} dst,dst -j ACCEPT");
        assert_eq!(
            services[services.len() - 3..],
            [
                accept("CLUSTER-IP"),
                accept("LOAD-BALANCER"),
                "-m addrtype --dst-type LOCAL -j KUBE-NODE-PORT".to_owned(),
            ]
        );
    }
}

/// Deviations D20 and D25.
#[test]
fn source_ranges_restrict_the_node_itself() {
    assert_eq!(
        chain(&usual(Ipv4), Table::Nat, "KUBE-LOAD-BALANCER")[..2],
        [
            "-m set --match-set KUBE-LOAD-BALANCER-FW dst,dst \
             -m set ! --match-set KUBE-LOAD-BALANCER-SOURCE-IP dst,dst,dst \
             -m set --match-set KUBE-IPVS-IPS src -j MARK --set-xmark 0x8000/0x8000",
            "-m set --match-set KUBE-LOAD-BALANCER-FW dst,dst \
             -m set ! --match-set KUBE-LOAD-BALANCER-SOURCE-IP dst,dst,dst \
             -m set ! --match-set KUBE-LOAD-BALANCER-SOURCE-CIDR dst,dst,src \
             -m addrtype --src-type LOCAL -j MARK --set-xmark 0x8000/0x8000"
        ]
    );
    assert_eq!(
        chain(&usual(Ipv4), Table::Filter, "KUBE-IPVS-OUT-FILTER"),
        ["-m mark --mark 0x8000/0x8000 -j DROP"]
    );
}

#[test]
fn the_node_is_masqueraded_without_local_endpoints() {
    let services = |family| chain(&usual(family), Table::Nat, "KUBE-SERVICES");
    assert_eq!(
        services(Ipv4)[..2],
        [
            "-s 127.0.0.0/8 -j RETURN",
            "-m set --match-set KUBE-IPVS-NO-LOCAL-ENDPOINT dst,dst -m addrtype --src-type LOCAL \
             -j KUBE-MARK-MASQ"
        ]
    );
    assert_eq!(
        services(Ipv6)[..2],
        [
            "-s ::1/128 -j RETURN",
            "-m set --match-set KUBE-6-IPVS-NO-LOCAL-ENDPOINT dst,dst -m addrtype --src-type LOCAL \
             -j KUBE-MARK-MASQ"
        ]
    );
}

/// No recording contains a Service with external addresses and externalTrafficPolicy Local.
#[test]
fn external_addresses_with_local_endpoints_keep_the_source() {
    let about = "-m comment --comment \"Kubernetes service external ip + port with \
         externalTrafficPolicy=local\" -m set --match-set KUBE-EXTERNAL-IP-LOCAL dst,dst";
    assert_eq!(
        chain(&usual(Ipv4), Table::Nat, "KUBE-SERVICES")[7..9],
        [
            format!(
                "{about} -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT"
            ),
            format!("{about} -m addrtype --dst-type LOCAL -j ACCEPT"),
        ]
    );
}

/// Returns the rules of `filter` KUBE-NODE-PORT after the first, which accepts health checks.
fn accepted(family: AddressFamily, places: &NodePortPlaces) -> Vec<String> {
    let rules = rules(
        family,
        Masquerade::default(),
        &LocalTraffic::Unknown,
        Some(places),
    );
    assert_eq!(Rules::parse(&rules.print()).as_ref(), Ok(&rules));
    chain(&rules, Table::Filter, "KUBE-NODE-PORT").split_off(1)
}

#[test]
fn served_packets_are_accepted_after_source_ranges() {
    let all = accepted(Ipv4, &NodePortPlaces::Everywhere);
    let ranges = "-m set --match-set KUBE-LOAD-BALANCER-FW dst,dst -j KUBE-SOURCE-RANGES-FIREWALL";
    assert!(all[0].ends_with(ranges), "{}", all[0]);
    assert_eq!(
        all[1..],
        [
            "-m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT",
            "-m set --match-set KUBE-LOAD-BALANCER dst,dst -j ACCEPT",
            "-m set --match-set KUBE-EXTERNAL-IP dst,dst -j ACCEPT",
            "-m set --match-set KUBE-EXTERNAL-IP-LOCAL dst,dst -j ACCEPT",
            "-m conntrack --ctstate RELATED,ESTABLISHED -m set --match-set KUBE-IPVS-IPS dst -j ACCEPT",
            "-d 127.0.0.0/8 -j RETURN",
            "-m set --match-set KUBE-IPVS-IPS dst -j RETURN",
            "-p tcp -m set --match-set KUBE-NODE-PORT-TCP dst -m addrtype --dst-type LOCAL -j ACCEPT",
            "-p udp -m set --match-set KUBE-NODE-PORT-UDP dst -m addrtype --dst-type LOCAL -j ACCEPT",
            "-p sctp -m set --match-set KUBE-NODE-PORT-SCTP-HASH dst,dst -j ACCEPT",
        ]
    );
    let returned = |places: &NodePortPlaces| accepted(Ipv6, places)[6..9].to_vec();
    assert_eq!(
        returned(&NodePortPlaces::Everywhere),
        [
            "-d ::1/128 -j RETURN",
            "-d fe80::/10 -j RETURN",
            "-m set --match-set KUBE-6-IPVS-IPS dst -j RETURN",
        ]
    );
}

#[test]
fn node_ports_are_accepted_where_they_are_served() {
    let network = "192.0.2.0/24".parse().expect("a network");
    let within = accepted(Ipv4, &NodePortPlaces::Within(vec![network]));
    assert_eq!(
        within[8..10],
        [
            "-d 192.0.2.0/24 -p tcp -m set --match-set KUBE-NODE-PORT-TCP dst -m addrtype --dst-type LOCAL -j ACCEPT",
            "-d 192.0.2.0/24 -p udp -m set --match-set KUBE-NODE-PORT-UDP dst -m addrtype --dst-type LOCAL -j ACCEPT",
        ]
    );
    assert_eq!(within.len(), 11);
    assert_eq!(accepted(Ipv4, &NodePortPlaces::Within(Vec::new())).len(), 9);
}
