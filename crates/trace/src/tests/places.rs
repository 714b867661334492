//! The node's interfaces, and the places around it.

use super::small::{SERVICE, check, check_in, rules, world};
use crate::World;

const MASQUERADE: &str = "-A KUBE-POSTROUTING -j MASQUERADE";

fn with_address(name: &str, address: &str) -> World {
    let mut world = world();
    let link = (world.node.interfaces.iter_mut()).find(|link| *link.name == *name);
    let addresses = &mut link.expect("an interface").addresses;
    addresses.push(address.parse().expect("a network"));
    world
}

#[test]
fn source_address_is_in_the_network_of_the_destination() {
    let (masquerade, probe) = (rules(MASQUERADE, ""), "podB -> 10.96.0.1:80/tcp");
    let world = with_address("cni0", "10.250.0.1/24");
    check_in(
        &world,
        SERVICE,
        &masquerade,
        probe,
        "podA seeing 10.244.1.1",
    );
    let world = with_address("cni0", "fe80::1/64");
    check_in(
        &world,
        SERVICE,
        &masquerade,
        probe,
        "podA seeing 10.244.1.1",
    );
    let remote = SERVICE.replace("10.244.1.5", "10.244.2.5");
    let world = with_address("eth0", "198.51.100.1/24");
    check_in(
        &world,
        &remote,
        &masquerade,
        probe,
        "podC seeing an address of the node",
    );
}

#[test]
fn several_global_ipv6_addresses_are_ambiguous() {
    let servers = "\
-A -t [fd00::1]:80 -s rr
-a -t [fd00::1]:80 -r [fd00:1::5]:8080 -m -w 1
# addresses
fd00::1/128
";
    let masquerade = rules(MASQUERADE, "").replace("# rules4", "# rules6");
    let probe = "podB -> [fd00::1]:80/tcp";
    let world = with_address("cni0", "fe80::1/64");
    check_in(&world, servers, &masquerade, probe, "podA seeing fd00:1::1");
    let world = with_address("cni0", "fd00:2::1/64");
    let expected = "podA seeing an address of the node";
    check_in(&world, servers, &masquerade, probe, expected);
}

#[test]
fn loopback_uses_the_address_of_the_first_interface() {
    let servers = "\
-A -t 10.96.0.1:80 -s rr
-a -t 10.96.0.1:80 -r 192.0.2.1:9100 -m -w 1
# addresses
10.96.0.1/32
";
    let (masquerade, probe) = (rules(MASQUERADE, ""), "host -> 10.96.0.1:80/tcp");
    check(servers, &masquerade, probe, "exporter seeing 192.0.2.1");
    let mut world = world();
    world.first_interface = Some("cni0".to_owned());
    check_in(
        &world,
        servers,
        &masquerade,
        probe,
        "exporter seeing 10.244.1.1",
    );
}

#[test]
fn bridged_packets_pass_the_rules_if_configured() {
    let drop = rules("", "-A KUBE-FORWARD -j DROP");
    check("", &drop, "podB -> 10.244.1.5:8080/tcp", "lost");
    let mut world = world();
    world.bridge_calls_iptables = false;
    let probe = "podB -> 10.244.1.5:8080/tcp";
    check_in(&world, "", &drop, probe, "podA seeing 10.244.1.6");
    let physdev = rules("-A KUBE-SERVICES -m physdev --physdev-is-in -j DROP", "");
    let remote = SERVICE.replace("10.244.1.5", "10.244.2.5");
    let probe = "podB -> 10.96.0.1:80/tcp";
    check_in(&world, &remote, &physdev, probe, "podC seeing 10.244.1.6");
}

#[test]
fn address_without_a_place_is_an_error() {
    check(
        "",
        "",
        "podB -> 10.244.1.99:80/tcp",
        "cannot judge the place at 10.244.1.99",
    );
    check("", "", "podB -> 10.244.2.5:0/icmp", "echo");
    check("", "", "podB -> 10.244.2.5:81/tcp", "refused");
}

#[test]
fn listeners_at_every_address_accept_virtual_ones_too() {
    check(
        SERVICE,
        "",
        "podB -> 10.96.0.1:22/tcp",
        "sshd seeing 10.244.1.6",
    );
    check(
        SERVICE,
        "",
        "host -> 10.96.0.1:22/tcp",
        "sshd seeing 10.96.0.1",
    );
    check(
        SERVICE,
        "",
        "host -> 127.0.0.1:22/tcp",
        "sshd seeing 127.0.0.1",
    );
    check(SERVICE, "", "podB -> 10.96.0.1:9100/tcp", "refused");
}
