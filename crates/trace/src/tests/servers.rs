//! The virtual server that a packet matches, and the results at its real servers.

use super::small::{SERVICE, check, rules};

#[test]
fn each_real_server_is_possible_and_has_its_own_source() {
    let servers = "\
-A -t 10.96.0.1:80 -s rr
-a -t 10.96.0.1:80 -r 10.244.1.5:8080 -m -w 1
-a -t 10.96.0.1:80 -r 10.244.2.5:8080 -m -w 1
# addresses
10.96.0.1/32
";
    let masquerade = rules("-A KUBE-POSTROUTING -j MASQUERADE", "");
    let all = "podA seeing 10.244.1.1, podC seeing 192.0.2.1";
    check(servers, &masquerade, "podB -> 10.96.0.1:80/tcp", all);
    let all = "podA seeing 10.244.1.6, podC seeing 10.244.1.6";
    check(servers, "", "podB -> 10.96.0.1:80/tcp", all);
}

#[test]
fn a_real_server_with_another_port_is_refused() {
    let servers = SERVICE.replace(":8080", ":8081").replace(":5353", ":5354");
    check(&servers, "", "podB -> 10.96.0.1:80/tcp", "refused");
    check(&servers, "", "podB -> 10.96.0.1:53/udp", "unreachable port");
}

#[test]
fn real_server_without_a_place_is_an_error() {
    let servers = SERVICE.replace("10.244.1.5", "10.244.1.77");
    let expected = "cannot judge the place at 10.244.1.77";
    check(&servers, "", "podB -> 10.96.0.1:80/tcp", expected);
}

#[test]
fn a_real_server_without_a_route_is_lost() {
    let servers = SERVICE.replace("10.244.1.5", "10.9.9.9");
    check(&servers, "", "podB -> 10.96.0.1:80/tcp", "lost");
}

#[test]
fn foreign_address_is_served_only_to_the_node() {
    let servers = SERVICE
        .replace("10.96.0.1/32", "")
        .replace("10.96.0.1", "192.0.2.9");
    check(
        &servers,
        "",
        "host -> 192.0.2.9:80/tcp",
        "podA seeing 192.0.2.1",
    );
    check(
        &servers,
        "",
        "podB -> 192.0.2.9:80/tcp",
        "router seeing 10.244.1.6",
    );
}

#[test]
fn protocols_have_separate_servers() {
    check(
        SERVICE,
        "",
        "podB -> 10.96.0.1:53/udp",
        "podA seeing 10.244.1.6",
    );
    check(SERVICE, "", "podB -> 10.96.0.1:53/tcp", "refused");
    check(SERVICE, "", "podB -> 10.96.0.1:80/sctp", "refused");
    check(SERVICE, "", "podB -> 10.96.0.1:0/icmp", "echo");
}

#[test]
fn an_answer_within_another_node_is_lost_unless_masqueraded() {
    let servers = SERVICE.replace("10.244.1.5", "10.244.2.5");
    let masquerade = rules("-A KUBE-POSTROUTING -j MASQUERADE", "");
    check(&servers, "", "podD -> 10.96.0.1:80/tcp", "lost");
    check(
        &servers,
        &masquerade,
        "podD -> 10.96.0.1:80/tcp",
        "podC seeing 192.0.2.1",
    );
}

#[test]
fn hairpin_rule_sets_the_source_of_a_pod_that_reaches_itself() {
    let set = "\
# ipset
create KUBE-LOOP-BACK hash:ip,port,ip family inet maxelem 65536
add KUBE-LOOP-BACK 10.244.1.5,tcp:8080,10.244.1.5
";
    let hairpin = "-A KUBE-POSTROUTING -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE";
    let tables = format!("{set}{}", rules(hairpin, ""));
    check(
        SERVICE,
        &tables,
        "podA -> 10.96.0.1:80/tcp",
        "podA seeing 10.244.1.1",
    );
    check(SERVICE, &tables, "podA -> 10.96.0.1:53/udp", "lost");
    check(
        SERVICE,
        &tables,
        "podB -> 10.96.0.1:80/tcp",
        "podA seeing 10.244.1.6",
    );
}

#[test]
fn pod_reaches_its_own_address_without_the_node() {
    let drop = rules("-A KUBE-SERVICES -j DROP", "");
    check(
        "",
        &drop,
        "podA -> 10.244.1.5:8080/tcp",
        "podA seeing 10.244.1.5",
    );
    check("", &drop, "podA -> 10.244.1.5:8081/tcp", "refused");
}

#[test]
fn ipv6_uses_its_own_rules() {
    let servers = "\
-A -t [fd00::1]:80 -s rr
-a -t [fd00::1]:80 -r [fd00:1::5]:8080 -m -w 1
# addresses
fd00::1/128
";
    let masquerade = rules("-A KUBE-POSTROUTING -j MASQUERADE", "");
    check(
        servers,
        &masquerade,
        "host -> [fd00::1]:80/tcp",
        "podA seeing fd00::1",
    );
    let masquerade = masquerade.replace("# rules4", "# rules6");
    check(
        servers,
        &masquerade,
        "host -> [fd00::1]:80/tcp",
        "podA seeing fd00:1::1",
    );
}
