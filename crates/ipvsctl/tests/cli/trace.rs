//! `ipvsctl trace` through rendered and saved tables.

use crate::folder::{Folder, Ran};

const OBJECTS: &str = include_str!("../data/trace.yaml");
const NODE: &str = "\
nodeName: node1
kernel: 6.1.0
processors: 4
interfaces:
  - {name: eth0, addresses: [192.0.2.7/24]}
  - {name: cni0, addresses: [10.244.1.1/24]}
";
const INPUT: &str = "-f trace.yaml --node-state node.yaml --config config.yaml";
const CONFIG: &str = "clusterCIDR: 10.244.0.0/16\n";

fn folder() -> Folder {
    Folder::new()
        .with("trace.yaml", OBJECTS)
        .with("node.yaml", NODE)
        .with("config.yaml", CONFIG)
}

fn trace(packet: &str) -> Ran {
    folder().run(&format!("trace {INPUT} --desired {packet}"))
}

/// Returns the line of the verdict.
fn verdict(ran: &Ran) -> &str {
    let mut lines = ran.out.lines();
    let line = lines.find_map(|line| line.strip_prefix("Verdict: "));
    line.unwrap_or_else(|| panic!("no verdict: {ran:#?}"))
}

#[track_caller]
fn check(packet: &str, status: i32, expected: &str) {
    let ran = trace(packet).exits(status);
    assert_eq!(verdict(&ran), expected, "{packet}\n{}", ran.out);
    assert_eq!(ran.err, "");
}

