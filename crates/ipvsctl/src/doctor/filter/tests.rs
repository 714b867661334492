use ipvs::AddressFamily;
use kernel::linux::Variant;

use crate::doctor::facts::NodeFacts;
use crate::doctor::tests::{action, check};

#[test]
fn unreadable_packet_filter_is_a_problem() {
    check("packet-filter", |_| {}, &["ok: iptables-nft 1.8.9"]);
    let unreadable = |facts: &mut NodeFacts| {
        facts.filter.unreadable = Some("iptables-save was not found".to_owned());
    };
    check(
        "packet-filter",
        unreadable,
        &["problem: iptables-save was not found"],
    );
}

/// Puts chains of a proxy into `variants`.
fn held(variants: &'static [Variant]) -> impl Fn(&mut NodeFacts) {
    move |facts| {
        let holders = variants
            .iter()
            .map(|variant| (*variant, AddressFamily::Ipv4));
        facts.filter.holders = holders.collect();
    }
}

#[test]
fn chains_in_other_variant_are_a_problem() {
    let check = |variants, expected: &str| check("iptables-variants", held(variants), &[expected]);
    check(&[], "ok: no chains of a proxy");
    check(
        &[Variant::Nft],
        "ok: all chains of the proxy are in iptables-nft",
    );
    let problem =
        "problem: iptables-nft is in use, but iptables-legacy contains chains of a proxy too";
    check(&[Variant::Nft, Variant::Legacy], problem);
    check(&[Variant::Legacy], problem);
}

/// Adds the table of nftables mode as a leftover.
fn left(facts: &mut NodeFacts) {
    let leftovers = facts.filter.leftovers.get_or_insert_default();
    leftovers.nft_tables.insert(AddressFamily::Ipv4);
}

#[test]
fn leftovers_of_other_modes_are_a_warning() {
    check(
        "leftovers",
        |_| {},
        &["ok: no leftovers of kube-proxy's other modes"],
    );
    let expected = ["warning: kube-proxy left behind table ip kube-proxy of nftables mode"];
    check("leftovers", left, &expected);
    assert!(action("leftovers", left).contains("--remove-leftovers"));
    check("leftovers", |facts| facts.filter.leftovers = None, &[]);
}

/// Gives chain INPUT of the node a policy and a rule.
fn with_input(facts: &mut NodeFacts, policy: &str, rule: &str) {
    let saved = format!("*filter\n:INPUT {policy} [0:0]\n{rule}\nCOMMIT\n");
    let live = facts.live.as_mut().expect("tables");
    let served = "# ipvs\n-A -t 10.96.0.30:80 -s rr\n# ipset\ncreate KUBE-CLUSTER-IP hash:ip,port family inet\n\
         add KUBE-CLUSTER-IP 10.96.0.30,tcp:80\n";
    live.tables = model::text::parse(served).expect("tables");
    (live.tables.rules).insert(AddressFamily::Ipv4, model::rules::Rules::default());
    (live.host_rules).insert(
        AddressFamily::Ipv4,
        model::host_rules::HostRules::parse(&saved),
    );
}

#[test]
fn rules_dropping_packets_to_services_are_a_problem() {
    let foreign = |policy: &'static str, rule: &'static str, expected: &[&str]| {
        check(
            "foreign-rules",
            |facts| with_input(facts, policy, rule),
            expected,
        );
    };
    let fine = ["ok: no rule of another program drops packets to Services"];
    foreign("ACCEPT", "", &fine);
    foreign("DROP", "-A INPUT -d 10.96.0.0/12 -j ACCEPT", &fine);
    foreign(
        "DROP",
        "-A INPUT -i lo -j ACCEPT",
        &[
            "problem: policy DROP of chain INPUT of the IPv4 packet filter drops packets to Services, such as \
             10.96.0.30:80/TCP",
        ],
    );
    foreign(
        "DROP",
        "-A INPUT -i cni0 -j ACCEPT",
        &[
            "ok: policy DROP of chain INPUT of the IPv4 packet filter drops packets to Services, such as 10.96.0.30:80/TCP, \
             that no earlier rule accepts; the first one that accepts some is `-A INPUT -i cni0 -j ACCEPT`",
        ],
    );
    let action = action("foreign-rules", |facts| with_input(facts, "DROP", ""));
    assert!(action.contains("acceptServedTraffic: true"), "{action}");
    check("foreign-rules", |facts| facts.live = None, &[]);
}
