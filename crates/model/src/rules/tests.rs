pub(crate) mod any;

use ipset::{Dimension, SetName};
use ipvs::Protocol;
use proptest::prelude::*;

use super::{ChainKey, ConnectionState, Match, Rule, Rules, Table, Target};

/// Checks that `text` parses as this rule and is printed from it.
#[track_caller]
fn check(text: &str, matches: Vec<Match>, target: Target) {
    let rule = Rule { matches, target };
    assert_eq!(Rule::parse(text), rule, "{text}");
    assert_eq!(rule.to_string(), text);
}

/// Checks that no part of `text` parses as a known condition.
fn check_other(text: &str) {
    check(text, vec![Match::Other(text.into())], Target::Nothing);
}

fn source(negated: bool, network: &str) -> Match {
    let network = network.parse().expect("a network");
    Match::Source { negated, network }
}

fn set(negated: bool, name: &str, dimensions: &[Dimension]) -> Match {
    Match::Set {
        negated,
        name: SetName::new(name).expect("a name"),
        dimensions: dimensions.to_vec(),
    }
}

fn not_through(name: &str) -> Match {
    Match::InInterface {
        negated: true,
        name: name.into(),
    }
}

#[test]
fn conditions_are_separated_and_printed_in_their_order() {
    use ConnectionState::{Established, New, Related};
    use Dimension::{Dst, Src};
    let ipvs = "-m ipvs --vproto 6 --vaddr 203.0.113.16 --vport 80";
    let mark = |negated, value, mask| Match::Mark {
        negated,
        value,
        mask,
    };
    let local = |negated, end| Match::Local { negated, end };
    for (text, matches, target) in [
        ("", vec![], Target::Nothing),
        (
            "-s 127.0.0.0/8 -j RETURN",
            vec![source(false, "127.0.0.0/8")],
            Target::Return,
        ),
        ("! -s ::/0", vec![source(true, "::/0")], Target::Nothing),
        (
            "! -i veth+ -p tcp -j DROP",
            vec![not_through("veth+"), Match::Protocol(Protocol::Tcp)],
            Target::Drop,
        ),
        (
            "-m set --match-set KUBE-LOOP-BACK dst,dst,src -m set ! --match-set B dst",
            vec![
                set(false, "KUBE-LOOP-BACK", &[Dst, Dst, Src]),
                set(true, "B", &[Dst]),
            ],
            Target::Nothing,
        ),
        (
            "-m mark ! --mark 0x4000/0x4000 -j MARK --set-xmark 0x4000/0x0",
            vec![mark(true, 0x4000, 0x4000)],
            Target::Mark {
                value: 0x4000,
                mask: 0,
            },
        ),
        (
            "-m mark --mark 0x80000000 -j MARK --set-xmark 0x5/0xffffffff",
            vec![mark(false, 1 << 31, u32::MAX)],
            Target::Mark {
                value: 5,
                mask: u32::MAX,
            },
        ),
        (
            "-m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT",
            vec![Match::PhysdevIsIn { negated: true }, local(true, Src)],
            Target::Accept,
        ),
        (
            "-m addrtype --dst-type LOCAL -j KUBE-NODE-PORT",
            vec![local(false, Dst)],
            Target::Jump("KUBE-NODE-PORT".into()),
        ),
        (
            "-m conntrack --ctstate NEW,RELATED,ESTABLISHED -j REJECT --reject-with icmp6-port-unreachable",
            vec![Match::ConnectionState(vec![New, Related, Established])],
            Target::Reject("icmp6-port-unreachable".into()),
        ),
        (
            &format!(
                "-s 203.0.113.16/32 -m tcp ! --dport 80 ! -i lo {ipvs} -m comment --comment x -j DROP"
            ),
            vec![
                source(false, "203.0.113.16/32"),
                Match::Other("-m tcp ! --dport 80".into()),
                not_through("lo"),
                Match::Other(ipvs.into()),
                Match::Comment("x".into()),
            ],
            Target::Drop,
        ),
    ] {
        check(text, matches, target);
    }
}

