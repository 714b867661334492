use kernel::linux::Presence;
use model::config::DetectLocal;

use crate::doctor::facts::{BRIDGE_V4, BRIDGE_V6, NodeFacts, TRACKED, TRACKED_MAX};
use crate::doctor::tests::{check, live};

#[test]
fn missing_ipvs_is_a_problem() {
    check(
        "ipvs",
        |_| {},
        &["ok: IPVS 1.2.1 of Linux 6.1.0 is available"],
    );
    check(
        "ipvs",
        |facts| facts.live = None,
        &["problem: the kernel has no IPVS, or the module ip_vs is not loaded"],
    );
}

#[test]
fn missing_modules_are_named() {
    for (presence, expected) in [
        (
            Presence::Missing,
            "problem: this kernel lacks the modules ip_vs_mh",
        ),
        (Presence::Loadable, "ok: 3 modules loaded or loadable"),
        (
            Presence::Unknown,
            "ok: 2 modules loaded or loadable; unknown whether this kernel has ip_vs_mh",
        ),
    ] {
        let change = |facts: &mut NodeFacts| {
            facts.modules.insert("ip_vs_mh".to_owned(), presence);
        };
        check("modules", change, &[expected]);
    }
    let unseen = |facts: &mut NodeFacts| {
        let all = facts.modules.values_mut();
        all.for_each(|presence| *presence = Presence::Unknown);
    };
    check("modules", unseen, &[]);
}

#[test]
fn settings_are_reported_with_live_and_wanted_value() {
    let close_wait = "net.netfilter.nf_conntrack_tcp_timeout_close_wait";
    for (name, value, expected) in [
        (
            "net.ipv4.ip_forward",
            "1",
            "ok: kernel settings are as kube-ipvsd needs them",
        ),
        (
            "net.ipv4.ip_forward",
            "0",
            "problem: net.ipv4.ip_forward is 0, should be 1",
        ),
        (
            "net.ipv4.vs.conn_reuse_mode",
            "0",
            "warning: net.ipv4.vs.conn_reuse_mode is 0, should be 1",
        ),
        (
            close_wait,
            "60",
            &*format!("warning: {close_wait} is 60, should be 3600"),
        ),
    ] {
        let change = |facts: &mut NodeFacts| {
            let sysctls = &mut live(facts).tables.sysctls;
            sysctls.insert(name.into(), value.into());
        };
        check("settings", change, &[expected]);
    }
}

#[test]
fn wanted_conn_reuse_mode_depends_on_the_kernel() {
    let change = |facts: &mut NodeFacts| {
        live(facts).node.machine.kernel = "4.19".parse().ok();
    };
    let expected = ["warning: net.ipv4.vs.conn_reuse_mode is 1, should be 0"];
    check("settings", change, &expected);
}

#[test]
fn strict_arp_needs_two_more_settings() {
    let change = |facts: &mut NodeFacts| facts.config.strict_arp = true;
    let expected = [
        "warning: net.ipv4.conf.all.arp_announce is missing, should be 2",
        "warning: net.ipv4.conf.all.arp_ignore is missing, should be 1",
    ];
    check("settings", change, &expected);
}

#[test]
fn bridged_packets_must_pass_the_rules() {
    let bridged = |facts: &mut NodeFacts| {
        facts.bridges.insert("cni0".into());
    };
    check("bridge", |_| {}, &["ok: no Linux bridge"]);
    check(
        "bridge",
        bridged,
        &["warning: packets over bridge cni0 bypass the rules: \
             net.bridge.bridge-nf-call-iptables is missing, should be 1, \
             net.bridge.bridge-nf-call-ip6tables is missing, should be 1"],
    );
    let half = |facts: &mut NodeFacts| {
        bridged(facts);
        facts.settings.insert(BRIDGE_V4, "1".to_owned());
        facts.settings.insert(BRIDGE_V6, "0".to_owned());
    };
    check(
        "bridge",
        half,
        &[
            "warning: packets over bridge cni0 bypass the rules: net.bridge.bridge-nf-call-ip6tables is 0, should be 1",
        ],
    );
    let on = |facts: &mut NodeFacts| {
        let name = "br0".into();
        facts.config.detect_local = DetectLocal::BridgeInterface(name);
        facts.settings.insert(BRIDGE_V4, "1".to_owned());
        facts.settings.insert(BRIDGE_V6, "1".to_owned());
    };
    check(
        "bridge",
        on,
        &["ok: packets over bridge br0 pass the rules"],
    );
}

#[test]
fn nearly_full_connection_tracker_is_reported() {
    for (tracked, max, expected) in [
        (
            "749",
            "1000",
            "ok: 749 of at most 1000 tracked connections, 74 %",
        ),
        (
            "750",
            "1000",
            "warning: 750 of at most 1000 tracked connections, 75 %",
        ),
        (
            "1000",
            "1000",
            "problem: 1000 of at most 1000 tracked connections, 100 %",
        ),
        ("7", "0", "ok: 7 tracked connections, no limit"),
    ] {
        let change = |facts: &mut NodeFacts| {
            facts.settings.insert(TRACKED, tracked.to_owned());
            facts.settings.insert(TRACKED_MAX, max.to_owned());
        };
        check("conntrack", change, &[expected]);
    }
}

#[test]
fn missing_family_is_a_warning() {
    check("families", |_| {}, &["ok: IPv4 and IPv6 can be served"]);
    let lacks = |facts: &mut NodeFacts| {
        let live = facts.live.as_mut().expect("tables");
        live.node.missing = Some(model::missing_family::MissingFamily {
            family: ipvs::AddressFamily::Ipv6,
            gap: model::missing_family::FamilyGap::NoNat,
        });
    };
    let expected =
        "warning: this node cannot serve IPv6: the packet filter has no table nat for IPv6";
    check("families", lacks, &[expected]);
    assert!(super::super::tests::action("families", lacks).contains("ip6table_nat"));
}
