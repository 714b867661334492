//! Worlds that are not complete: unknown sockets, interfaces and routes, and other programs.

use std::collections::BTreeMap;

use ipvs::AddressFamily;
use model::host_rules::{Hook, HostRules};

use super::small::{SERVICE, check_in, place, remote, rules, world};
use crate::{At, World};

const PROBE: &str = "podB -> 10.96.0.1:80/tcp";
const MASQUERADE: &str = "-A KUBE-POSTROUTING -j MASQUERADE";

fn incomplete() -> World {
    World {
        complete: false,
        ..world()
    }
}

#[test]
fn packets_to_unknown_sockets_are_delivered() {
    for (probe, expected) in [
        (PROBE, "podA seeing 10.244.1.6"),
        (
            "podB -> 10.96.0.1:81/tcp",
            "delivered to 10.96.0.1:81 seeing 10.244.1.6",
        ),
        (
            "podB -> 10.244.1.99:80/udp",
            "routed to 10.244.1.99:80 seeing 10.244.1.6",
        ),
        ("podB -> 192.0.2.1:22/tcp", "sshd seeing 10.244.1.6"),
        (
            "podA -> 10.244.1.5:9/tcp",
            "delivered to 10.244.1.5:9 seeing 10.244.1.5",
        ),
    ] {
        check_in(&incomplete(), SERVICE, "", probe, expected);
    }
}

#[test]
fn answers_of_another_node_to_clients_outside_are_lost() {
    let servers = SERVICE.replace("10.244.1.5", "10.244.2.5");
    let masquerade = rules(MASQUERADE, "");
    let seen = "podC seeing 192.0.2.1";
    for (probe, rest, expected) in [
        ("router -> 10.96.0.1:80/tcp", "", "lost"),
        ("router -> 10.96.0.1:80/tcp", &*masquerade, seen),
        ("podB -> 10.96.0.1:80/tcp", "", "podC seeing 10.244.1.6"),
        ("podE -> 10.96.0.1:80/tcp", "", "lost"),
        ("podF -> 10.96.0.1:80/tcp", "", "podC seeing 10.244.1.7"),
    ] {
        let mut world = world();
        world.answers_pass_node = false;
        let third = At::Node {
            name: "node3".to_owned(),
            interface: Some("eth0".to_owned()),
        };
        world
            .places
            .push(place("podE", &["10.244.3.5"], third, &[]));
        world
            .places
            .push(place("podF", &["10.244.1.7"], At::Pod(None), &[]));
        check_in(&world, &servers, rest, probe, expected);
    }
    let same = "podC seeing 10.244.3.5";
    let mut world = world();
    world
        .places
        .push(place("podE", &["10.244.3.5"], remote(), &[]));
    check_in(&world, &servers, "", "podE -> 10.96.0.1:80/tcp", "lost");
    world.places.pop();
    let third = At::Link(Some("eth0".to_owned()));
    world
        .places
        .push(place("podE", &["10.244.3.5"], third, &[]));
    check_in(&world, &servers, "", "podE -> 10.96.0.1:80/tcp", same);
}

#[test]
fn unknown_interface_matters_only_to_rules_that_name_one() {
    let mut world = world();
    world
        .places
        .push(place("podG", &["10.250.0.7"], At::Pod(None), &[]));
    let probe = "podG -> 10.96.0.1:80/tcp";
    let seen = "podA seeing 10.250.0.7";
    check_in(&world, SERVICE, "", probe, seen);
    let loopback = rules("-A KUBE-SERVICES -i lo -j DROP", "");
    check_in(&world, SERVICE, &loopback, probe, seen);
    let named = rules("-A KUBE-SERVICES -i cni0 -j DROP", "");
    let expected = "cannot judge the condition -i cni0: the interface by which the packet enters \
                    the node is not known";
    check_in(&world, SERVICE, &named, probe, expected);
    let to = SERVICE.replace("10.244.1.5", "10.250.0.7");
    world.complete = false;
    let masquerade = rules(MASQUERADE, "");
    let expected = "delivered to 10.250.0.7:8080 seeing an address of the node";
    check_in(&world, &to, &masquerade, PROBE, expected);
}

fn with_host_rules(saved: &str) -> World {
    World {
        host_rules: BTreeMap::from([(
            AddressFamily::Ipv4,
            HostRules::parse_hooks(saved, &Hook::ALL),
        )]),
        ..world()
    }
}

fn check_input(input: &str, probe: &str, expected: &str) {
    let saved = format!("*filter\n:INPUT DROP [0:0]\n{input}COMMIT\n");
    check_in(
        &with_host_rules(&saved),
        SERVICE,
        &rules("", ""),
        probe,
        expected,
    );
}

