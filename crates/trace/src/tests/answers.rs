//! Answers of real servers, local routes, forwarding and connection tracking.

use std::collections::{BTreeMap, BTreeSet};

use ipvs::AddressFamily;
use model::host_rules::{Hook, HostRules};

use super::small::{SERVICE, check_in, rules, world};
use crate::World;

const HOST: &str = "host -> 10.96.0.1:80/tcp";
const CLIENT: &str = "router -> 10.96.0.1:80/tcp";
const ITSELF: &str = "podA -> 10.96.0.1:80/tcp";
const SEEN_FROM_HOST: &str = "podA seeing 10.96.0.1";
const SEEN_FROM_CLIENT: &str = "podA seeing 192.0.2.9";
const MASQUERADE: &str = "-A KUBE-POSTROUTING -j MASQUERADE";

fn beside(saved: &str) -> World {
    let parsed = HostRules::parse_hooks(saved, &Hook::ALL);
    World {
        host_rules: BTreeMap::from([(AddressFamily::Ipv4, parsed)]),
        ..world()
    }
}

#[test]
fn rules_of_other_programs_drop_answers() {
    let check = |filter: &str, ours: &str, probe: &str, expected: &str| {
        let world = beside(&format!("*filter\n{filter}COMMIT\n"));
        check_in(&world, SERVICE, &rules("", ours), probe, expected);
    };
    let input = ":INPUT DROP [0:0]\n";
    check(input, "", HOST, "lost");
    for rule in [
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n",
        "-A INPUT -m state --state ESTABLISHED -j ACCEPT\n",
        "-A INPUT -m conntrack ! --ctstate NEW -j ACCEPT\n",
        "-A INPUT -i cni0 -s 10.244.0.0/16 -j ACCEPT\n",
    ] {
        check(&format!("{input}{rule}"), "", HOST, SEEN_FROM_HOST);
    }
    for rule in [
        "-A INPUT -m conntrack --ctstate NEW -j ACCEPT\n",
        "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT\n",
        "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT\n",
        "-A INPUT -i eth0 -j ACCEPT\n",
    ] {
        check(&format!("{input}{rule}"), "", HOST, "lost");
    }
    let forward = ":FORWARD DROP [0:0]\n";
    check(forward, "", CLIENT, "lost");
    let ours = "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
    check(forward, ours, CLIENT, SEEN_FROM_CLIENT);
    let drop = "-A FORWARD -i cni0 -o eth0 -j DROP\n";
    check(drop, "", CLIENT, "lost");
    check(drop, "", HOST, SEEN_FROM_HOST);
    let unknown = "-A INPUT -m conntrack --ctstate DNAT -j ACCEPT\n";
    let expected = "cannot judge a rule of another program: `-A INPUT -m conntrack --ctstate DNAT \
                    -j ACCEPT`";
    check(&format!("{input}{unknown}"), "", HOST, expected);
}

#[test]
fn our_rules_see_the_state_of_an_answer() {
    let drop = |states: &str| format!("-A KUBE-FORWARD -m conntrack --ctstate {states} -j DROP");
    let check = |ours: &str, rest: &str, expected: &str| {
        let all = format!("{}{rest}", rules("", ours));
        check_in(&world(), SERVICE, &all, CLIENT, expected);
    };
    check(&drop("NEW"), "", SEEN_FROM_CLIENT);
    check(&drop("RELATED,ESTABLISHED"), "", "lost");
    let untracked = "# sysctl\nnet.ipv4.vs.conntrack = 0\n";
    check(&drop("RELATED,ESTABLISHED"), untracked, SEEN_FROM_CLIENT);
    check(&drop("NEW"), untracked, "lost");
}

#[test]
fn node_that_does_not_forward_answers_only_itself() {
    let mut world = world();
    world.no_forwarding = BTreeSet::from([AddressFamily::Ipv4]);
    for (probe, expected) in [
        (CLIENT, "lost"),
        (HOST, SEEN_FROM_HOST),
        ("podB -> 10.96.0.1:80/tcp", "podA seeing 10.244.1.6"),
        ("podD -> 10.96.0.1:80/tcp", "lost"),
        ("router -> 10.244.1.5:8080/tcp", "lost"),
        ("podB -> 10.244.1.5:8080/tcp", "podA seeing 10.244.1.6"),
        ("podB -> 192.0.2.1:9100/tcp", "exporter seeing 10.244.1.6"),
    ] {
        check_in(&world, SERVICE, "", probe, expected);
    }
    let masquerade = rules(MASQUERADE, "");
    check_in(
        &world,
        SERVICE,
        &masquerade,
        "podB -> 10.96.0.1:80/tcp",
        "lost",
    );
    world.no_forwarding = BTreeSet::from([AddressFamily::Ipv6]);
    check_in(&world, SERVICE, "", CLIENT, SEEN_FROM_CLIENT);
}

#[test]
fn address_without_local_route_is_not_accepted() {
    let mut world = world();
    world.not_local = BTreeSet::from(["10.96.0.1".parse().expect("an address")]);
    for probe in [CLIENT, "podB -> 10.96.0.1:80/tcp", HOST] {
        check_in(&world, SERVICE, "", probe, "unreachable host");
    }
}

#[test]
fn pod_drops_packets_from_its_own_address() {
    check_in(&world(), SERVICE, "", ITSELF, "lost");
    let masquerade = rules(MASQUERADE, "");
    check_in(
        &world(),
        SERVICE,
        &masquerade,
        ITSELF,
        "podA seeing 10.244.1.1",
    );
    let untracked = format!("{masquerade}# sysctl\nnet.ipv4.vs.conntrack = 0\n");
    check_in(&world(), SERVICE, &untracked, ITSELF, "lost");
}

#[test]
fn packets_without_connection_tracking_are_not_masqueraded() {
    let world = beside("*raw\n-A PREROUTING -d 10.96.0.1/32 -j CT --notrack\nCOMMIT\n");
    let masquerade = rules(MASQUERADE, "");
    check_in(&world, SERVICE, &masquerade, CLIENT, SEEN_FROM_CLIENT);
    check_in(&world, SERVICE, &masquerade, ITSELF, "lost");
    check_in(&world, SERVICE, &masquerade, HOST, "podA seeing 10.244.1.1");
    let refuses = "-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -j DROP";
    check_in(
        &world,
        SERVICE,
        &rules("", refuses),
        CLIENT,
        SEEN_FROM_CLIENT,
    );
}
