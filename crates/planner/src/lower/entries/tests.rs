use std::sync::Arc;

use std::num::NonZeroU16;

use ipset::text::print_entry;
use ipvs::Protocol;
use model::cluster::TrafficPolicy;
use model::frontend::{Frontend, FrontendKind, Sources};
use model::{ObjectName, ServicePortName};

use super::of;

fn frontend(kind: FrontendKind) -> Frontend {
    Frontend {
        owner: Arc::new(ServicePortName {
            service: ObjectName::new("default", "web"),
            port: "http".into(),
            protocol: Protocol::Tcp,
        }),
        kind,
        address: [203, 0, 113, 1].into(),
        port: NonZeroU16::new(80).expect("not zero"),
        protocol: Protocol::Tcp,
        affinity: None,
        scheduler: None,
        bind: true,
        policy: TrafficPolicy::Cluster,
        lacks_local: false,
        sources: Sources::Any,
        backends: Vec::new(),
        finishing: Arc::default(),
    }
}

fn check(kind: FrontendKind, change: impl FnOnce(&mut Frontend), expected: &[&str]) {
    let mut frontend = frontend(kind);
    change(&mut frontend);
    let lines: Vec<String> = (of(&frontend).iter())
        .map(|entry| {
            let line = print_entry(&entry.kind.name(entry.family), &entry.entry);
            line.trim_start_matches("add KUBE-").to_owned()
        })
        .collect();
    assert_eq!(lines, expected);
}

fn local(frontend: &mut Frontend) {
    frontend.policy = TrafficPolicy::Local;
}

#[test]
fn a_cluster_ip_is_in_one_set() {
    let kind = FrontendKind::ClusterIp;
    check(kind, |_| {}, &["CLUSTER-IP 203.0.113.1,tcp:80"]);
    check(kind, local, &["CLUSTER-IP 203.0.113.1,tcp:80"]);
}

#[test]
fn an_external_ip_is_in_the_set_of_its_policy() {
    let kind = FrontendKind::ExternalIp;
    check(kind, |_| {}, &["EXTERNAL-IP 203.0.113.1,tcp:80"]);
    check(kind, local, &["EXTERNAL-IP-LOCAL 203.0.113.1,tcp:80"]);
}

#[test]
fn a_load_balancer_ip_with_policy_local_is_in_both_sets() {
    let kind = FrontendKind::LoadBalancerIp;
    check(kind, |_| {}, &["LOAD-BALANCER 203.0.113.1,tcp:80"]);
    let both = [
        "LOAD-BALANCER 203.0.113.1,tcp:80",
        "LOAD-BALANCER-LOCAL 203.0.113.1,tcp:80",
    ];
    check(kind, local, &both);
}

#[test]
fn an_address_without_local_endpoints_is_in_a_separate_set() {
    let lacking = |frontend: &mut Frontend| {
        local(frontend);
        frontend.lacks_local = true;
    };
    check(
        FrontendKind::ExternalIp,
        lacking,
        &[
            "EXTERNAL-IP-LOCAL 203.0.113.1,tcp:80",
            "IPVS-NO-LOCAL-ENDPOINT 203.0.113.1,tcp:80",
        ],
    );
    check(
        FrontendKind::ClusterIp,
        lacking,
        &["CLUSTER-IP 203.0.113.1,tcp:80"],
    );
}

#[test]
fn node_ports_of_tcp_and_udp_are_ports_and_of_sctp_addresses() {
    let kind = FrontendKind::NodePort;
    check(kind, |_| {}, &["NODE-PORT-TCP 80"]);
    check(kind, local, &["NODE-PORT-TCP 80", "NODE-PORT-LOCAL-TCP 80"]);
    let udp = |frontend: &mut Frontend| frontend.protocol = Protocol::Udp;
    check(kind, udp, &["NODE-PORT-UDP 80"]);
    let sctp = |frontend: &mut Frontend| {
        local(frontend);
        frontend.protocol = Protocol::Sctp;
    };
    check(
        kind,
        sctp,
        &[
            "NODE-PORT-SCTP-HASH 203.0.113.1,sctp:80",
            "NODE-PORT-LOCAL-SCTP-HASH 203.0.113.1,sctp:80",
        ],
    );
}

fn check_ranges(ranges: &[&str], node: bool, expected: &[&str]) {
    let ranges = (ranges.iter())
        .map(|text| text.parse().expect("a network"))
        .collect();
    let mut all = vec![
        "LOAD-BALANCER 203.0.113.1,tcp:80",
        "LOAD-BALANCER-FW 203.0.113.1,tcp:80",
    ];
    all.extend(expected);
    let change = |frontend: &mut Frontend| frontend.sources = Sources::Only { ranges, node };
    check(FrontendKind::LoadBalancerIp, change, &all);
}

#[test]
fn source_ranges_are_in_the_firewall_sets() {
    check_ranges(
        &["192.0.2.0/24"],
        true,
        &[
            "LOAD-BALANCER-SOURCE-CIDR 203.0.113.1,tcp:80,192.0.2.0/24",
            "LOAD-BALANCER-SOURCE-IP 203.0.113.1,tcp:80,203.0.113.1",
        ],
    );
}

#[test]
fn an_empty_range_list_admits_no_client() {
    check_ranges(&[], false, &[]);
}
