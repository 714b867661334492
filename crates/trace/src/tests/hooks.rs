//! Order of the hooks, and their effect on a packet that stops there.

use super::small::{SERVICE, check, rules};

const DROP: &str = "-A KUBE-IPVS-OUT-FILTER -j DROP";
const VIA_NODE: &str = "\
-A -t 10.96.0.1:80 -s rr
-a -t 10.96.0.1:80 -r 192.0.2.1:9100 -m -w 1
# addresses
10.96.0.1/32
";

#[test]
fn filter_input_comes_before_ipvs() {
    let reject = rules(
        "",
        "-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -j REJECT --reject-with icmp-port-unreachable",
    );
    check(
        SERVICE,
        &reject,
        "podB -> 10.96.0.1:80/tcp",
        "unreachable port",
    );
    check(
        SERVICE,
        &reject,
        "host -> 10.96.0.1:80/tcp",
        "podA seeing 10.96.0.1",
    );
}

#[test]
fn packets_forwarded_by_ipvs_pass_filter_output() {
    check(
        SERVICE,
        &rules("", DROP),
        "podB -> 10.96.0.1:80/tcp",
        "lost",
    );
    check(
        SERVICE,
        &rules("", DROP),
        "host -> 10.96.0.1:80/tcp",
        "lost",
    );
    check(
        SERVICE,
        &rules("", DROP),
        "host -> 10.96.0.1:53/udp",
        "lost",
    );
}

#[test]
fn packets_delivered_to_the_node_pass_no_further_hook() {
    let masquerade = rules("-A KUBE-POSTROUTING -j MASQUERADE", DROP);
    check(
        VIA_NODE,
        &masquerade,
        "podB -> 10.96.0.1:80/tcp",
        "exporter seeing 10.244.1.6",
    );
}

#[test]
fn packets_from_the_node_to_itself_pass_output_postrouting_and_input() {
    let probe = "host -> 10.96.0.1:80/tcp";
    check(VIA_NODE, "", probe, "exporter seeing 10.96.0.1");
    check(VIA_NODE, &rules("", DROP), probe, "lost");
    let masquerade = rules("-A KUBE-POSTROUTING -j MASQUERADE", "");
    check(VIA_NODE, &masquerade, probe, "exporter seeing 192.0.2.1");
    let input = rules(
        "",
        "-A KUBE-IPVS-FILTER -i lo -j REJECT --reject-with tcp-reset",
    );
    check(VIA_NODE, &input, probe, "refused");
}

#[test]
fn drop_at_output_is_an_error_if_the_protocol_reports_it() {
    for (probe, expected) in [
        ("host -> 10.244.1.5:5353/udp", "not permitted"),
        ("host -> 10.244.1.5:0/icmp", "not permitted"),
        ("host -> 10.244.1.5:8080/tcp", "lost"),
        ("host -> 192.0.2.1:9100/udp", "not permitted"),
        ("host -> 192.0.2.1:9100/tcp", "lost"),
        ("podB -> 10.244.1.5:8080/tcp", "podA seeing 10.244.1.6"),
    ] {
        check("", &rules("", DROP), probe, expected);
    }
}

#[test]
fn forwarded_packets_pass_forward_and_not_input() {
    let input = rules("", "-A KUBE-IPVS-FILTER -j DROP");
    let forward = rules("", "-A KUBE-FORWARD -j DROP");
    check(
        "",
        &input,
        "podB -> 10.244.2.5:8080/tcp",
        "podC seeing 10.244.1.6",
    );
    check("", &forward, "podB -> 10.244.2.5:8080/tcp", "lost");
    check(
        "",
        &forward,
        "podB -> 192.0.2.1:9100/tcp",
        "exporter seeing 10.244.1.6",
    );
}

#[test]
fn without_a_route_the_node_sends_nothing() {
    let prerouting = rules("-A KUBE-SERVICES -j DROP", "");
    check(
        "",
        &prerouting,
        "host -> 203.0.113.1:80/tcp",
        "unreachable host",
    );
    check("", &prerouting, "podB -> 203.0.113.1:80/tcp", "lost");
}

#[test]
fn input_interface_matches_only_before_routing() {
    let mark = "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n\
        -A KUBE-POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE\n";
    let probe = "podB -> 10.96.0.1:80/tcp";
    for (condition, expected) in [
        ("-i cni0", "podA seeing 10.244.1.1"),
        ("-i cni+", "podA seeing 10.244.1.1"),
        ("! -i cni0", "podA seeing 10.244.1.6"),
        ("-i eth0", "podA seeing 10.244.1.6"),
    ] {
        let nat = format!("{mark}-A KUBE-SERVICES {condition} -j KUBE-MARK-MASQ");
        check(SERVICE, &rules(&nat, ""), probe, expected);
    }
    let output = rules("", "-A KUBE-IPVS-OUT-FILTER -i cni0 -j DROP");
    check(SERVICE, &output, probe, "podA seeing 10.244.1.6");
}
