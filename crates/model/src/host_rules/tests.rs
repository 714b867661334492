use std::collections::{BTreeMap, BTreeSet};

use ipset::{Entry, Set};
use ipvs::{AddressFamily, Protocol};

use super::{HarmfulTarget, Hook, HostPacket, HostPath, HostRules, HostVerdict};
use crate::rules::Rules;
use crate::sets::SetKind;

const WEB: HostPacket = HostPacket {
    address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 96, 0, 30)),
    port: 80,
    protocol: Protocol::Tcp,
};

fn judged(hook: Hook, saved: &str) -> Option<(String, Option<String>)> {
    let mut steps = 10_000;
    let harm = HostRules::parse(saved).judge(hook, WEB, &BTreeMap::new(), &mut steps)?;
    Some((harm.by, harm.unless.map(|rule| rule.to_string())))
}

/// Returns a `filter` table whose INPUT has this policy and these rules.
fn filter(policy: &str, rules: &[&str]) -> String {
    let rules: String = rules.iter().map(|rule| format!("{rule}\n")).collect();
    format!(
        "*filter\n:INPUT {policy} [0:0]\n:FORWARD ACCEPT [0:0]\n:own - [0:0]\n:more - [0:0]\n{rules}COMMIT\n"
    )
}

fn check_input(policy: &str, rules: &[&str], by: Option<&str>, unless: Option<&str>) {
    let expected = by.map(|by| (by.to_owned(), unless.map(ToOwned::to_owned)));
    let saved = filter(policy, rules);
    assert_eq!(judged(Hook::Input, &saved), expected, "{saved}");
}

const POLICY: Option<&str> = Some("policy DROP of chain INPUT");

#[test]
fn policy_drop_applies_if_no_rule_accepts() {
    check_input("ACCEPT", &[], None, None);
    check_input("DROP", &[], POLICY, None);
    let usual = [
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT",
        "-A INPUT -m conntrack --ctstate INVALID -j DROP",
        "-A INPUT -i lo -j ACCEPT",
        "-A INPUT -p icmp -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 22 -m comment --comment \"ssh -j ACCEPT\" -j ACCEPT",
        "-A INPUT -p udp -m multiport --dports 80,443 -j ACCEPT",
        "-A INPUT -p tcp -m multiport --dports 8000:8080,443 -j ACCEPT",
        "-A INPUT -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT",
        "-A INPUT -j LOG --log-prefix \"dropped: \"",
    ];
    check_input("DROP", &usual, POLICY, None);
}

#[test]
fn accepting_rule_ends_the_evaluation() {
    for rule in [
        "-A INPUT -j ACCEPT",
        "-A INPUT -d 10.96.0.0/12 -j ACCEPT",
        "-A INPUT ! -d 192.0.2.0/24 -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT",
        "-A INPUT -p tcp -m multiport --dports 79:81,443 -j ACCEPT",
        "-A INPUT ! -i lo -j ACCEPT",
        "-A INPUT -m conntrack --ctstate NEW -j ACCEPT",
        "-A INPUT -m addrtype --dst-type LOCAL -j ACCEPT",
        "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT",
        "-A INPUT -j NFQUEUE --queue-num 1",
    ] {
        check_input("DROP", &[rule, "-A INPUT -j DROP"], None, None);
    }
}

#[test]
fn rule_that_may_accept_is_reported() {
    for rule in [
        "-A INPUT -s 10.0.0.0/8 -j ACCEPT",
        "-A INPUT -i cni0 -j ACCEPT",
        "-A INPUT -m mark --mark 0x1 -j ACCEPT",
        "-A INPUT -m set --match-set office src -j ACCEPT",
        "-A INPUT -p tcp -m limit --limit 5/sec -j ACCEPT",
    ] {
        check_input("DROP", &[rule], POLICY, Some(rule));
    }
}

#[test]
fn dropping_rule_counts_only_if_certain() {
    let reject = "-A INPUT -j REJECT --reject-with icmp-host-prohibited";
    let by = format!("rule `{reject}`");
    check_input("ACCEPT", &[reject], Some(&by), None);
    check_input(
        "ACCEPT",
        &["-A INPUT -i lo -j ACCEPT", reject],
        Some(&by),
        None,
    );
    for rule in [
        "-A INPUT -s 198.51.100.0/24 -j DROP",
        "-A INPUT -m set --match-set blocked src -j DROP",
        "-A INPUT -p udp -j DROP",
        "-A INPUT -d 192.0.2.0/24 -j DROP",
        "-A INPUT -m conntrack --ctstate INVALID -j DROP",
        "-A INPUT -i lo -j DROP",
        "-A FORWARD -j DROP",
        "-A own -j DROP",
    ] {
        check_input("ACCEPT", &[rule], None, None);
    }
}

