use std::time::Duration;

use crate::doctor::facts::NodeFacts;
use crate::doctor::tests::{action, check, live};

/// Sets the TCP timeouts of IPVS and of the connection tracker, and the keepalive time, in seconds.
fn tcp(ipvs: u64, tracked: u64, keepalive: u64) -> impl Fn(&mut NodeFacts) {
    move |facts| {
        let tables = &mut live(facts).tables;
        tables.timeouts.tcp = Duration::from_secs(ipvs);
        for (name, value) in [
            (
                "net.netfilter.nf_conntrack_tcp_timeout_established",
                tracked,
            ),
            ("net.ipv4.tcp_keepalive_time", keepalive),
        ] {
            let value = value.to_string().into();
            tables.sysctls.insert(name.into(), value);
        }
    }
}

#[test]
fn tcp_timeout_below_keepalive_is_a_warning() {
    for (ipvs, tracked, expected) in [
        (
            7_300,
            86_400,
            "ok: idle TCP connections expire after 7300 s in IPVS (86400 s in the connection tracker)",
        ),
        (
            900,
            86_400,
            "warning: idle TCP connections expire after 900 s in IPVS (86400 s in the connection tracker)",
        ),
        (
            10_000,
            600,
            "warning: idle TCP connections expire after 600 s in the connection tracker (10000 s in IPVS)",
        ),
    ] {
        let expected = format!("{expected}; TCP keepalive of this node starts after 7200 s");
        check("idle-tcp", tcp(ipvs, tracked, 7_200), &[&expected]);
    }
}

#[test]
fn advice_names_the_timeouts_to_raise() {
    let rest = "above 7200 s, or net.ipv4.tcp_keepalive_time in the pods below";
    for (ipvs, tracked, expected) in [
        (900, 86_400, format!("set ipvs.tcpTimeout {rest} 900 s")),
        (
            10_000,
            600,
            format!("set conntrack.tcpEstablishedTimeout {rest} 600 s"),
        ),
        (
            900,
            600,
            format!("set ipvs.tcpTimeout and conntrack.tcpEstablishedTimeout {rest} 600 s"),
        ),
    ] {
        assert_eq!(action("idle-tcp", tcp(ipvs, tracked, 7_200)), expected);
    }
}

#[test]
fn shorter_udp_timeout_of_the_tracker_is_ok_with_advice() {
    check(
        "idle-udp",
        |_| {},
        &["ok: idle UDP flows expire after 300 s in IPVS (300 s in the connection tracker)"],
    );
    let shorter = |facts: &mut NodeFacts| {
        let name = "net.netfilter.nf_conntrack_udp_timeout_stream".into();
        live(facts).tables.sysctls.insert(name, "120".into());
    };
    let expected =
        ["ok: idle UDP flows expire after 120 s in the connection tracker (300 s in IPVS)"];
    check("idle-udp", shorter, &expected);
    assert!(action("idle-udp", shorter).contains("conntrack.udpStreamTimeout"));
}