#[test]
fn protocols_are_printed_by_name() {
    for (text, protocol) in [
        ("-p udp", Protocol::Udp),
        ("-p sctp", Protocol::Sctp),
        ("-p 253", Protocol::Other(253)),
    ] {
        check(text, vec![Match::Protocol(protocol)], Target::Nothing);
    }
}

#[test]
fn comments_are_quoted_as_iptables_quotes_them() {
    for (comment, printed) in [
        (
            "kubernetes service portals",
            "\"kubernetes service portals\"",
        ),
        ("type 'hash ip:port'", "\"type \\'hash ip:port\\'\""),
        ("say \"a\" \\ b", "\"say \\\"a\\\" \\\\ b\""),
        ("!", "\"!\""),
        ("", "\"\""),
        ("ünï", "\"ünï\""),
        ("plain_word-1", "plain_word-1"),
        ("-j", "-j"),
        ("-m", "-m"),
    ] {
        check(
            &format!("-m comment --comment {printed} -j ACCEPT"),
            vec![Match::Comment(comment.into())],
            Target::Accept,
        );
    }
}

#[test]
fn masquerading() {
    for (text, random_fully) in [
        ("-j MASQUERADE", false),
        ("-j MASQUERADE --random-fully", true),
    ] {
        check(text, Vec::new(), Target::Masquerade { random_fully });
    }
}

#[test]
fn unknown_conditions_are_kept_as_text() {
    for text in [
        "-m ipvs --vproto 6 --vaddr 203.0.113.16 --vport 80",
        "-m tcp --dport 80",
        "-d 10.0.0.0/255.0.255.0",
        "! -o eth0",
        "-f",
        "-p gre",
        "! -p tcp",
        "-s 10.0.0.0/255.0.255.0",
        "-m set --match-set B dst --return-nomatch",
        "-m mark --mark 1",
        "-m addrtype --src-type LOCAL ! --dst-type UNICAST --limit-iface-in",
        "-m conntrack ! --ctstate NEW",
        "-m conntrack --ctstate INVALID,NEW",
        "-m physdev --physdev-is-in --physdev-is-out",
        "-m string --string \"-j\" --algo bm --to 65535",
        "nonsense",
        "!",
        // Without its quotes, such a word would print as two words or none.
        "-i \"eth0 -p\"",
        "-i \"\"",
        // iptables prints line breaks in comments as they are.
        "-m comment --comment \"two",
    ] {
        check_other(text);
    }
}

#[test]
fn unknown_targets_are_kept_as_text() {
    for text in [
        "-j LOG --log-prefix -j",
        "-g KUBE-SERVICES",
        "-j MASQUERADE --to-ports 5-7 --random-fully",
        "-j MARK --set-mark 1",
        "-j REJECT",
        "-j ACCEPT --for \"a while\"",
        "-j",
        "-j \"\"",
        "-j \"A B\"",
        "-j REJECT --reject-with \"a b\"",
    ] {
        check(text, Vec::new(), Target::Other(text.into()));
    }
}

const SAVED: &str = "\
# Generated by iptables-save v1.8.9 on Mon Nov 23 09:38:16 2026
*raw
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -j KUBE-SERVICES
what raw can hold
COMMIT
# Completed on Mon Nov 23 09:38:16 2026
*filter
:INPUT ACCEPT [1:2]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:odd\"chain - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-IPVS-FILTER - [0:0]
[3:4] -A INPUT -m comment --comment \"two
lines\" -j ACCEPT
[3:4] -A INPUT -m comment --comment \"kubernetes ipvs access filter\" -j KUBE-IPVS-FILTER
[0:0] -A INPUT -p tcp -j odd\"chain
-A INPUT -j DOCKER
-A INPUT -g KUBE-NODE-PORT
-A INPUT -j KUBE-SERVICES
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER -j KUBE-FORWARD
-A KUBE-FORWARD -j LOG --log-prefix KUBE-
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -j KUBE-POSTROUTING
-A POSTROUTING -s 10.244.0.0/16 -j MASQUERADE
-A POSTROUTING -j KUBE-POSTROUTING
-A PREROUTING -j KUBE-SERVICES
COMMIT
";

