//! Conditions and targets of rules.

use super::small::{SERVICE, check, rules};

/// Checks whether a packet from `podB` to the Service matches `condition` in nat PREROUTING: if
/// `expected`, it is dropped.
fn holds(condition: &str, expected: bool) {
    let drop = rules(&format!("-A KUBE-SERVICES {condition} -j DROP"), "");
    let verdict = if expected {
        "lost"
    } else {
        "podA seeing 10.244.1.6"
    };
    check(SERVICE, &drop, "podB -> 10.96.0.1:80/tcp", verdict);
}

#[test]
fn conditions_match_the_packet() {
    for (condition, expected) in [
        ("-s 10.244.1.0/24", true),
        ("! -s 10.244.1.0/24", false),
        ("-s 10.244.2.0/24", false),
        ("-p tcp", true),
        ("-p udp", false),
        ("-m comment --comment \"a word\"", true),
        ("-m mark --mark 0x4000/0x4000", false),
        ("-m mark ! --mark 0x4000/0x4000", true),
        ("-m addrtype --dst-type LOCAL", true),
        ("-m addrtype --src-type LOCAL", false),
        ("-m addrtype ! --src-type LOCAL", true),
        ("-m physdev --physdev-is-in", true),
        ("-m physdev ! --physdev-is-in", false),
        ("-m conntrack --ctstate NEW", true),
        ("-m conntrack --ctstate RELATED,ESTABLISHED", false),
        ("-s 10.244.1.0/24 -p udp", false),
    ] {
        holds(condition, expected);
    }
}

/// Checks whether the packet of `probe` matches the set with `entry` by `dimensions`: if
/// `expected`, it is dropped.
fn in_set(kind: &str, entry: &str, dimensions: &str, probe: &str, expected: &str) {
    let created = match kind {
        "bitmap:port" => "bitmap:port range 0-65535".to_owned(),
        _ => format!("{kind} family inet maxelem 65536"),
    };
    let nat = format!("-A KUBE-SERVICES -m set --match-set KUBE-X {dimensions} -j DROP");
    let sets = format!("# ipset\ncreate KUBE-X {created}\nadd KUBE-X {entry}\n");
    check("", &format!("{sets}{}", rules(&nat, "")), probe, expected);
}

#[test]
fn sets_match_addresses_ports_and_networks() {
    let (tcp, udp) = ("podB -> 192.0.2.1:9100/tcp", "podB -> 192.0.2.1:9100/udp");
    let (sctp, icmp) = ("podB -> 192.0.2.1:9100/sctp", "podB -> 192.0.2.1:9100/icmp");
    let seen = "exporter seeing 10.244.1.6";
    for (kind, entry, dimensions, probe, expected) in [
        ("hash:ip", "192.0.2.1", "dst", tcp, "lost"),
        ("hash:ip", "192.0.2.1", "src", tcp, seen),
        ("hash:ip", "10.244.1.6", "src", tcp, "lost"),
        ("hash:ip,port", "192.0.2.1,tcp:9100", "dst,dst", tcp, "lost"),
        ("hash:ip,port", "192.0.2.1,tcp:9101", "dst,dst", tcp, seen),
        (
            "hash:ip,port",
            "192.0.2.1,tcp:9100",
            "dst,dst",
            udp,
            "unreachable port",
        ),
        (
            "hash:ip,port",
            "10.244.1.6,tcp:9100",
            "src,dst",
            tcp,
            "lost",
        ),
        (
            "hash:ip,port,ip",
            "192.0.2.1,tcp:9100,10.244.1.6",
            "dst,dst,src",
            tcp,
            "lost",
        ),
        (
            "hash:ip,port,ip",
            "192.0.2.1,tcp:9100,10.244.1.6",
            "dst,dst,dst",
            tcp,
            seen,
        ),
        (
            "hash:ip,port,net",
            "192.0.2.1,tcp:9100,10.244.0.0/16",
            "dst,dst,src",
            tcp,
            "lost",
        ),
        (
            "hash:ip,port,net",
            "192.0.2.1,tcp:9100,10.245.0.0/16",
            "dst,dst,src",
            tcp,
            seen,
        ),
        ("bitmap:port", "9100", "dst", tcp, "lost"),
        ("bitmap:port", "9100", "dst", udp, "lost"),
        ("bitmap:port", "9100", "dst", sctp, "refused"),
        ("bitmap:port", "9100", "dst", icmp, "echo"),
        ("bitmap:port", "9101", "dst", tcp, seen),
    ] {
        in_set(kind, entry, dimensions, probe, expected);
    }
}

#[test]
fn unsupported_set_matches_are_errors() {
    let probe = "podB -> 192.0.2.1:9100/tcp";
    let source_port = "cannot judge a set of source ports";
    in_set(
        "hash:ip,port",
        "192.0.2.1,tcp:1",
        "dst,src",
        probe,
        source_port,
    );
    in_set("bitmap:port", "1", "src", probe, source_port);
    let nat = "-A KUBE-SERVICES -m set --match-set KUBE-Y dst -j DROP";
    let absent = "cannot judge the set KUBE-Y, which does not exist";
    check("", &rules(nat, ""), probe, absent);
    let nat = "-A KUBE-SERVICES -m set --match-set KUBE-X dst -j DROP";
    let set = "# ipset\ncreate KUBE-X hash:ip,port family inet maxelem 65536\n";
    let fewer = "cannot judge 1 dimensions of Hash { hash_type: IpPort, family: Inet, max_elements: 65536 }";
    check("", &format!("{set}{}", rules(nat, "")), probe, fewer);
}

