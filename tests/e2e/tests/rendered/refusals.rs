//! Other ports of virtual addresses, and Services without endpoints, refuse requests of every
//! origin at once.

use crate::cell::Expect::{Listens, Refused};
use crate::cell::{Cell, Origin, To, cell};
use crate::objects::AddressKind::{ClusterIp, External, LoadBalancer};
use crate::objects::{EMPTY, PLAIN, WIDE};

pub(crate) fn cells() -> Vec<Cell> {
    let listens = |name, from| cell(name, from, To::HostPort, Listens);
    let other_port =
        |name, from, kind, service| cell(name, from, To::HostPortOf(kind, service), Refused);
    let empty = |name, from, to| cell(name, from, to, Refused);
    vec![
        // The sockets listen: otherwise the refusals below would prove nothing.
        listens(
            "refused::not_what_listens_on_the_node_by_its_own_address",
            Origin::Client,
        ),
        listens(
            "refused::not_what_listens_on_the_node_asked_by_itself",
            Origin::Node,
        ),
        other_port(
            "refused::other_ports_of_a_cluster_ip_to_pods",
            Origin::Pod("pod1"),
            ClusterIp,
            PLAIN,
        ),
        other_port(
            "refused::other_ports_of_a_cluster_ip_to_the_node",
            Origin::Node,
            ClusterIp,
            PLAIN,
        ),
        other_port(
            "refused::other_ports_of_a_cluster_ip_to_clients",
            Origin::Client,
            ClusterIp,
            PLAIN,
        ),
        other_port(
            "refused::other_ports_of_a_load_balancer_to_pods",
            Origin::Pod("pod1"),
            LoadBalancer,
            WIDE,
        ),
        other_port(
            "refused::other_ports_of_a_load_balancer_to_the_node",
            Origin::Node,
            LoadBalancer,
            WIDE,
        ),
        other_port(
            "refused::other_ports_of_a_load_balancer_to_clients",
            Origin::Client,
            LoadBalancer,
            WIDE,
        ),
        other_port(
            "refused::other_ports_of_an_external_ip_to_clients",
            Origin::Client,
            External,
            WIDE,
        ),
        other_port(
            "refused::other_ports_of_an_external_ip_to_pods",
            Origin::Pod("pod1"),
            External,
            WIDE,
        ),
        other_port(
            "refused::other_ports_of_an_external_ip_to_the_node",
            Origin::Node,
            External,
            WIDE,
        ),
        empty(
            "refused::a_cluster_ip_without_endpoints_to_pods",
            Origin::Pod("pod1"),
            To::ClusterIp(EMPTY),
        ),
        empty(
            "refused::a_cluster_ip_without_endpoints_to_the_node",
            Origin::Node,
            To::ClusterIp(EMPTY),
        ),
        empty(
            "refused::a_cluster_ip_without_endpoints_to_clients",
            Origin::Client,
            To::ClusterIp(EMPTY),
        ),
        empty(
            "refused::a_load_balancer_without_endpoints_to_clients",
            Origin::Client,
            To::LoadBalancer(EMPTY),
        ),
        empty(
            "refused::a_node_port_without_endpoints_to_clients",
            Origin::Client,
            To::NodePort(EMPTY),
        ),
        empty(
            "refused::a_node_port_without_endpoints_to_the_node",
            Origin::Node,
            To::NodePort(EMPTY),
        ),
    ]
}