#[test]
fn jumps_are_followed() {
    let jump = "-A INPUT -j own";
    check_input("DROP", &[jump, "-A own -j ACCEPT"], None, None);
    check_input(
        "DROP",
        &[jump, "-A own -j RETURN", "-A own -j ACCEPT"],
        POLICY,
        None,
    );
    check_input(
        "DROP",
        &[jump, "-A own -s 10.0.0.0/8 -j RETURN", "-A own -j ACCEPT"],
        POLICY,
        Some("-A own -j ACCEPT"),
    );
    let dropped = Some("rule `-A more -j DROP`");
    check_input(
        "ACCEPT",
        &[jump, "-A own -j more", "-A more -j DROP"],
        dropped,
        None,
    );
    check_input(
        "ACCEPT",
        &["-A INPUT -g own", "-A INPUT -j DROP", "-A own -j RETURN"],
        None,
        None,
    );
    check_input(
        "ACCEPT",
        &["-A INPUT -s 10.0.0.0/8 -j own", "-A own -j DROP"],
        None,
        None,
    );
    // The kernel refuses a loop; the evaluation of one ends.
    check_input(
        "DROP",
        &[jump, "-A own -j more", "-A more -j own"],
        None,
        None,
    );
}

#[test]
fn drops_in_our_own_chains_are_ignored() {
    let saved = "*filter\n:INPUT ACCEPT [0:0]\n:KUBE-IPVS-FILTER - [0:0]\n:KUBE-SOURCE-RANGES-FIREWALL - [0:0]\n\
         -A INPUT -j KUBE-IPVS-FILTER\n-A KUBE-IPVS-FILTER -j REJECT --reject-with icmp-port-unreachable\n\
         -A KUBE-SOURCE-RANGES-FIREWALL -j DROP\nCOMMIT\n";
    assert!(HostRules::parse(saved).is_empty());
}

#[test]
fn current_accepting_chain_is_used() {
    let ours = Rules::parse(
        "*filter\n:KUBE-NODE-PORT - [0:0]\n\
         -A KUBE-NODE-PORT -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT\nCOMMIT\n",
    )
    .expect("rules");
    let entries = |entries: &[Entry]| {
        let kind = SetKind::ClusterIp;
        let set = Set {
            header: kind.header(AddressFamily::Ipv4, 0),
            entries: BTreeSet::from_iter(entries.iter().copied()),
        };
        BTreeMap::from([(kind.name(AddressFamily::Ipv4), set)])
    };
    let with = entries(&[Entry::IpPort(WEB.address, ipset::Protocol::TCP, 80)]);
    let check = |rules: &[&str], sets, harmed| {
        let rules = HostRules::parse(&filter("DROP", rules)).beside(&ours);
        let harm = rules.judge(Hook::Input, WEB, sets, &mut 100);
        assert_eq!(harm.is_some(), harmed, "{rules:?}");
    };
    let known = "-A INPUT -j KUBE-NODE-PORT";
    // The jump exists, or is added at the head.
    check(&[known], &with, false);
    check(&["-A INPUT -j DROP"], &with, false);
    check(&[], &entries(&[]), true);
    let chain = filter("DROP", &["-A INPUT -j DROP", known]).replace(":own", ":KUBE-NODE-PORT");
    let behind = HostRules::parse(&chain).beside(&ours);
    assert!(behind.judge(Hook::Input, WEB, &with, &mut 100).is_some());
}

#[test]
fn notrack_rules_are_matched_by_destination() {
    let saved = |rule: &str| {
        format!(
            "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rule}\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
        )
    };
    let check = |hook, rule: &str, found: bool| {
        let expected = found.then(|| (format!("rule `{rule}`"), None));
        assert_eq!(judged(hook, &saved(rule)), expected, "{rule}");
    };
    use Hook::{RawOutput, RawPrerouting};
    let rule = "-A OUTPUT -d 10.96.0.30/32 -p tcp -m tcp --dport 80 -m comment --comment \"NodeLocal DNS\" -j CT --notrack";
    check(RawOutput, rule, true);
    check(RawPrerouting, rule, false);
    check(RawPrerouting, "-A PREROUTING -j NOTRACK", true);
    check(
        RawOutput,
        "-A OUTPUT -s 10.96.0.30/32 -p tcp -m tcp --sport 80 -j CT --notrack",
        false,
    );
    check(
        RawOutput,
        "-A OUTPUT -d 169.254.20.10/32 -p tcp -m tcp --dport 80 -j CT --notrack",
        false,
    );
    check(RawOutput, "-A OUTPUT -j CT --zone 5", false);
    check(Hook::Input, rule, false);
}

#[test]
fn evaluation_is_limited_in_rules_and_steps() {
    let many: Vec<String> = (0..5_000)
        .map(|number| {
            format!(
                "-A INPUT -s 10.0.{}.{}/32 -j DROP",
                number / 250,
                number % 250
            )
        })
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    check_input("DROP", &many, None, None);
    check_input("DROP", &many[..4_000], POLICY, None);
    let rules = HostRules::parse(&filter("DROP", &many[..10]));
    let mut steps = 9;
    assert_eq!(
        rules.judge(Hook::Input, WEB, &BTreeMap::new(), &mut steps),
        None
    );
}