#[test]
fn a_pod_to_a_cluster_ip() {
    let ran = trace("--from 10.244.1.6 --to 10.96.0.10:80").exits(0);
    let expected = "\
10.244.1.6 (pod on this node) -> 10.96.0.10:80/TCP, through the desired tables of node node1

nat PREROUTING    accepted, later rules do not apply
    -A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
      10.96.0.10,tcp:80 is in KUBE-CLUSTER-IP
routing           10.96.0.10 is on kube-ipvs0: this node accepts it
filter INPUT      passed
    -A KUBE-IPVS-FILTER -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN
      10.96.0.10,tcp:80 is in KUBE-CLUSTER-IP
IPVS              virtual server 10.96.0.10:80/TCP of default/web:http, scheduler rr: 2 of 2 real servers get new connections

-> 10.244.1.5:8080 on node node1, weight 1
   routing           10.244.1.5 is on this node, by the bridge cni0
   filter OUTPUT     passed
   nat POSTROUTING   passed
       -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
   answered by 10.244.1.5:8080 (node node1), which sees 10.244.1.6 (the sender's own)

-> 10.244.2.5:8080 on node node2, weight 1
   routing           10.244.2.5 is on node node2, by eth0
   filter OUTPUT     passed
   nat POSTROUTING   passed
       -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
   answered by 10.244.2.5:8080 (node node2), which sees 10.244.1.6 (the sender's own)

Verdict: default/web:http: answered by 10.244.1.5:8080 (node node1), which sees 10.244.1.6 (the sender's own); or \
answered by 10.244.2.5:8080 (node node2), which sees 10.244.1.6 (the sender's own)
Assumed: rules of other programs do not affect the packet
Assumed: pods and other endpoints answer at the ports of their EndpointSlices
Assumed: packets between pods of one bridge pass iptables
Assumed: the default route is by eth0
";
    assert_eq!(ran.out, expected);
    assert_eq!(ran.err, "");
}

#[test]
fn a_client_outside_to_a_node_port_is_masqueraded() {
    check(
        "--from outside --to 192.0.2.7:30080",
        0,
        "default/web:http: answered by 10.244.1.5:8080 (node node1), which sees 10.244.1.1 (masqueraded); or answered by \
         10.244.2.5:8080 (node node2), which sees 192.0.2.7 (masqueraded)",
    );
}

#[test]
fn a_pod_that_reaches_itself_sees_the_node() {
    let ran = trace("--from 10.244.1.5 --to default/web").exits(0);
    let hairpin = "10.244.1.5,tcp:8080,10.244.1.5 is in KUBE-LOOP-BACK\n";
    assert!(ran.out.contains(hairpin), "{}", ran.out);
    let itself = "answered by 10.244.1.5:8080 (node node1), which sees 10.244.1.1 (masqueraded)";
    assert!(verdict(&ran).contains(itself), "{}", ran.out);
}

/// A second address of the pod web-a, two of web-b, and a pod of a headless Service.
const MORE_PODS: &str = "
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-2, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{name: http, port: 8080}]
endpoints:
  - {addresses: ['fd00::1:5'], nodeName: node1, targetRef: {kind: Pod, name: web-a}}
  - {addresses: ['fd00::2:5'], nodeName: node2, targetRef: {kind: Pod, name: web-b}}
  - {addresses: ['fd00::2:6'], nodeName: node2, targetRef: {kind: Pod, name: web-b}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: db-1
  namespace: default
  labels: {kubernetes.io/service-name: db, service.kubernetes.io/headless: ''}
addressType: IPv4
endpoints:
  - {addresses: [10.244.2.9], nodeName: node2, targetRef: {kind: Pod, name: db-0}}
";

#[test]
fn a_pod_is_named() {
    let folder = folder().with("pods.yaml", MORE_PODS);
    let input = INPUT.replace("-f trace.yaml", "-f trace.yaml pods.yaml");
    for (pod, to, expected) in [
        (
            "web-a",
            "default/api",
            "10.244.1.5 (pod default/web-a on this node) -> 10.96.0.1:443/TCP, ",
        ),
        (
            "web-b",
            "default/api",
            "10.244.2.5 (pod default/web-b on node node2) -> 10.96.0.1:443/TCP, ",
        ),
        (
            "db-0",
            "default/api",
            "10.244.2.9 (pod default/db-0 on node node2) -> 10.96.0.1:443/TCP, ",
        ),
        (
            "web-a",
            "[2001:db8::1]:443",
            "fd00::1:5 (pod default/web-a on this node) -> [2001:db8::1]:443/TCP, ",
        ),
    ] {
        let args = format!("trace {input} --desired --from default/{pod} --to {to}");
        let ran = folder.run(&args).exits(0);
        assert!(ran.out.starts_with(expected), "{}", ran.out);
    }
    for (pod, to, expected) in [
        (
            "web",
            "default/api",
            "error: no EndpointSlice has a pod default/web: did you mean default/web-a or default/web-b? \
             Otherwise give its address (kubectl get pod -n default web -o wide), since pods that back no \
             Service are in none",
        ),
        (
            "job-1",
            "default/api",
            "error: no EndpointSlice has a pod default/job-1: give its address (kubectl get pod -n default \
             job-1 -o wide), since pods that back no Service are in none",
        ),
        (
            "web-b",
            "[2001:db8::1]:443",
            "error: EndpointSlices have several addresses of the pod default/web-b, fd00::2:5, fd00::2:6: \
             give one of them",
        ),
        (
            "db-0",
            "[2001:db8::1]:443",
            "error: the pod default/db-0 has no IPv6 address, only 10.244.2.9",
        ),
    ] {
        let args = format!("trace {input} --desired --from default/{pod} --to {to}");
        folder.run(&args).exits(2).says(expected);
    }
}

#[test]
fn a_packet_that_the_node_only_passes_on_is_forwarded() {
    check(
        "--from 10.244.1.6 --to 192.0.2.99:53/udp",
        0,
        "no virtual server takes the packet: it is routed to 192.0.2.99:53 with source 10.244.1.6 (the sender's \
         own); whether a program listens there is not known",
    );
    let json = trace("--from 10.244.1.6 --to 192.0.2.99:53/udp -o json").json();
    assert_eq!(json["verdict"]["result"], "forwarded");
    let saved = "\
-A -t 10.96.0.50:80 -s rr
-a -t 10.96.0.50:80 -r 10.244.2.5:8080 -g -w 1
# addresses
10.96.0.50/32
";
    let folder = folder().with("saved.txt", saved);
    let args =
        format!("trace {INPUT} --live saved.txt --from 10.244.1.6 --to 10.96.0.50:80 -o json");
    let json = folder.run(&args).exits(0).json();
    assert_eq!(json["verdict"]["result"], "forwarded");
    assert_eq!(json["realServers"][0]["outcome"]["result"], "forwarded");
}

#[test]
fn a_missing_virtual_server_is_a_failure() {
    let folder = folder();
    let render = folder.run(&format!("render {INPUT}")).exits(0).out;
    let of_web = |line: &&str| line.contains("10.96.0.10:80 ");
    assert!(render.lines().any(|line| of_web(&line)), "{render}");
    let rest: Vec<&str> = render.lines().filter(|line| !of_web(line)).collect();
    let without_address: Vec<&str> = (rest.iter().copied())
        .filter(|line| !line.starts_with("10.96.0.10"))
        .collect();
    let folder = folder
        .with("saved.txt", &rest.join("\n"))
        .with("bare.txt", &without_address.join("\n"));
    for (saved, found) in [
        ("saved.txt", "delivered to this node at 10.96.0.10:80"),
        (
            "bare.txt",
            "no virtual server takes the packet: it is routed to 10.96.0.10:80",
        ),
    ] {
        let args = format!("trace {INPUT} --live {saved} --from 10.244.1.6 --to default/web");
        let ran = folder.run(&args).exits(1);
        let expected = format!("default/web:http: these tables lack its virtual server: {found}");
        assert!(verdict(&ran).starts_with(&expected), "{}", ran.out);
        let json = folder.run(&format!("{args} -o json")).exits(1).json();
        assert_eq!(json["verdict"]["result"], "failed");
    }
}

#[test]
fn policy_local_without_a_local_endpoint_loses_the_answer() {
    let lost = "default/local:http: no answer: the answer does not pass this node on its way to the client";
    check("--from outside --to 203.0.113.51:80", 1, lost);
    check(
        "--from host --to 203.0.113.51:80",
        0,
        "default/local:http: answered by 10.244.2.5:8080 (node node2), which sees 192.0.2.7 (masqueraded)",
    );
    check(
        "--from 10.244.1.6 --to 203.0.113.51:53/udp",
        0,
        "default/local:dns: answered by 10.244.2.5:5353 (node node2), which sees 10.244.1.6 (the sender's own)",
    );
}

#[test]
fn source_ranges_drop_other_clients() {
    let ran = trace("--from outside --to 203.0.113.50:80").exits(1);
    let dropped = "no answer: dropped by `-A KUBE-SOURCE-RANGES-FIREWALL -j DROP` in table filter";
    assert_eq!(verdict(&ran), dropped);
    let why = "203.0.113.50,tcp:80,198.51.100.1 is not in KUBE-LOAD-BALANCER-SOURCE-CIDR\n";
    assert!(ran.out.contains(why), "{}", ran.out);
    let admitted = "--from outside:eth0 --source-address 203.0.113.9 --to 203.0.113.50:80";
    let ran = trace(admitted).exits(0);
    let why = "203.0.113.50,tcp:80,203.0.113.0/24 is in KUBE-LOAD-BALANCER-SOURCE-CIDR\n";
    assert!(ran.out.contains(why), "{}", ran.out);
    assert!(
        ran.out.starts_with("203.0.113.9 (outside, by eth0) -> "),
        "{}",
        ran.out
    );
}

#[test]
fn refusals_name_their_cause() {
    check(
        "--from host --to default/empty",
        1,
        "default/empty:http: refused with ICMP port unreachable: 10.96.0.12:80/TCP has no real server",
    );
    check(
        "--from outside --to 10.96.0.10:81",
        1,
        "refused with ICMP port unreachable: refused by `-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set \
         KUBE-IPVS-IPS dst -j REJECT --reject-with icmp-port-unreachable` in table filter",
    );
}

#[test]
fn sockets_of_the_node() {
    check(
        "--from outside --to 192.0.2.7:31000",
        0,
        "answered by kube-ipvsd (health check of default/local), which sees 198.51.100.1 (the sender's own)",
    );
    check(
        "--from 10.244.1.6 --to default/api",
        0,
        "default/api:https: answered by 192.0.2.7:6443 (node node1), which sees 10.244.1.6 (the sender's own)",
    );
    check(
        "--from outside --to 192.0.2.7:22",
        2,
        "delivered to this node at 192.0.2.7:22 with source 198.51.100.1 (the sender's own); whether a program listens there \
         is not known",
    );
    check(
        "--from host --to 192.0.2.7/icmp",
        0,
        "the echo request is answered",
    );
}

#[test]
fn many_real_servers_are_shown_in_part() {
    let mut saved = "-A -t 10.96.0.50:80 -s rr\n".to_owned();
    for last in 1..=30 {
        let weight = u8::from(last != 30);
        saved += &format!("-a -t 10.96.0.50:80 -r 10.244.1.{last}:8080 -m -w {weight}\n");
    }
    saved += "# addresses\n10.96.0.50/32\n";
    let folder = folder().with("saved.txt", &saved);
    let command = format!("trace {INPUT} --live saved.txt --from 10.244.1.200 --to 10.96.0.50:80");
    let ran = folder.run(&command).exits(0);
    let shown = |ran: &Ran| {
        ran.out
            .lines()
            .filter(|line| line.starts_with("-> "))
            .count()
    };
    assert_eq!(shown(&ran), 20, "{}", ran.out);
    assert!(
        ran.out
            .contains("\n10 more real servers; -o wide shows all\n"),
        "{}",
        ran.out
    );
    assert!(verdict(&ran).ends_with("; or 24 more"), "{}", ran.out);
    let ran = folder.run(&format!("{command} -o wide")).exits(0);
    assert_eq!(shown(&ran), 30, "{}", ran.out);
    let drained = "-> 10.244.1.30:8080, weight 0: no new connections\n";
    assert!(ran.out.contains(drained), "{}", ran.out);
}

#[test]
fn persistence_is_an_assumption() {
    let ran = trace("--from 10.244.1.6 --to default/local:http").exits(0);
    assert!(
        ran.out.contains(", persistent for 10800 s: 1 of 1 "),
        "{}",
        ran.out
    );
    let assumed = "Assumed: the client is new: one that connected in the last 10800 s keeps its real server\n";
    assert!(ran.out.contains(assumed), "{}", ran.out);
}

#[test]
fn document_has_every_rule() {
    let ran = trace("--from outside --to 203.0.113.50:80 -o json").exits(1);
    let json = ran.json();
    assert_eq!(json["kind"], "Trace");
    assert_eq!(json["tables"], "desired");
    assert_eq!(json["packet"]["source"], "198.51.100.1");
    assert_eq!(json["verdict"]["result"], "failed");
    let steps = json["steps"].as_array().expect("steps");
    let places: Vec<_> = steps.iter().map(|step| step["at"].as_str()).collect();
    assert_eq!(
        places,
        [
            Some("nat PREROUTING"),
            Some("routing"),
            Some("filter INPUT")
        ]
    );
    let last = steps.last().expect("a step");
    assert_eq!(
        (&last["decision"], &last["mark"]),
        (&"DROP".into(), &"0x4000".into())
    );
    let rules = last["rules"].as_array().expect("rules");
    let decided = rules.last().expect("a rule");
    assert_eq!(decided["rule"], "-A KUBE-SOURCE-RANGES-FIREWALL -j DROP");
    assert!(
        rules
            .iter()
            .any(|rule| rule["matched"] == false && rule["failed"].is_string())
    );
    let wide = trace("--from outside --to 203.0.113.51:80 -o wide").exits(1);
    let fails = "is in KUBE-IPVS-NO-LOCAL-ENDPOINT\n      fails: -m addrtype --src-type LOCAL\n";
    assert!(wide.out.contains(fails), "{}", wide.out);
    assert!(
        wide.out
            .contains("    no match: -A KUBE-SERVICES -s 127.0.0.0/8"),
        "{}",
        wide.out
    );
}

#[test]
fn real_servers_of_the_document_have_their_results() {
    let folder = folder();
    let render = folder.run(&format!("render {INPUT}")).exits(0).out;
    let drained = "-r 10.244.2.5:8080 -m -w 0";
    let saved = render.replace("-r 10.244.2.5:8080 -m -w 1", drained);
    assert!(saved.contains(drained), "{render}");
    let folder = folder.with("saved.txt", &saved);
    let packet = "--from 10.244.1.6 --to default/web:80 -o json";
    let ran = folder
        .run(&format!("trace {INPUT} --live saved.txt {packet}"))
        .exits(0);
    let json = ran.json();
    assert_eq!(json["tables"], "saved");
    assert_eq!(json["virtualServer"]["service"], "default/web:http");
    let reals = json["realServers"].as_array().expect("real servers");
    assert_eq!(reals.len(), 2);
    assert_eq!(reals[0]["outcome"]["result"], "answered");
    assert_eq!(reals[0]["outcome"]["source"], "10.244.1.6");
    assert_eq!(
        (&reals[1]["weight"], &reals[1]["node"]),
        (&0.into(), &"node2".into())
    );
    assert!(reals[1]["outcome"].is_null(), "{}", reals[1]);
}

#[test]
fn saved_tables_need_no_objects() {
    let folder = Folder::new().with("node.yaml", NODE).with(
        "saved.txt",
        &folder().run(&format!("render {INPUT}")).exits(0).out,
    );
    let packet = "--from 10.244.1.6 --to 10.96.0.10:80";
    let ran = folder.run(&format!(
        "trace --node-state node.yaml --live saved.txt {packet}"
    ));
    let ran = ran.exits(0).says(
        "warning: no objects: names of Services and the nodes of endpoints are not known; give -f PATH or --kubeconfig FILE",
    );
    assert_eq!(
        verdict(&ran),
        "answered by 10.244.1.5:8080, which sees 10.244.1.6 (the sender's own); or answered by 10.244.2.5:8080, which sees \
         10.244.1.6 (the sender's own)"
    );
}

#[test]
fn without_interfaces_masqueraded_sources_are_not_known() {
    let packet = "--from outside --to 192.0.2.7:30080";
    let ran = folder().run(&format!(
        "trace -f trace.yaml --node node1 --config config.yaml --desired {packet}"
    ));
    let ran = ran.exits(0);
    let expected = "answered by 10.244.1.5:8080 (node node1), which sees an address of this node (masqueraded)";
    assert!(verdict(&ran).contains(expected), "{}", ran.out);
    let assumed =
        "Assumed: the interfaces of node node1 are not known; --node-state describes them\n";
    assert!(ran.out.contains(assumed), "{}", ran.out);
}

#[test]
fn impossible_packets_are_errors() {
    for (packet, expected) in [
        (
            "--from host --to default/none",
            "error: --to default/none: the input has no such Service; nothing was traced",
        ),
        (
            "--from host --to default/local",
            "error: --to default/local: name one of its ports, http (80/TCP), dns (53/UDP); nothing was traced",
        ),
        (
            "--from 10.244.1.6 --to [fd00::1]:80",
            "error: source 10.244.1.6 and destination fd00::1 are of different families; nothing was traced",
        ),
        (
            "--from host --source-address 10.244.1.6 --to 10.96.0.10:80",
            "error: --source-address is for --from outside; a pod or the host has its own address",
        ),
    ] {
        trace(packet).exits(2).says(expected);
    }
    for packet in [
        "--from somewhere --to 10.96.0.10:80",
        "--from outside: --to 10.96.0.10:80",
        "--from host --to 10.96.0.10",
        "--from host --to 10.96.0.10/tcp",
        "--from host --to 10.96.0.10:80/gre",
        "--from host --to default/",
        "--from host --to 10.96.0.10:80 --live saved.txt",
    ] {
        let ran = trace(packet).exits(2);
        assert!(ran.err.starts_with("error: "), "{packet}: {}", ran.err);
    }
}

#[test]
fn a_part_that_cannot_be_judged_is_named() {
    let folder = folder();
    let saved = folder.run(&format!("render {INPUT}")).exits(0).out;
    let strange = "-A KUBE-MARK-MASQ -m owner --uid-owner 0 -j MARK";
    let saved = saved.replacen("-A KUBE-MARK-MASQ -j MARK", strange, 1);
    let folder = folder.with("saved.txt", &saved);
    let packet = "--from outside --to 192.0.2.7:30080";
    let ran = folder
        .run(&format!("trace {INPUT} --live saved.txt {packet}"))
        .exits(2);
    assert_eq!(
        verdict(&ran),
        "cannot judge the condition -m owner --uid-owner 0"
    );
}
