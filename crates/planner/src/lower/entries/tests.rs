use ipset::text::print_entry;
use ipvs::Protocol;
use model::cluster::TrafficPolicy;
use model::frontend::{Frontend, FrontendKind, Sources};

use super::of;
use crate::testing::frontend;

/// Returns the entries of `frontend` as `SET ENTRY`, without the prefix of the set's name.
fn entries(frontend: &Frontend) -> Vec<String> {
    (of(frontend).iter())
        .map(|entry| {
            let line = print_entry(&entry.kind.name(entry.family), &entry.entry);
            line.trim_start_matches("add KUBE-").to_owned()
        })
        .collect()
}

#[test]
fn each_kind_of_frontend_is_in_its_sets() {
    use FrontendKind::{ClusterIp, ExternalIp, LoadBalancerIp, NodePort};
    use Protocol::{Sctp, Tcp, Udp};
    let local = [true, false];
    let lacking = [true, true];
    let cluster = [false, false];
    let tcp = "203.0.113.1,tcp:80";
    let sctp = "203.0.113.1,sctp:80";
    for (kind, protocol, [is_local, lacks_local], sets, entry) in [
        (ClusterIp, Tcp, cluster, "CLUSTER-IP", tcp),
        (ClusterIp, Tcp, local, "CLUSTER-IP", tcp),
        (ClusterIp, Tcp, lacking, "CLUSTER-IP", tcp),
        (ExternalIp, Tcp, cluster, "EXTERNAL-IP", tcp),
        (ExternalIp, Tcp, local, "EXTERNAL-IP-LOCAL", tcp),
        (
            ExternalIp,
            Tcp,
            lacking,
            "EXTERNAL-IP-LOCAL IPVS-NO-LOCAL-ENDPOINT",
            tcp,
        ),
        (LoadBalancerIp, Tcp, cluster, "LOAD-BALANCER", tcp),
        (
            LoadBalancerIp,
            Tcp,
            local,
            "LOAD-BALANCER LOAD-BALANCER-LOCAL",
            tcp,
        ),
        (NodePort, Tcp, cluster, "NODE-PORT-TCP", "80"),
        (
            NodePort,
            Tcp,
            local,
            "NODE-PORT-TCP NODE-PORT-LOCAL-TCP",
            "80",
        ),
        (NodePort, Udp, cluster, "NODE-PORT-UDP", "80"),
        (
            NodePort,
            Sctp,
            local,
            "NODE-PORT-SCTP-HASH NODE-PORT-LOCAL-SCTP-HASH",
            sctp,
        ),
    ] {
        let mut frontend = frontend(kind);
        frontend.protocol = protocol;
        if is_local {
            frontend.policy = TrafficPolicy::Local;
        }
        frontend.lacks_local = lacks_local;
        let expected: Vec<String> = sets
            .split(' ')
            .map(|set| format!("{set} {entry}"))
            .collect();
        assert_eq!(entries(&frontend), expected, "{frontend:?}");
    }
}

#[test]
fn source_ranges_are_in_the_firewall_sets() {
    for (ranges, node, expected) in [
        (
            &["192.0.2.0/24"][..],
            true,
            &[
                "LOAD-BALANCER-SOURCE-CIDR 203.0.113.1,tcp:80,192.0.2.0/24",
                "LOAD-BALANCER-SOURCE-IP 203.0.113.1,tcp:80,203.0.113.1",
            ][..],
        ),
        // An empty list admits no client.
        (&[], false, &[]),
    ] {
        let ranges = (ranges.iter())
            .map(|text| text.parse().expect("a network"))
            .collect();
        let frontend = Frontend {
            sources: Sources::Only { ranges, node },
            ..frontend(FrontendKind::LoadBalancerIp)
        };
        let mut all = vec![
            "LOAD-BALANCER 203.0.113.1,tcp:80",
            "LOAD-BALANCER-FW 203.0.113.1,tcp:80",
        ];
        all.extend(expected);
        assert_eq!(entries(&frontend), all);
    }
}

/// Packets that are not rewritten keep the client's address, except those of the node itself, whose
/// source is the virtual address.
#[test]
fn unrewritten_packets_keep_the_client() {
    use FrontendKind::{ExternalIp, LoadBalancerIp};
    for (kind, sets) in [
        (
            ExternalIp,
            ["EXTERNAL-IP-LOCAL", "IPVS-NO-LOCAL-ENDPOINT"].as_slice(),
        ),
        (
            LoadBalancerIp,
            &[
                "LOAD-BALANCER",
                "LOAD-BALANCER-LOCAL",
                "IPVS-NO-LOCAL-ENDPOINT",
            ],
        ),
    ] {
        let frontend = Frontend {
            forwarding: Some(vec![ipvs::Forwarding::DirectRoute]),
            ..frontend(kind)
        };
        let expected = sets.iter().map(|set| format!("{set} 203.0.113.1,tcp:80"));
        assert_eq!(entries(&frontend), expected.collect::<Vec<_>>());
    }
}
