//! Node ports, load balancer and external addresses with policy Cluster.

use crate::cell::{Cell, Expect, Expect::Served, Origin, Seen, To, cell};
use crate::objects::{GUARDED, WIDE};

/// Endpoints on both nodes answer, and see the node.
const MASQUERADED: Expect = Served(&[("pod2", Seen::Node), ("pod3", Seen::Node)]);

pub(crate) fn cells() -> Vec<Cell> {
    use Origin::{Client, Node, NodeAddress, Pod};
    use To::{External, LoadBalancer, NodePort};
    let masqueraded = |name, from, to| cell(name, from, to, MASQUERADED);
    vec![
        masqueraded("node_port::a_client_is_masqueraded", Client, NodePort(WIDE)),
        masqueraded("node_port::the_node_is_masqueraded", Node, NodePort(WIDE)),
        masqueraded(
            "node_port::a_pod_is_masqueraded",
            Pod("pod1"),
            NodePort(WIDE),
        ),
        masqueraded(
            "node_port::a_pod_of_another_node_is_masqueraded",
            Pod("pod3"),
            NodePort(WIDE),
        ),
        // Source ranges apply to the load balancer address alone.
        cell(
            "node_port::source_ranges_say_nothing_of_it",
            Origin::Stranger,
            NodePort(GUARDED),
            Served(&[("pod1", Seen::Node)]),
        ),
        masqueraded(
            "load_balancer::a_client_is_masqueraded",
            Client,
            LoadBalancer(WIDE),
        ),
        masqueraded(
            "load_balancer::the_node_is_masqueraded",
            Node,
            LoadBalancer(WIDE),
        ),
        masqueraded(
            "load_balancer::the_node_is_masqueraded_from_an_address_of_its_own",
            NodeAddress,
            LoadBalancer(WIDE),
        ),
        masqueraded(
            "load_balancer::a_pod_is_masqueraded",
            Pod("pod1"),
            LoadBalancer(WIDE),
        ),
        masqueraded(
            "load_balancer::a_pod_that_reaches_itself_is_masqueraded",
            Pod("pod2"),
            LoadBalancer(WIDE),
        ),
        masqueraded(
            "external_ip::a_client_is_masqueraded",
            Client,
            External(WIDE),
        ),
        masqueraded("external_ip::the_node_is_masqueraded", Node, External(WIDE)),
        masqueraded(
            "external_ip::a_pod_is_masqueraded",
            Pod("pod1"),
            External(WIDE),
        ),
    ]
}
