//! Virtual servers without an address or port, forwarding methods, and connection tracking.

use super::small::{SERVICE, check, rules};

const MASQUERADE: &str = "-A KUBE-POSTROUTING -j MASQUERADE";
const PROBE: &str = "podB -> 10.96.0.1:80/tcp";

#[test]
fn direct_routing_keeps_the_destination() {
    let servers = SERVICE.replace(" -m -w", " -g -w");
    let direct = "10.244.1.5 by Route seeing";
    check(&servers, "", PROBE, &format!("{direct} 10.244.1.6"));
    let at_virtual = "-A KUBE-POSTROUTING -d 10.96.0.1/32 -j MASQUERADE";
    check(
        &servers,
        &rules(at_virtual, ""),
        PROBE,
        &format!("{direct} 10.244.1.1"),
    );
    let drop = rules("", "-A KUBE-IPVS-OUT-FILTER -d 10.96.0.1/32 -j DROP");
    check(&servers, &drop, PROBE, "lost");
}

#[test]
fn tunnelled_packets_keep_their_source_and_leave_in_another_packet() {
    let servers = SERVICE.replace(" -m -w", " -i -w");
    let expected = "10.244.1.5 by Tunnel (ipip) seeing 10.244.1.6";
    check(&servers, &rules(MASQUERADE, ""), PROBE, expected);
    for (condition, expected) in [
        ("-p 4 -d 10.244.1.5/32", "lost"),
        ("-d 10.96.0.1/32", expected),
        // The outer packet is no packet of the connection that IPVS knows.
        ("-m ipvs --vproto 6 --vaddr 10.96.0.1 --vport 80", expected),
    ] {
        let drop = format!("-A KUBE-IPVS-OUT-FILTER {condition} -j DROP");
        check(&servers, &rules("", &drop), PROBE, expected);
    }
}

#[test]
fn unchanged_packets_to_the_node_itself_reach_the_socket_of_the_virtual_address() {
    for method in ["-g", "-i"] {
        let servers = format!(
            "-A -t 10.96.0.1:22 -s rr\n-a -t 10.96.0.1:22 -r 192.0.2.1:22 {method} -w 1\n\
             # addresses\n10.96.0.1/32\n"
        );
        let (pod, host) = ("podB -> 10.96.0.1:22/tcp", "host -> 10.96.0.1:22/tcp");
        check(&servers, "", pod, "sshd seeing 10.244.1.6");
        check(&servers, "", host, "sshd seeing 10.96.0.1");
    }
}

#[test]
fn mark_selects_a_virtual_server_before_the_address_does() {
    let servers = format!("-A -f 7 -s rr\n-a -f 7 -r 10.244.2.5:8080 -m -w 1\n{SERVICE}");
    let mark = rules("-A KUBE-SERVICES -j MARK --set-xmark 0x7/0xffffffff", "");
    check(&servers, &mark, PROBE, "podC seeing 10.244.1.6");
    check(&servers, "", PROBE, "podA seeing 10.244.1.6");
    // A packet that is not local is forwarded, whatever its mark.
    let other = "podB -> 10.244.1.5:8080/tcp";
    check(&servers, &mark, other, "podA seeing 10.244.1.6");
    check(&servers, &mark, "podB -> 10.96.0.1:0/icmp", "echo");
}

#[test]
fn port_zero_serves_every_port_of_a_persistent_virtual_server() {
    let persistent = "\
-A -t 10.96.0.1:0 -s rr -p 60
-a -t 10.96.0.1:0 -r 10.244.1.5:0 -m -w 1
# addresses
10.96.0.1/32
";
    let probe = "podB -> 10.96.0.1:8080/tcp";
    check(persistent, "", probe, "podA seeing 10.244.1.6");
    check(persistent, "", PROBE, "refused");
    check(
        persistent,
        "",
        "podB -> 10.96.0.1:8080/udp",
        "unreachable port",
    );
    let fixed = persistent.replace(" -p 60", "");
    check(&fixed, "", probe, "unreachable port");
}

#[test]
fn persistence_by_mark_keeps_the_port() {
    let mark = rules("-A KUBE-SERVICES -j MARK --set-xmark 0x7/0xffffffff", "");
    let servers = "\
-A -f 7 -s rr
-a -f 7 -r 10.244.1.5:8080 -m -w 1
# addresses
10.96.0.1/32
";
    check(servers, &mark, PROBE, "podA seeing 10.244.1.6");
    let persistent = servers.replace("-s rr", "-s rr -p 60");
    check(&persistent, &mark, PROBE, "refused");
    let same = "podB -> 10.96.0.1:8080/tcp";
    check(&persistent, &mark, same, "podA seeing 10.244.1.6");
}

#[test]
fn data_connections_of_ftp_belong_to_a_persistent_virtual_server() {
    let ftp = "\
-A -t 10.96.0.1:21 -s rr -p 60
-a -t 10.96.0.1:21 -r 10.244.1.5:21 -m -w 1
# addresses
10.96.0.1/32
";
    let passive = "podB -> 10.96.0.1:8080/tcp";
    check(ftp, "", passive, "podA seeing 10.244.1.6");
    check(
        ftp,
        "",
        "podB -> 10.96.0.1:22/tcp",
        "sshd seeing 10.244.1.6",
    );
    check(&ftp.replace(" -p 60", ""), "", passive, "refused");
}

#[test]
fn without_conntrack_ipvs_does_not_masquerade() {
    let with = |sysctl: &str| format!("{}{sysctl}", rules(MASQUERADE, ""));
    check(SERVICE, &with(""), PROBE, "podA seeing 10.244.1.1");
    let on = with("# sysctl\nnet.ipv4.vs.conntrack = 1\n");
    check(SERVICE, &on, PROBE, "podA seeing 10.244.1.1");
    let off = with("# sysctl\nnet.ipv4.vs.conntrack = 0\n");
    check(SERVICE, &off, PROBE, "podA seeing 10.244.1.6");
    // A packet without virtual server is tracked.
    let direct = "host -> 10.244.1.5:8080/tcp";
    check(SERVICE, &off, direct, "podA seeing 10.244.1.1");
    let state = "-A KUBE-IPVS-OUT-FILTER -m conntrack --ctstate NEW -j DROP";
    let sysctl = "# sysctl\nnet.ipv4.vs.conntrack = 0\n";
    let drop = format!("{}{sysctl}", rules("", state));
    check(SERVICE, &rules("", state), PROBE, "lost");
    check(SERVICE, &drop, PROBE, "podA seeing 10.244.1.6");
}

#[test]
fn bypass_is_not_judged() {
    use ipvs::{Forwarding, RealServer};

    use super::small::{parsed, verdict, world};

    let mut tables = parsed(SERVICE, "");
    for entry in tables.virtual_servers.values_mut() {
        let mut changed = (**entry).clone();
        let real_servers = changed.real_servers.values().map(|real| RealServer {
            forwarding: Forwarding::Bypass,
            ..*real
        });
        changed.real_servers = real_servers.collect();
        *entry = changed.into();
    }
    let expected = "cannot judge the real server 10.244.1.5:8080 by Bypass";
    assert_eq!(verdict(&tables, &world(), PROBE), expected);
}
