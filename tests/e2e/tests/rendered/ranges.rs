//! `loadBalancerSourceRanges`.

use e2e::Family;

use crate::cell::Expect::{Served, Silence};
use crate::cell::{Cell, Expect, Origin, Seen, To, cell};
use crate::objects::{
    BALANCER_AND_NODE, BALANCER_EXACTLY, BALANCER_ONLY, BALANCER_ONLY_AWAY, EVERYBODY, GUARDED,
    GUARDED_ON_HOST, NODE_ONLY, OTHER_FAMILY, PODS_ONLY, SECOND_ADDRESS_ONLY, UNGUARDED_PORT,
};

const SERVED: Expect = Served(&[("pod1", Seen::Node)]);

pub(crate) fn cells() -> Vec<Cell> {
    let to = To::LoadBalancer;
    let cells = vec![
        cell(
            "ranges::an_admitted_client_is_served",
            Origin::Client,
            to(GUARDED),
            SERVED,
        ),
        cell(
            "ranges::another_client_is_dropped",
            Origin::Stranger,
            to(GUARDED),
            Silence,
        ),
        cell(
            "ranges::a_pod_that_is_not_admitted_is_dropped",
            Origin::Pod("pod2"),
            to(GUARDED),
            Silence,
        ),
        cell(
            "ranges::admitted_pods_are_served",
            Origin::Pod("pod2"),
            to(PODS_ONLY),
            SERVED,
        ),
        cell(
            "ranges::a_client_is_dropped_where_pods_are_admitted",
            Origin::Client,
            to(PODS_ONLY),
            Silence,
        ),
        cell(
            "ranges::an_admitted_node_is_served",
            Origin::Node,
            to(NODE_ONLY),
            SERVED,
        ),
        cell(
            "ranges::an_admitted_node_is_served_from_an_address_of_its_own",
            Origin::NodeAddress,
            to(NODE_ONLY),
            SERVED,
        ),
        cell(
            "ranges::a_client_is_dropped_where_the_node_is_admitted",
            Origin::Client,
            to(NODE_ONLY),
            Silence,
        ),
        cell(
            "ranges::a_node_that_is_not_admitted_is_dropped",
            Origin::Node,
            to(GUARDED),
            Silence,
        ),
        cell(
            "ranges::a_node_that_is_not_admitted_is_dropped_from_an_address_of_its_own",
            Origin::NodeAddress,
            to(GUARDED),
            Silence,
        ),
        cell(
            "ranges::a_node_that_is_not_admitted_is_dropped_on_the_way_to_itself",
            Origin::Node,
            to(GUARDED_ON_HOST),
            Silence,
        ),
        cell(
            "ranges::an_admitted_client_reaches_a_host_network_endpoint",
            Origin::Client,
            to(GUARDED_ON_HOST),
            Served(&[("host", Seen::Origin)]),
        ),
        cell(
            "ranges::the_cluster_ip_has_none",
            Origin::Stranger,
            To::ClusterIp(GUARDED),
            SERVED,
        ),
        cell(
            "ranges::the_external_ip_has_none",
            Origin::Node,
            To::External(GUARDED),
            SERVED,
        ),
    ];
    [
        cells,
        everybody(),
        other_family(),
        other_port(),
        of_the_node(),
    ]
    .concat()
}

/// `0.0.0.0/0` opens IPv6 too, as in Kubernetes since 1.34.
fn everybody() -> Vec<Cell> {
    let served = |name, from| cell(name, from, To::LoadBalancer(EVERYBODY), SERVED);
    vec![
        served("ranges::all_addresses_admit_clients", Origin::Client),
        served("ranges::all_addresses_admit_pods", Origin::Pod("pod2")),
        served("ranges::all_addresses_admit_the_node", Origin::Node),
    ]
}

/// Deviation D11: source ranges of IPv6 alone deny IPv4.
fn other_family() -> Vec<Cell> {
    let denied = |name, from| {
        let cell = cell(name, from, To::LoadBalancer(OTHER_FAMILY), Silence);
        cell.only(&[Family::V4])
    };
    let client = cell(
        "ranges::of_the_own_family_admit_as_ever",
        Origin::Client,
        To::LoadBalancer(OTHER_FAMILY),
        SERVED,
    );
    vec![
        denied("ranges::of_the_other_family_deny_clients", Origin::Client),
        denied("ranges::of_the_other_family_deny_pods", Origin::Pod("pod2")),
        denied("ranges::of_the_other_family_deny_the_node", Origin::Node),
        client.only(&[Family::V6]),
    ]
}

/// A Service without source ranges at the same address.
fn other_port() -> Vec<Cell> {
    let open = |name, from| {
        cell(
            name,
            from,
            To::LoadBalancerPort(GUARDED, UNGUARDED_PORT),
            SERVED,
        )
    };
    vec![
        open(
            "ranges::another_port_of_the_address_is_open_to_clients",
            Origin::Stranger,
        ),
        open(
            "ranges::another_port_of_the_address_is_open_to_pods",
            Origin::Pod("pod2"),
        ),
        open(
            "ranges::another_port_of_the_address_is_open_to_the_node",
            Origin::Node,
        ),
    ]
}

/// Source ranges and the node's own addresses (deviation D25).
fn of_the_node() -> Vec<Cell> {
    let to = To::LoadBalancer;
    vec![
        cell(
            "ranges::a_range_that_holds_the_balancer_admits_no_node",
            Origin::Node,
            to(BALANCER_ONLY),
            Silence,
        ),
        cell(
            "ranges::a_range_that_is_the_balancer_admits_no_node",
            Origin::Node,
            to(BALANCER_EXACTLY),
            Silence,
        ),
        cell(
            "ranges::a_range_that_holds_the_balancer_admits_no_node_without_endpoint_here",
            Origin::Node,
            to(BALANCER_ONLY_AWAY),
            Silence,
        ),
        cell(
            "ranges::a_range_that_holds_the_balancer_admits_no_address_of_the_node",
            Origin::NodeAddress,
            to(BALANCER_ONLY),
            Silence,
        ),
        cell(
            "ranges::of_the_balancer_and_the_node_admit_the_node",
            Origin::Node,
            to(BALANCER_AND_NODE),
            SERVED,
        ),
        cell(
            "ranges::a_second_address_of_the_node_is_admitted_where_a_range_holds_it",
            Origin::NodeSecondAddress,
            to(SECOND_ADDRESS_ONLY),
            SERVED,
        ),
        cell(
            "ranges::a_second_address_of_the_node_admits_no_other",
            Origin::NodeAddress,
            to(SECOND_ADDRESS_ONLY),
            Silence,
        ),
        cell(
            "ranges::a_second_address_of_the_node_admits_no_connection_that_is_not_bound",
            Origin::Node,
            to(SECOND_ADDRESS_ONLY),
            Silence,
        ),
    ]
}
