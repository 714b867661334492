use model::text;

use crate::doctor::facts::{NodeFacts, SourceCheck};
use crate::doctor::tests::{action, check, live};

const CHECK: &str = "forwarding";

/// Lets the node have a virtual server with this method at a virtual address.
fn with(facts: &mut NodeFacts, address: &str, real: &str) {
    facts.desired = Err("unknown".to_owned());
    let tables = format!(
        "# ipvs\n-A -t {address}:80 -s rr\n-a -t {address}:80 -r {real} -w 1\n# addresses\n{address}\n"
    );
    live(facts).tables = text::parse(&tables).expect("tables");
}

fn direct(facts: &mut NodeFacts) {
    with(facts, "203.0.113.1", "192.0.2.9:80 -g");
}

fn source_check(facts: &mut NodeFacts, accept_local: bool, rp_filter: u8) {
    let check = SourceCheck {
        accept_local,
        rp_filter,
    };
    facts.source_checks.insert("eth0".into(), check);
}

#[test]
fn masquerading_needs_nothing() {
    let ok = "ok: every real server gets its packets by masquerading";
    check(CHECK, |_| {}, &[ok]);
    check(CHECK, |facts| source_check(facts, false, 1), &[ok]);
}

#[test]
fn answers_to_this_node_need_accept_local() {
    let ok = "ok: 1 virtual server with direct routing or tunnels";
    let cases = [
        (
            (false, 0),
            "warning: 1 virtual server of IPv4 with direct routing or tunnels, and no interface accepts answers from \
             addresses of kube-ipvs0",
        ),
        (
            (true, 1),
            "warning: 1 virtual server of IPv4 with direct routing or tunnels; answers from addresses of kube-ipvs0 are \
             dropped at eth0 (rp_filter is 1)",
        ),
        ((true, 0), ok),
        ((true, 2), ok),
    ];
    for ((accept_local, rp_filter), expected) in cases {
        let change = |facts: &mut NodeFacts| {
            direct(facts);
            source_check(facts, accept_local, rp_filter);
        };
        check(CHECK, change, &[expected]);
    }
    let advice = action(CHECK, |facts| {
        direct(facts);
        source_check(facts, false, 2);
    });
    assert!(
        advice.contains("net.ipv4.conf.INTERFACE.accept_local to 1"),
        "{advice}"
    );
}

#[test]
fn ipv6_has_no_check_of_sources() {
    let change = |facts: &mut NodeFacts| {
        facts.desired = Err("unknown".to_owned());
        let tables = "# ipvs\n-A -t [2001:db8::1]:80 -s rr\n-a -t [2001:db8::1]:80 -r [2001:db8:2::9]:80 -i -w 1\n# addresses\n2001:db8::1\n";
        live(facts).tables = text::parse(tables).expect("tables");
        source_check(facts, false, 1);
    };
    let ok = "ok: 1 virtual server with direct routing or tunnels";
    check(CHECK, change, &[ok]);
}

#[test]
fn tunnels_need_a_kernel_that_knows_them() {
    let gue = "192.0.2.9:80 -i --tun-type gue --tun-port 6080";
    let change = |release: &'static str, real: &'static str| {
        move |facts: &mut NodeFacts| {
            facts.release = release.to_owned();
            with(facts, "203.0.113.1", real);
            source_check(facts, true, 0);
        }
    };
    let ok = "ok: 1 virtual server with direct routing or tunnels";
    check(CHECK, change("5.3.0-1-amd64", gue), &[ok]);
    check(CHECK, change("4.19.0", "192.0.2.9:80 -i"), &[ok]);
    let old = "problem: 1 virtual server with gue tunnels, which Linux has since 5.3; this is 5.2";
    check(CHECK, change("5.2.9", gue), &[old]);
}
