use kernel::linux::Presence;
use model::config::DetectLocal;

use crate::doctor::facts::{BRIDGE_V4, BRIDGE_V6, NodeFacts, TRACKED, TRACKED_MAX};
use crate::doctor::tests::{check, live};

#[test]
fn ipvs_answers_or_not() {
    check(
        "ipvs",
        |_| {},
        &["ok: version 1.2.1 of Linux 6.1.0 answers"],
    );
    check(
        "ipvs",
        |facts| facts.live = None,
        &["problem: the kernel has no IPVS, or its module is not loaded"],
    );
}

fn check_module(presence: Presence, expected: &[&str]) {
    let change = |facts: &mut NodeFacts| {
        facts.modules.insert("ip_vs_mh".to_owned(), presence);
    };
    check("modules", change, expected);
}

#[test]
fn modules_that_are_missing_are_named() {
    check_module(Presence::Missing, &["problem: this kernel has no ip_vs_mh"]);
    check_module(
        Presence::Loadable,
        &["ok: 3 modules loaded or to be loaded"],
    );
    check_module(
        Presence::Unknown,
        &[
            "ok: 2 modules loaded or to be loaded; whether this kernel has ip_vs_mh is not to be seen here",
        ],
    );
    let unseen = |facts: &mut NodeFacts| {
        let all = facts.modules.values_mut();
        all.for_each(|presence| *presence = Presence::Unknown);
    };
    check("modules", unseen, &[]);
}

fn check_setting(name: &str, value: &str, expected: &[&str]) {
    let change = |facts: &mut NodeFacts| {
        let sysctls = &mut live(facts).tables.sysctls;
        sysctls.insert(name.into(), value.into());
    };
    check("settings", change, expected);
}

#[test]
fn settings_are_told_by_name_with_is_and_should() {
    check_setting(
        "net.ipv4.ip_forward",
        "1",
        &["ok: the kernel's settings are what kube-ipvsd wants"],
    );
    check_setting(
        "net.ipv4.ip_forward",
        "0",
        &["problem: net.ipv4.ip_forward is 0, should be 1"],
    );
    check_setting(
        "net.ipv4.vs.conn_reuse_mode",
        "0",
        &["warning: net.ipv4.vs.conn_reuse_mode is 0, should be 1"],
    );
    check_setting(
        "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
        "60",
        &["warning: net.netfilter.nf_conntrack_tcp_timeout_close_wait is 60, should be 3600"],
    );
}

#[test]
fn what_conn_reuse_mode_should_be_depends_on_the_kernel() {
    let change = |facts: &mut NodeFacts| {
        live(facts).node.machine.kernel = "4.19".parse().ok();
    };
    let expected = ["warning: net.ipv4.vs.conn_reuse_mode is 1, should be 0"];
    check("settings", change, &expected);
}

#[test]
fn strict_arp_wants_two_settings_more() {
    let change = |facts: &mut NodeFacts| facts.config.strict_arp = true;
    let expected = [
        "warning: net.ipv4.conf.all.arp_announce is not there, should be 2",
        "warning: net.ipv4.conf.all.arp_ignore is not there, should be 1",
    ];
    check("settings", change, &expected);
}

#[test]
fn a_bridge_wants_its_packets_to_pass_by_the_rules() {
    let bridged = |facts: &mut NodeFacts| {
        facts.bridges.insert("cni0".into());
    };
    check("bridge", |_| {}, &["ok: there is no Linux bridge"]);
    check(
        "bridge",
        bridged,
        &[
            "warning: there is the bridge cni0: net.bridge.bridge-nf-call-iptables is not there, should be 1, \
           net.bridge.bridge-nf-call-ip6tables is not there, should be 1",
        ],
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
            "warning: there is the bridge cni0: net.bridge.bridge-nf-call-ip6tables is 0, should be 1",
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
        &["ok: what goes over br0 passes by the rules"],
    );
}

fn check_tracked(tracked: &str, max: &str, expected: &[&str]) {
    let change = |facts: &mut NodeFacts| {
        facts.settings.insert(TRACKED, tracked.to_owned());
        facts.settings.insert(TRACKED_MAX, max.to_owned());
    };
    check("conntrack", change, expected);
}

#[test]
fn a_connection_tracker_that_is_nearly_full_is_told() {
    check_tracked(
        "749",
        "1000",
        &["ok: 749 of at most 1000 connections are tracked, 74 %"],
    );
    check_tracked(
        "750",
        "1000",
        &["warning: 750 of at most 1000 connections are tracked, 75 %"],
    );
    check_tracked(
        "1000",
        "1000",
        &["problem: 1000 of at most 1000 connections are tracked, 100 %"],
    );
    check_tracked("7", "0", &["ok: 7 connections, no limit"]);
}

#[test]
fn a_family_that_the_node_lacks_is_a_warning() {
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
