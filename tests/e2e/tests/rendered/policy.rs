//! External policy Local: the client is seen as it is, and on a node without endpoints it gets no answer.

use crate::cell::Expect::{Served, Silence};
use crate::cell::{Asker, Cell, Expect, Seen, To, cell};
use crate::objects::{
    GUARDED_AWAY, LIKE_A_TCP_NODE_PORT, LIKE_A_UDP_NODE_PORT, LOCAL_AWAY, LOCAL_HERE,
    NODE_ONLY_AWAY,
};

/// The endpoint of the node, and who asked.
const KEPT: Expect = Served(&[("pod1", Seen::Asker)]);
/// Deviation D12: an endpoint elsewhere, which can answer because it sees the node.
const D12: Expect = Served(&[("pod3", Seen::Node)]);

pub(crate) fn cells() -> Vec<Cell> {
    [with_endpoint_here(), without(), node_port_number()].concat()
}

fn with_endpoint_here() -> Vec<Cell> {
    vec![
        cell(
            "policy_local::load_balancer_keeps_the_client",
            Asker::Client,
            To::LoadBalancer(LOCAL_HERE),
            KEPT,
        ),
        cell(
            "policy_local::external_ip_keeps_the_client",
            Asker::Client,
            To::External(LOCAL_HERE),
            KEPT,
        ),
        cell(
            "policy_local::node_port_keeps_the_client",
            Asker::Client,
            To::NodePort(LOCAL_HERE),
            KEPT,
        ),
        cell(
            "policy_local::load_balancer_keeps_a_pod",
            Asker::Pod("pod2"),
            To::LoadBalancer(LOCAL_HERE),
            KEPT,
        ),
        cell(
            "policy_local::external_ip_keeps_a_pod",
            Asker::Pod("pod2"),
            To::External(LOCAL_HERE),
            KEPT,
        ),
        cell(
            "policy_local::the_node_is_seen_by_the_load_balancers_address",
            Asker::Node,
            To::LoadBalancer(LOCAL_HERE),
            Served(&[("pod1", Seen::Service)]),
        ),
        cell(
            "policy_local::the_node_is_seen_by_the_external_address",
            Asker::Node,
            To::External(LOCAL_HERE),
            Served(&[("pod1", Seen::Service)]),
        ),
        // No such policy inside.
        cell(
            "policy_local::cluster_ip_is_served_by_all",
            Asker::Pod("pod2"),
            To::ClusterIp(LOCAL_HERE),
            Served(&[("pod1", Seen::Asker), ("pod3", Seen::Asker)]),
        ),
    ]
}

fn without() -> Vec<Cell> {
    vec![
        cell(
            "policy_local::without_endpoint_here_a_client_of_the_load_balancer_gets_no_answer",
            Asker::Client,
            To::LoadBalancer(LOCAL_AWAY),
            Silence,
        ),
        cell(
            "policy_local::without_endpoint_here_a_client_of_the_external_ip_gets_no_answer",
            Asker::Client,
            To::External(LOCAL_AWAY),
            Silence,
        ),
        cell(
            "policy_local::without_endpoint_here_a_client_of_the_node_port_gets_no_answer",
            Asker::Client,
            To::NodePort(LOCAL_AWAY),
            Silence,
        ),
        cell(
            "policy_local::without_endpoint_here_the_node_reaches_the_load_balancer",
            Asker::Node,
            To::LoadBalancer(LOCAL_AWAY),
            D12,
        ),
        cell(
            "policy_local::without_endpoint_here_the_node_reaches_the_external_ip",
            Asker::Node,
            To::External(LOCAL_AWAY),
            D12,
        ),
        // Its address is its own alone, so that the answer finds back.
        cell(
            "policy_local::without_endpoint_here_the_node_reaches_the_node_port_as_itself",
            Asker::Node,
            To::NodePort(LOCAL_AWAY),
            Served(&[("pod3", Seen::Asker)]),
        ),
        cell(
            "policy_local::without_endpoint_here_pods_reach_the_load_balancer",
            Asker::Pod("pod1"),
            To::LoadBalancer(LOCAL_AWAY),
            Served(&[("pod3", Seen::Asker)]),
        ),
        cell(
            "policy_local::without_endpoint_here_ranges_still_keep_the_node_out",
            Asker::Node,
            To::LoadBalancer(GUARDED_AWAY),
            Silence,
        ),
        cell(
            "policy_local::without_endpoint_here_ranges_still_let_the_node_in",
            Asker::Node,
            To::LoadBalancer(NODE_ONLY_AWAY),
            D12,
        ),
    ]
}

/// Deviation D24: the number of another Service's node port changes nothing at a Service's own addresses.
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
                cell(balancer, Asker::Client, to, KEPT),
                cell(pod, Asker::Pod("pod2"), to, KEPT),
                cell(
                    external,
                    Asker::Client,
                    To::ExternalPort(kind, kind.port),
                    KEPT,
                ),
                cell(
                    cluster,
                    Asker::Pod("pod2"),
                    To::ClusterIpPort(kind, kind.port),
                    KEPT,
                ),
            ]
        };
    kinds.into_iter().flat_map(of_kind).collect()
}