#[test]
fn malformed_lines_are_skipped() {
    for text in [
        "",
        "*filter",
        "-A INPUT -j DROP",
        "*filter\n:INPUT",
        "*filter\n:INPUT DROP\n-A",
        "*filter\n:INPUT DROP\n-A INPUT -m comment --comment \"open\nCOMMIT",
        "*filter\n[1:2] -A INPUT -j\n*filter\n:INPUT DROP",
    ] {
        let _ = HostRules::parse(text);
    }
}

/// Checks the verdict of INPUT with policy DROP and these rules, for a packet of 10.244.1.5 that
/// enters by cni0.
fn check_verdict(rules: &[&str], expected: &HostVerdict) {
    let path = HostPath {
        answer: false,
        source: "10.244.1.5".parse().ok(),
        entry: Some("cni0".into()),
        exit: None,
    };
    let saved = filter("DROP", rules);
    let rules = HostRules::parse(&saved);
    let verdict = rules.verdict(Hook::Input, WEB, &path, &BTreeMap::new(), &mut 10_000);
    assert_eq!(verdict, *expected, "{saved}");
}

fn harmed(by: &str, reject_with: Option<&str>) -> HostVerdict {
    HostVerdict::Harmed(HarmfulTarget {
        by: by.to_owned(),
        reject_with: reject_with.map(Into::into),
    })
}

#[test]
fn verdict_has_the_answer_of_the_rule() {
    for (rule, with) in [
        ("-A INPUT -j DROP", None),
        (
            "-A INPUT -j REJECT --reject-with tcp-reset",
            Some("tcp-reset"),
        ),
        ("-A INPUT -j REJECT", Some("icmp-port-unreachable")),
        (
            "-A INPUT -m comment --comment \"-j REJECT --reject-with tcp-reset\" -j DROP",
            None,
        ),
    ] {
        check_verdict(&[rule], &harmed(&format!("rule `{rule}`"), with));
    }
}

#[test]
fn known_sender_decides_conditions_on_it() {
    let policy = harmed("policy DROP of chain INPUT", None);
    for rule in [
        "-A INPUT -s 10.244.0.0/16 -j ACCEPT",
        "-A INPUT ! -s 10.245.0.0/16 -j ACCEPT",
        "-A INPUT -i cni0 -j ACCEPT",
        "-A INPUT -i cni+ -j ACCEPT",
        "-A INPUT ! -i lo -j ACCEPT",
    ] {
        check_verdict(&[rule], &HostVerdict::Unharmed);
    }
    for rule in [
        "-A INPUT -s 10.245.0.0/16 -j ACCEPT",
        "-A INPUT -i eth0 -j ACCEPT",
        "-A INPUT -i lo -j ACCEPT",
    ] {
        check_verdict(&[rule], &policy);
    }
}

#[test]
fn verdict_names_the_rule_that_it_depends_on() {
    let unknown = |rule: &str| HostVerdict::Unknown(format!("`{rule}`"));
    let accepts = "-A INPUT -m mark --mark 0x1 -j ACCEPT";
    check_verdict(&[accepts], &unknown(accepts));
    let drops = "-A INPUT -m mark --mark 0x1 -j DROP";
    check_verdict(&[drops, "-A INPUT -j ACCEPT"], &unknown(drops));
    // The packet is dropped in either case.
    let policy = harmed("policy DROP of chain INPUT", None);
    check_verdict(&[drops], &policy);
    let queue = "-A INPUT -j NFQUEUE --queue-num 1";
    check_verdict(&[queue], &unknown(queue));
    let returns = "-A own -m mark --mark 0x1 -j RETURN";
    let rules = ["-A INPUT -j own", returns, "-A own -j ACCEPT"];
    check_verdict(&rules, &unknown(returns));
}

#[test]
fn other_hooks_are_read_on_request() {
    let saved = "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -o docker+ -j ACCEPT\nCOMMIT\n";
    assert!(HostRules::parse(saved).is_empty());
    let rules = HostRules::parse_hooks(saved, &Hook::ALL);
    assert!(rules.may_harm(Hook::Forward) && !rules.may_harm(Hook::Output));
    let verdict = |exit: Option<&str>| {
        let path = HostPath {
            exit: exit.map(Into::into),
            ..HostPath::default()
        };
        rules.verdict(Hook::Forward, WEB, &path, &BTreeMap::new(), &mut 100)
    };
    assert_eq!(verdict(Some("docker0")), HostVerdict::Unharmed);
    let policy = harmed("policy DROP of chain FORWARD", None);
    assert_eq!(verdict(Some("eth0")), policy);
    let rule = "`-A FORWARD -o docker+ -j ACCEPT`".to_owned();
    assert_eq!(verdict(None), HostVerdict::Unknown(rule));
}
