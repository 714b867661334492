//! Cluster IPs.

use crate::cell::{Cell, Expect::Refused, Expect::Served, From, Seen, To, cell};
use crate::objects::{ALONE, INTERNAL_AWAY, INTERNAL_HERE, ON_HOST, PLAIN, WIDE};

pub(crate) fn cells() -> Vec<Cell> {
    vec![
        cell(
            "cluster_ip::a_pod_is_seen_by_its_own_address",
            From::Pod("pod1"),
            To::ClusterIp(WIDE),
            Served(&[("pod2", Seen::Asker), ("pod3", Seen::Asker)]),
        ),
        cell(
            "cluster_ip::a_pod_reaches_itself_and_sees_the_node",
            From::Pod("pod1"),
            To::ClusterIp(ALONE),
            Served(&[("pod1", Seen::Node)]),
        ),
        cell(
            "cluster_ip::the_node_is_masqueraded",
            From::Node,
            To::ClusterIp(PLAIN),
            Served(&[
                ("pod1", Seen::Node),
                ("pod2", Seen::Node),
                ("pod3", Seen::Node),
            ]),
        ),
        cell(
            "cluster_ip::a_client_outside_is_masqueraded",
            From::Client,
            To::ClusterIp(PLAIN),
            Served(&[
                ("pod1", Seen::Node),
                ("pod2", Seen::Node),
                ("pod3", Seen::Node),
            ]),
        ),
        cell(
            "cluster_ip::a_host_network_endpoint_sees_the_pod",
            From::Pod("pod1"),
            To::ClusterIp(ON_HOST),
            Served(&[("host", Seen::Asker)]),
        ),
        cell(
            "cluster_ip::a_host_network_endpoint_sees_the_client",
            From::Client,
            To::ClusterIp(ON_HOST),
            Served(&[("host", Seen::Asker)]),
        ),
        cell(
            "cluster_ip::policy_local_stays_on_the_node",
            From::Pod("pod2"),
            To::ClusterIp(INTERNAL_HERE),
            Served(&[("pod1", Seen::Asker)]),
        ),
        cell(
            "cluster_ip::policy_local_without_endpoints_here_refuses_pods",
            From::Pod("pod1"),
            To::ClusterIp(INTERNAL_AWAY),
            Refused,
        ),
        cell(
            "cluster_ip::policy_local_without_endpoints_here_refuses_the_node",
            From::Node,
            To::ClusterIp(INTERNAL_AWAY),
            Refused,
        ),
    ]
}
