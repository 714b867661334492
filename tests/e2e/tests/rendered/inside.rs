//! Cluster IPs.

use crate::cell::{Cell, Expect::Refused, Expect::Served, Origin, Seen, To, cell};
use crate::objects::{ALONE, INTERNAL_AWAY, INTERNAL_HERE, ON_HOST, PLAIN, WIDE};

pub(crate) fn cells() -> Vec<Cell> {
    vec![
        cell(
            "cluster_ip::a_pod_is_seen_by_its_own_address",
            Origin::Pod("pod1"),
            To::ClusterIp(WIDE),
            Served(&[("pod2", Seen::Origin), ("pod3", Seen::Origin)]),
        ),
        cell(
            "cluster_ip::a_pod_reaches_itself_and_sees_the_node",
            Origin::Pod("pod1"),
            To::ClusterIp(ALONE),
            Served(&[("pod1", Seen::Node)]),
        ),
        cell(
            "cluster_ip::the_node_is_masqueraded",
            Origin::Node,
            To::ClusterIp(PLAIN),
            Served(&[
                ("pod1", Seen::Node),
                ("pod2", Seen::Node),
                ("pod3", Seen::Node),
            ]),
        ),
        cell(
            "cluster_ip::a_client_outside_is_masqueraded",
            Origin::Client,
            To::ClusterIp(PLAIN),
            Served(&[
                ("pod1", Seen::Node),
                ("pod2", Seen::Node),
                ("pod3", Seen::Node),
            ]),
        ),
        cell(
            "cluster_ip::a_host_network_endpoint_sees_the_pod",
            Origin::Pod("pod1"),
            To::ClusterIp(ON_HOST),
            Served(&[("host", Seen::Origin)]),
        ),
        cell(
            "cluster_ip::a_host_network_endpoint_sees_the_client",
            Origin::Client,
            To::ClusterIp(ON_HOST),
            Served(&[("host", Seen::Origin)]),
        ),
        cell(
            "cluster_ip::policy_local_stays_on_the_node",
            Origin::Pod("pod2"),
            To::ClusterIp(INTERNAL_HERE),
            Served(&[("pod1", Seen::Origin)]),
        ),
        cell(
            "cluster_ip::policy_local_without_endpoints_here_refuses_pods",
            Origin::Pod("pod1"),
            To::ClusterIp(INTERNAL_AWAY),
            Refused,
        ),
        cell(
            "cluster_ip::policy_local_without_endpoints_here_refuses_the_node",
            Origin::Node,
            To::ClusterIp(INTERNAL_AWAY),
            Refused,
        ),
    ]
}
