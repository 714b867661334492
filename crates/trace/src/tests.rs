mod answers;
mod forwarding;
mod hooks;
mod matches;
mod places;
mod servers;
mod small;
mod steps;
mod unknown;

use ipvs::Protocol;
use model::{NodeState, NodeTables, text};

use super::{At, Probe, World, trace};
use small::{place, remote};

/// kube-proxy's own rules that protect a load balancer's address from the node itself.
const TABLES: &str = "\
# ipvs
-A -t 10.96.0.1:80 -s rr
-a -t 10.96.0.1:80 -r 10.244.1.5:8080 -m -w 1
-a -t 10.96.0.1:80 -r 10.244.2.5:8080 -m -w 0
-A -t 10.96.0.2:80 -s rr
# addresses
10.96.0.1/32
10.96.0.2/32
# ipset
create KUBE-CLUSTER-IP hash:ip,port family inet maxelem 65536
add KUBE-CLUSTER-IP 10.96.0.1,tcp:80
add KUBE-CLUSTER-IP 10.96.0.2,tcp:80
create KUBE-IPVS-IPS hash:ip family inet maxelem 65536
add KUBE-IPVS-IPS 10.96.0.1
add KUBE-IPVS-IPS 10.96.0.2
";

const RULES: &str = "\
# rules4
*nat
:KUBE-SERVICES - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
-A KUBE-SERVICES ! -s 10.244.0.0/16 -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -j MASQUERADE
COMMIT
*filter
:KUBE-IPVS-FILTER - [0:0]
-A INPUT -j KUBE-IPVS-FILTER
-A KUBE-IPVS-FILTER -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN
-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT --reject-with icmp-port-unreachable
COMMIT
";

fn world() -> World {
    let link = |name: &str, address: &str| model::snapshot::Interface {
        name: name.into(),
        addresses: vec![address.parse().expect("a network")],
    };
    let node = NodeState {
        interfaces: vec![link("cni0", "10.244.1.1/24"), link("eth0", "192.0.2.1/24")],
        ..NodeState::default()
    };
    let bridge = || At::Bridge("cni0".to_owned());
    let web = [(Protocol::Tcp, 8080)];
    World {
        node,
        places: vec![
            place("podA", &["10.244.1.5"], bridge(), &web),
            place("podB", &["10.244.1.6"], bridge(), &[]),
            place("podC", &["10.244.2.5"], remote(), &web),
            place("sshd", &[], At::Host, &[(Protocol::Tcp, 22)]),
        ],
        bridge_calls_iptables: true,
        complete: true,
        answers_pass_node: true,
        ..World::default()
    }
}

fn tables(rules: &str) -> NodeTables {
    text::parse(&format!("{TABLES}{rules}")).expect("tables")
}

fn check(rules: &str, probe: &str, expected: &str) {
    let probe: Probe = probe.parse().expect("a probe");
    let (tables, world) = (tables(rules), world());
    let said = match trace(&tables, &world, &probe).verdict() {
        Ok(verdict) => verdict.to_string(),
        Err(error) => error.to_string(),
    };
    assert_eq!(said, expected, "{probe}");
}

#[test]
fn real_servers_of_weight_zero_get_no_packets() {
    check(RULES, "podB -> 10.96.0.1:80/tcp", "podA seeing 10.244.1.6");
}

#[test]
fn marked_packets_get_the_address_of_the_outgoing_interface() {
    check(RULES, "host -> 10.96.0.1:80/tcp", "podA seeing 10.244.1.1");
    check(
        RULES,
        "host -> 10.244.2.5:8080/tcp",
        "podC seeing 192.0.2.1",
    );
}

#[test]
fn without_rules_the_source_is_the_virtual_address() {
    check("", "host -> 10.96.0.1:80/tcp", "podA seeing 10.96.0.1");
}

#[test]
fn a_virtual_server_without_real_servers_is_unreachable() {
    check(RULES, "podB -> 10.96.0.2:80/tcp", "unreachable port");
}

#[test]
fn the_filter_comes_before_the_sockets() {
    check(RULES, "podB -> 10.96.0.1:22/tcp", "unreachable port");
    check("", "podB -> 10.96.0.1:22/tcp", "sshd seeing 10.244.1.6");
    check(RULES, "podB -> 192.0.2.1:22/tcp", "sshd seeing 10.244.1.6");
    check(RULES, "podB -> 192.0.2.1:23/tcp", "refused");
    check(RULES, "podB -> 192.0.2.1:23/udp", "unreachable port");
    check(RULES, "podB -> 192.0.2.1:0/icmp", "echo");
}

#[test]
fn an_answer_within_a_bridge_is_lost_unless_iptables_sees_it() {
    let probe: Probe = "podB -> 10.96.0.1:80/tcp".parse().expect("a probe");
    let mut world = world();
    world.bridge_calls_iptables = false;
    let tables = tables(RULES);
    let verdict = (trace(&tables, &world, &probe).verdict()).expect("a verdict");
    assert_eq!(verdict.to_string(), "lost");
}

#[test]
fn unused_address_is_unreachable() {
    check(RULES, "podB -> 203.0.113.1:80/tcp", "unreachable host");
}

#[test]
fn unsupported_rules_are_errors() {
    let strange = RULES.replace(
        "-A KUBE-POSTROUTING -j MASQUERADE",
        "-A KUBE-POSTROUTING -m owner --uid-owner 0 -j MASQUERADE",
    );
    check(
        &strange,
        "host -> 10.96.0.1:80/tcp",
        "cannot judge the condition -m owner --uid-owner 0",
    );
    check(
        RULES,
        "nobody -> 10.96.0.1:80/tcp",
        "cannot judge a packet of nobody, an unknown place",
    );
}

#[test]
fn printed_probe_parses() {
    for text in [
        "podA -> 10.96.0.1:80/tcp",
        "host -> [fd00::1]:53/udp",
        "c -> 10.0.0.1:0/icmp",
    ] {
        let probe: Probe = text.parse().expect("a probe");
        assert_eq!(probe.to_string(), text);
    }
    assert!("podA 10.96.0.1:80/tcp".parse::<Probe>().is_err());
    assert!("podA -> 10.96.0.1/tcp".parse::<Probe>().is_err());
    assert!("podA -> 10.96.0.1:80/gre".parse::<Probe>().is_err());
}