const OURS: &str = "\
*nat
:KUBE-SERVICES -
-A PREROUTING -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
-A POSTROUTING -j KUBE-POSTROUTING
COMMIT
*filter
:KUBE-FORWARD -
:KUBE-IPVS-FILTER -
-A INPUT -m comment --comment \"kubernetes ipvs access filter\" -j KUBE-IPVS-FILTER
-A INPUT -g KUBE-NODE-PORT
-A KUBE-FORWARD -j LOG --log-prefix KUBE-
COMMIT
";

#[test]
fn our_chains_and_jumps_are_kept() {
    let rules = Rules::parse(SAVED).expect("it parses");
    assert_eq!(rules.print(), OURS);
    assert_eq!(Rules::parse(OURS), Ok(rules));
}

#[test]
fn empty_rules_print_as_empty_text() {
    assert_eq!(Rules::default().print(), "");
    assert_eq!(Rules::parse(""), Ok(Rules::default()));
    assert_eq!(Rules::parse("*nat\nCOMMIT\n"), Ok(Rules::default()));
}

#[test]
fn ownership_of_a_chain_depends_on_its_table() {
    let services = |table| ChainKey::new(table, "KUBE-SERVICES");
    assert!(services(Table::Nat).is_ours());
    assert!(!services(Table::Filter).is_ours());
    for table in Table::ALL {
        assert!(ChainKey::new(table, "KUBE-NODE-PORT").is_ours());
        assert!(!ChainKey::new(table, "INPUT").is_ours());
    }
}

#[test]
fn errors_name_the_line() {
    for (text, problem) in [
        (
            "-A KUBE-SERVICES -j RETURN\n",
            "line 1: `-A KUBE-SERVICES -j RETURN` is outside a table; \
             expected `*nat` or `*filter` before it",
        ),
        (
            "*nat\nCOMMIT\nCOMMIT\n",
            "line 3: `COMMIT` is outside a table; expected `*nat` or `*filter` before it",
        ),
        (
            "*nat\n\n-I KUBE-SERVICES -j RETURN\nCOMMIT\n",
            "line 3: `-I KUBE-SERVICES -j RETURN` is not `:CHAIN`, `-A CHAIN` or COMMIT",
        ),
        (
            "*nat\n:KUBE-SERVICES -\n*filter\nCOMMIT\n",
            "line 3: expected COMMIT of table nat, found `*filter`",
        ),
        (
            "*mangle\n:INPUT ACCEPT\n",
            "line 2: the text ends without COMMIT of table mangle",
        ),
    ] {
        let error = Rules::parse(text).expect_err(text);
        assert_eq!(error.to_string(), problem);
    }
}

proptest! {
    #[test]
    fn printed_rule_parses_back(rule in any::rule()) {
        prop_assert_eq!(Rule::parse(&rule.to_string()), rule);
    }

    #[test]
    fn printed_rules_parse_back(rules in any::rules()) {
        prop_assert_eq!(Rules::parse(&rules.print()), Ok(rules));
    }

    /// Also holds for text that is not a valid rule.
    #[test]
    fn parsed_text_survives_print_and_parse(text in "[-!a-z\"' \\\\]{0,40}") {
        let rule = Rule::parse(&text);
        prop_assert_eq!(Rule::parse(&rule.to_string()), rule);
    }

    #[test]
    fn parse_never_panics(lines in prop::collection::vec("(\\*nat|:|-A INPUT|COMMIT|\\[)?\\PC{0,30}", 0..6)) {
        let _ = Rules::parse(&lines.join("\n"));
    }
}

#[test]
fn chains_used_by_other_programs_are_found() {
    let text = "*nat\n:KUBE-MARK-MASQ - [0:0]\n:CNI-HOSTPORT - [0:0]\n-A OUTPUT -j KUBE-SERVICES\n\
                [1:60] -A CNI-HOSTPORT -p tcp -j KUBE-MARK-MASQ\n\
                -A KUBE-SERVICES -j KUBE-NODE-PORT\nCOMMIT\n";
    let held = Rules::held_by_other_programs(text);
    assert_eq!(held, [ChainKey::new(Table::Nat, "KUBE-MARK-MASQ")].into());
}
