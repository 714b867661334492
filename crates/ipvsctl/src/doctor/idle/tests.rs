use std::time::Duration;

use crate::doctor::facts::NodeFacts;
use crate::doctor::tests::{action, check, live};

/// A node where IPVS, the connection tracker and keepalive have these seconds for TCP.
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
fn idle_tcp_connections_must_outlive_the_keepalive() {
    check(
        "idle-tcp",
        tcp(7_300, 86_400, 7_200),
        &[
            "ok: an idle TCP connection is forgotten after 7300 s, by IPVS (by the connection tracker after \
           86400 s); this node's keepalive begins after 7200 s",
        ],
    );
    check(
        "idle-tcp",
        tcp(900, 86_400, 7_200),
        &[
            "warning: an idle TCP connection is forgotten after 900 s, by IPVS (by the connection tracker after \
           86400 s); this node's keepalive begins after 7200 s",
        ],
    );
    check(
        "idle-tcp",
        tcp(10_000, 600, 7_200),
        &[
            "warning: an idle TCP connection is forgotten after 600 s, by the connection tracker (by IPVS after \
           10000 s); this node's keepalive begins after 7200 s",
        ],
    );
}

#[test]
fn the_fields_that_are_too_short_are_to_be_raised() {
    let rest = "above 7200 s, or in the pods net.ipv4.tcp_keepalive_time below";
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
fn a_tracker_that_forgets_udp_before_ipvs_is_worth_knowing() {
    check(
        "idle-udp",
        |_| {},
        &[
            "ok: an idle UDP flow is forgotten after 300 s, by IPVS (by the connection tracker after 300 s)",
        ],
    );
    let shorter = |facts: &mut NodeFacts| {
        let name = "net.netfilter.nf_conntrack_udp_timeout_stream".into();
        live(facts).tables.sysctls.insert(name, "120".into());
    };
    let expected = [
        "ok: an idle UDP flow is forgotten after 120 s, by the connection tracker (by IPVS after 300 s)",
    ];
    check("idle-udp", shorter, &expected);
    assert!(action("idle-udp", shorter).contains("conntrack.udpStreamTimeout"));
}
