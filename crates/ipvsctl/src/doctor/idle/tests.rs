use std::time::Duration;

use model::Keepalive;
use model::config::TcpTimeout;

use crate::doctor::facts::NodeFacts;
use crate::doctor::tests::{action, check, live};

/// Sets the TCP timeouts of IPVS and of the connection tracker, and the keepalive time, in seconds.
fn tcp(ipvs: u64, tracked: u64, keepalive: u32) -> impl Fn(&mut NodeFacts) {
    move |facts| {
        let live = live(facts);
        live.tables.timeouts.tcp = Duration::from_secs(ipvs);
        live.tables.sysctls.insert(
            "net.netfilter.nf_conntrack_tcp_timeout_established".into(),
            tracked.to_string().into(),
        );
        live.node.machine.keepalive = Some(Keepalive {
            time: keepalive,
            ..Keepalive::LINUX
        });
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
    let rest = "or set net.ipv4.tcp_keepalive_time in the pods below";
    let matching = "set ipvs.tcpTimeout: matchKeepalive";
    let tracked = "set conntrack.tcpEstablishedTimeout above 7200 s";
    for (times, expected) in [
        ((900, 86_400), format!("{matching}, {rest} 900 s")),
        ((10_000, 600), format!("{tracked}, {rest} 600 s")),
        (
            (900, 600),
            format!("{matching} and {tracked}, {rest} 600 s"),
        ),
    ] {
        let found = action("idle-tcp", tcp(times.0, times.1, 7_200));
        assert_eq!(found, expected);
    }
}

/// Returns the advice for a node with `ipvs.tcpTimeout: matchKeepalive` and this
/// `conntrack.tcpEstablishedTimeout`.
fn action_if_matching(established: u64, times: impl Fn(&mut NodeFacts)) -> String {
    action("idle-tcp", |facts: &mut NodeFacts| {
        times(facts);
        let settings = &mut facts.config.kernel_settings;
        settings.timeouts.tcp = TcpTimeout::MatchKeepalive;
        settings.conntrack.tcp_established_timeout = Duration::from_secs(established);
    })
}

#[test]
fn advice_for_a_node_that_matches_the_keepalive() {
    let start = "start kube-ipvsd, which sets the timeouts for ipvs.tcpTimeout: matchKeepalive";
    assert_eq!(action_if_matching(86_400, tcp(900, 86_400, 7_200)), start);
    assert_eq!(action_if_matching(600, tcp(900, 600, 7_200)), start);
    assert_eq!(
        action_if_matching(0, tcp(8_920, 600, 7_200)),
        "set conntrack.tcpEstablishedTimeout above 7200 s, or set net.ipv4.tcp_keepalive_time in the pods below 600 s"
    );
    assert_eq!(
        action_if_matching(86_400, tcp(2_147_483, 2_147_483, 2_147_484)),
        "set net.ipv4.tcp_keepalive_time of the node below 2147483 s, the longest timeout of IPVS"
    );
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