#[test]
fn rules_of_other_programs_drop_packets_before_ipvs() {
    let seen = "podA seeing 10.244.1.6";
    check_input("", PROBE, "lost");
    check_input("-A INPUT -s 10.244.0.0/16 -j ACCEPT\n", PROBE, seen);
    check_input("-A INPUT -s 10.245.0.0/16 -j ACCEPT\n", PROBE, "lost");
    check_input("-A INPUT -i cni0 -j ACCEPT\n", PROBE, seen);
    check_input("-A INPUT -i eth+ -j ACCEPT\n", PROBE, "lost");
    let reject = "-A INPUT -p tcp -j REJECT --reject-with icmp-admin-prohibited\n";
    check_input(reject, PROBE, "unreachable admin-prohibited");
    let reset = "-A INPUT -p tcp -j REJECT --reject-with tcp-reset\n";
    check_input(reset, PROBE, "refused");
    // The text of a rule is cut off after 300 characters, and may contain anything.
    let comment = |text: &str, target: &str| {
        format!("-A INPUT -m comment --comment \"{text}\" -j {target}\n")
    };
    let long = comment(&"x".repeat(250), "REJECT --reject-with tcp-reset");
    check_input(&long, PROBE, "refused");
    let comment = comment("not -j REJECT --reject-with tcp-reset", "DROP");
    check_input(&comment, PROBE, "lost");
    check_input("", "host -> 10.96.0.1:22/tcp", "lost");
    let lo = "-A INPUT -i lo -j ACCEPT\n";
    check_input(lo, "host -> 10.96.0.1:22/tcp", "sshd seeing 10.96.0.1");
}

#[test]
fn rules_of_other_programs_that_cannot_be_evaluated_are_errors() {
    let rule = "-A INPUT -m recent --rcheck -j ACCEPT";
    let expected = format!("cannot judge a rule of another program: `{rule}`");
    check_input(&format!("{rule}\n"), PROBE, &expected);
    let rule = "-A INPUT -m recent --rcheck -j DROP";
    let expected = format!("cannot judge a rule of another program: `{rule}`");
    check_input(&format!("{rule}\n-A INPUT -j ACCEPT\n"), PROBE, &expected);
    // Dropped in either case.
    check_input(&format!("{rule}\n-A INPUT -j DROP\n"), PROBE, "lost");
}

#[test]
fn known_source_of_the_node_is_used() {
    let mut world = world();
    let to = "10.244.1.5".parse().expect("an address");
    let source = "10.244.1.200".parse().expect("an address");
    world.sources.insert(to, source);
    let probe = "host -> 10.244.1.5:8080/tcp";
    check_in(&world, "", "", probe, "podA seeing 10.244.1.200");
}

#[test]
fn answer_of_a_place_without_known_node_is_not_judged() {
    let servers = SERVICE.replace("10.244.1.5", "10.250.0.7");
    let mut world = world();
    world.answers_pass_node = false;
    let web = [(ipvs::Protocol::Tcp, 8080)];
    let unknown = At::Unknown(Some("eth0".to_owned()));
    (world.places).push(place("podU", &["10.250.0.7"], unknown, &web));
    let outside = "router -> 10.96.0.1:80/tcp";
    let expected = "cannot judge the way of the answer of 10.250.0.7: its node, or that of the \
                    client, is not known";
    check_in(&world, &servers, "", outside, expected);
    check_in(&world, &servers, "", PROBE, "podU seeing 10.244.1.6");
    let masquerade = rules(MASQUERADE, "");
    check_in(
        &world,
        &servers,
        &masquerade,
        outside,
        "podU seeing 192.0.2.1",
    );
}

#[test]
fn rules_of_other_programs_see_the_outer_packet_of_a_tunnel() {
    let servers = SERVICE.replace("10.244.1.5:8080 -m", "10.244.2.5:80 -i");
    let sent = "10.244.2.5 by Tunnel (ipip) seeing 10.244.1.6";
    let check = |saved: &str, expected: &str| {
        let world = with_host_rules(saved);
        check_in(&world, &servers, &rules("", ""), PROBE, expected);
    };
    for (rule, expected) in [
        ("-p 4 -d 10.244.2.5/32", "lost"),
        ("-s 192.0.2.1/32 -o eth0", "lost"),
        ("-d 10.96.0.1/32", sent),
        ("-p tcp", sent),
        ("-o cni0", sent),
    ] {
        check(
            &format!("*filter\n-A OUTPUT {rule} -j DROP\nCOMMIT\n"),
            expected,
        );
    }
    check("*filter\n:OUTPUT DROP [0:0]\nCOMMIT\n", "lost");
    check("*raw\n-A OUTPUT -p 4 -j CT --notrack\nCOMMIT\n", sent);
}

#[test]
fn rules_of_other_programs_drop_packets_that_leave() {
    let check = |filter: &str, rest: &str, probe: &str, expected: &str| {
        let world = with_host_rules(&format!("*filter\n{filter}COMMIT\n"));
        check_in(&world, SERVICE, rest, probe, expected);
    };
    let ours = rules("", "");
    let direct = "podB -> 10.244.1.5:8080/tcp";
    let forward = ":FORWARD DROP [0:0]\n";
    check(forward, &ours, direct, "lost");
    check(forward, &ours, PROBE, "lost");
    let accepted = rules("", "-A KUBE-FORWARD -j ACCEPT");
    check(forward, &accepted, direct, "podA seeing 10.244.1.6");
    let by_interface = ":FORWARD DROP [0:0]\n-A FORWARD -i cni0 -o cni0 -j ACCEPT\n";
    check(by_interface, &ours, direct, "podA seeing 10.244.1.6");
    check(by_interface, &ours, "podB -> 10.244.2.5:8080/tcp", "lost");
    let output = "-A OUTPUT -d 10.244.1.5/32 -j DROP\n";
    check(output, &ours, PROBE, "lost");
    check(
        output,
        &ours,
        "host -> 10.244.1.5:5353/udp",
        "not permitted",
    );
    let untracked = format!("{ours}# sysctl\nnet.ipv4.vs.conntrack = 0\n");
    let expected =
        "cannot judge the rules of other programs in filter OUTPUT for a packet without tracking";
    check(output, &untracked, PROBE, expected);
}
