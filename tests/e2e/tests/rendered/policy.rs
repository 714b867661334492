//! External policy Local: endpoints see the client's own address, and a node without endpoints does
//! not answer.

use crate::cell::Expect::{Served, Silence};
use crate::cell::{Cell, Expect, Origin, Seen, To, cell};
use crate::objects::{
    GUARDED_AWAY, LIKE_A_TCP_NODE_PORT, LIKE_A_UDP_NODE_PORT, LOCAL_AWAY, LOCAL_HERE,
    NODE_ONLY_AWAY,
};

/// The endpoint of the node answers, and sees the origin.
const KEPT: Expect = Served(&[("pod1", Seen::Origin)]);
/// Deviation D12: an endpoint on another node answers, which is possible because it sees the node.
const D12: Expect = Served(&[("pod3", Seen::Node)]);

pub(crate) fn cells() -> Vec<Cell> {
    [with_endpoint_here(), without(), node_port_number()].concat()
}

fn with_endpoint_here() -> Vec<Cell> {
    vec![
        cell(
            "policy_local::load_balancer_keeps_the_client",
            Origin::Client,
            To::LoadBalancer(LOCAL_HERE),
            KEPT,
        ),
        cell(
            "policy_local::external_ip_keeps_the_client",
            Origin::Client,
            To::External(LOCAL_HERE),
            KEPT,
        ),
        cell(
            "policy_local::node_port_keeps_the_client",
            Origin::Client,
            To::NodePort(LOCAL_HERE),
            KEPT,
        ),
        cell(
            "policy_local::load_balancer_keeps_a_pod",
            Origin::Pod("pod2"),
            To::LoadBalancer(LOCAL_HERE),
            KEPT,
        ),
        cell(
            "policy_local::external_ip_keeps_a_pod",
            Origin::Pod("pod2"),
            To::External(LOCAL_HERE),
            KEPT,
        ),
        cell(
            "policy_local::the_node_is_seen_by_the_load_balancers_address",
            Origin::Node,
            To::LoadBalancer(LOCAL_HERE),
            Served(&[("pod1", Seen::Service)]),
        ),
        cell(
            "policy_local::the_node_is_seen_by_the_external_address",
            Origin::Node,
            To::External(LOCAL_HERE),
            Served(&[("pod1", Seen::Service)]),
        ),
        // The external policy does not apply to cluster IPs.
        cell(
            "policy_local::cluster_ip_is_served_by_all",
            Origin::Pod("pod2"),
            To::ClusterIp(LOCAL_HERE),
            Served(&[("pod1", Seen::Origin), ("pod3", Seen::Origin)]),
        ),
    ]
}

fn without() -> Vec<Cell> {
    vec![
        cell(
            "policy_local::without_endpoint_here_a_client_of_the_load_balancer_gets_no_answer",
            Origin::Client,
            To::LoadBalancer(LOCAL_AWAY),
            Silence,
        ),
        cell(
            "policy_local::without_endpoint_here_a_client_of_the_external_ip_gets_no_answer",
            Origin::Client,
            To::External(LOCAL_AWAY),
            Silence,
        ),
        cell(
            "policy_local::without_endpoint_here_a_client_of_the_node_port_gets_no_answer",
            Origin::Client,
            To::NodePort(LOCAL_AWAY),
            Silence,
        ),
        cell(
            "policy_local::without_endpoint_here_the_node_reaches_the_load_balancer",
            Origin::Node,
            To::LoadBalancer(LOCAL_AWAY),
            D12,
        ),
        cell(
            "policy_local::without_endpoint_here_the_node_reaches_the_external_ip",
            Origin::Node,
            To::External(LOCAL_AWAY),
            D12,
        ),
        // Only this node has the address, so that the answer returns to it.
        cell(
            "policy_local::without_endpoint_here_the_node_reaches_the_node_port_as_itself",
            Origin::Node,
            To::NodePort(LOCAL_AWAY),
            Served(&[("pod3", Seen::Origin)]),
        ),
        cell(
            "policy_local::without_endpoint_here_pods_reach_the_load_balancer",
            Origin::Pod("pod1"),
            To::LoadBalancer(LOCAL_AWAY),
            Served(&[("pod3", Seen::Origin)]),
        ),
        cell(
            "policy_local::without_endpoint_here_ranges_still_keep_the_node_out",
            Origin::Node,
            To::LoadBalancer(GUARDED_AWAY),
            Silence,
        ),
        cell(
            "policy_local::without_endpoint_here_ranges_still_let_the_node_in",
            Origin::Node,
            To::LoadBalancer(NODE_ONLY_AWAY),
            D12,
        ),
    ]
}

/// Deviation D24: a port that equals another Service's node port has no effect on a Service's own
/// addresses.
fn node_port_number() -> Vec<Cell> {
    let kinds = [
        (
            LIKE_A_TCP_NODE_PORT,
            [
                "node_port_number::of_tcp_keeps_the_client_of_the_load_balancer",
                "node_port_number::of_tcp_keeps_a_pod_at_the_load_balancer",
                "node_port_number::of_tcp_keeps_the_client_of_the_external_ip",
                "node_port_number::of_tcp_keeps_a_pod_at_the_cluster_ip",
            ],
        ),
        (
            LIKE_A_UDP_NODE_PORT,
            [
                "node_port_number::of_udp_keeps_the_client_of_the_load_balancer",
                "node_port_number::of_udp_keeps_a_pod_at_the_load_balancer",
                "node_port_number::of_udp_keeps_the_client_of_the_external_ip",
                "node_port_number::of_udp_keeps_a_pod_at_the_cluster_ip",
            ],
        ),
    ];
    let of_kind =
        |(kind, [balancer, pod, external, cluster]): (crate::objects::Kind, [&'static str; 4])| {
            let to = To::LoadBalancerPort(kind, kind.port);
            [
                cell(balancer, Origin::Client, to, KEPT),
                cell(pod, Origin::Pod("pod2"), to, KEPT),
                cell(
                    external,
                    Origin::Client,
                    To::ExternalPort(kind, kind.port),
                    KEPT,
                ),
                cell(
                    cluster,
                    Origin::Pod("pod2"),
                    To::ClusterIpPort(kind, kind.port),
                    KEPT,
                ),
            ]
        };
    kinds.into_iter().flat_map(of_kind).collect()
}