#[test]
fn targets_end_or_continue_a_chain() {
    for (nat, expected) in [
        (
            "-A KUBE-SERVICES -j RETURN\n-A KUBE-SERVICES -j DROP",
            "podA seeing 10.244.1.6",
        ),
        (
            "-A KUBE-SERVICES -j ACCEPT\n-A KUBE-SERVICES -j DROP",
            "podA seeing 10.244.1.6",
        ),
        (
            "-A KUBE-SERVICES -j KUBE-NODE-PORT\n-A KUBE-SERVICES -j DROP",
            "lost",
        ),
        (
            "-A KUBE-SERVICES -j KUBE-NODE-PORT\n-A KUBE-SERVICES -j DROP\n\
             -A KUBE-NODE-PORT -j RETURN",
            "lost",
        ),
        (
            "-A KUBE-SERVICES -j KUBE-NODE-PORT\n-A KUBE-SERVICES -j DROP\n\
             -A KUBE-NODE-PORT -j ACCEPT",
            "podA seeing 10.244.1.6",
        ),
        ("-A KUBE-SERVICES\n-A KUBE-SERVICES -j DROP", "lost"),
    ] {
        check(
            SERVICE,
            &rules(nat, ""),
            "podB -> 10.96.0.1:80/tcp",
            expected,
        );
    }
}

#[test]
fn marks_are_cleared_under_the_mask_and_then_xored() {
    for (marks, wanted, expected) in [
        ("0x4000/0x4000", "0x4000/0x4000", "podA seeing 10.244.1.1"),
        (
            "0x4000/0x4000 0x8000/0x8000",
            "0xc000/0xc000",
            "podA seeing 10.244.1.1",
        ),
        (
            "0x4000/0x4000 0x4000/0x4000",
            "0x4000/0x4000",
            "podA seeing 10.244.1.1",
        ),
        (
            "0x4000/0x4000 0x4000/0x0",
            "0x4000/0x4000",
            "podA seeing 10.244.1.6",
        ),
        (
            "0x4000/0x4000 0x0/0xffffffff",
            "0x4000/0x4000",
            "podA seeing 10.244.1.6",
        ),
        (
            "0xc000/0xffffffff",
            "0x4000/0x4000",
            "podA seeing 10.244.1.1",
        ),
        ("0xc000/0xffffffff", "0x4000", "podA seeing 10.244.1.6"),
    ] {
        let set = marks.split(' ');
        let mut nat: String = set
            .map(|mark| format!("-A KUBE-SERVICES -j MARK --set-xmark {mark}\n"))
            .collect();
        nat.push_str(&format!(
            "-A KUBE-POSTROUTING -m mark --mark {wanted} -j MASQUERADE"
        ));
        check(
            SERVICE,
            &rules(&nat, ""),
            "podB -> 10.96.0.1:80/tcp",
            expected,
        );
    }
}

#[test]
fn rejections_have_the_outcome_of_their_kind() {
    for (with, expected) in [
        ("icmp-port-unreachable", "unreachable port"),
        ("icmp-host-unreachable", "unreachable host"),
        ("icmp-admin-prohibited", "unreachable admin-prohibited"),
        ("tcp-reset", "refused"),
    ] {
        let reject = rules(
            "",
            &format!("-A KUBE-IPVS-FILTER -j REJECT --reject-with {with}"),
        );
        check(SERVICE, &reject, "podB -> 10.96.0.1:80/tcp", expected);
    }
}

#[test]
fn virtual_server_match_holds_for_packets_that_ipvs_sent() {
    let probe = "host -> 10.96.0.1:80/tcp";
    for (condition, expected) in [
        ("--vproto 6 --vaddr 10.96.0.1 --vport 80", "lost"),
        (
            "--vproto 17 --vaddr 10.96.0.1 --vport 80",
            "podA seeing 10.96.0.1",
        ),
        (
            "--vproto 6 --vaddr 10.96.0.2 --vport 80",
            "podA seeing 10.96.0.1",
        ),
        (
            "--vproto 6 --vaddr 10.96.0.1 --vport 81",
            "podA seeing 10.96.0.1",
        ),
        ("--ipvs", "cannot judge the condition -m ipvs --ipvs"),
        (
            "--vaddr 10.96.0.1",
            "cannot judge the condition -m ipvs --vaddr 10.96.0.1",
        ),
    ] {
        let filter = format!("-A KUBE-IPVS-OUT-FILTER -m ipvs {condition} -j DROP");
        check(SERVICE, &rules("", &filter), probe, expected);
    }
    let filter =
        "-A KUBE-IPVS-OUT-FILTER -m ipvs --vproto 6 --vaddr 10.244.1.5 --vport 8080 -j DROP";
    let direct = "host -> 10.244.1.5:8080/tcp";
    check(
        SERVICE,
        &rules("", filter),
        direct,
        "podA seeing 10.244.1.1",
    );
}

#[test]
fn unknown_targets_are_errors() {
    let probe = "podB -> 10.96.0.1:80/tcp";
    for (target, expected) in [
        (
            "-j DNAT --to-destination 1.2.3.4",
            "the target -j DNAT --to-destination 1.2.3.4",
        ),
        ("-g KUBE-MARK-MASQ", "the target -g KUBE-MARK-MASQ"),
        ("-j TRACE", "a jump to TRACE, which does not exist"),
    ] {
        let nat = rules(&format!("-A KUBE-SERVICES {target}"), "");
        check(SERVICE, &nat, probe, &format!("cannot judge {expected}"));
        // A rule that does not match is not evaluated.
        let nat = rules(&format!("-A KUBE-SERVICES -s 192.0.2.0/24 {target}"), "");
        check(SERVICE, &nat, probe, "podA seeing 10.244.1.6");
    }
}
