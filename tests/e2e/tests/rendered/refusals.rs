//! Other ports of virtual addresses, and Services without endpoints: refused at once, whoever asks.

use crate::cell::Expect::{Listens, Refused};
use crate::cell::{Asker, Cell, To, cell};
use crate::objects::AddressKind::{ClusterIp, External, LoadBalancer};
use crate::objects::{EMPTY, PLAIN, WIDE};

pub(crate) fn cells() -> Vec<Cell> {
    let listens = |name, from| cell(name, from, To::HostPort, Listens);
    let other_port =
        |name, from, kind, service| cell(name, from, To::HostPortOf(kind, service), Refused);
    let empty = |name, from, to| cell(name, from, to, Refused);
    vec![
        // What makes the refusals below say something.
        listens(
            "refused::not_what_listens_on_the_node_by_its_own_address",
            Asker::Client,
        ),
        listens(
            "refused::not_what_listens_on_the_node_asked_by_itself",
            Asker::Node,
        ),
        other_port(
            "refused::other_ports_of_a_cluster_ip_to_pods",
            Asker::Pod("pod1"),
            ClusterIp,
            PLAIN,
        ),
        other_port(
            "refused::other_ports_of_a_cluster_ip_to_the_node",
            Asker::Node,
            ClusterIp,
            PLAIN,
        ),
        other_port(
            "refused::other_ports_of_a_cluster_ip_to_clients",
            Asker::Client,
            ClusterIp,
            PLAIN,
        ),
        other_port(
            "refused::other_ports_of_a_load_balancer_to_pods",
            Asker::Pod("pod1"),
            LoadBalancer,
            WIDE,
        ),
        other_port(
            "refused::other_ports_of_a_load_balancer_to_the_node",
            Asker::Node,
            LoadBalancer,
            WIDE,
        ),
        other_port(
            "refused::other_ports_of_a_load_balancer_to_clients",
            Asker::Client,
            LoadBalancer,
            WIDE,
        ),
        other_port(
            "refused::other_ports_of_an_external_ip_to_clients",
            Asker::Client,
            External,
            WIDE,
        ),
        other_port(
            "refused::other_ports_of_an_external_ip_to_pods",
            Asker::Pod("pod1"),
            External,
            WIDE,
        ),
        other_port(
            "refused::other_ports_of_an_external_ip_to_the_node",
            Asker::Node,
            External,
            WIDE,
        ),
        empty(
            "refused::a_cluster_ip_without_endpoints_to_pods",
            Asker::Pod("pod1"),
            To::ClusterIp(EMPTY),
        ),
        empty(
            "refused::a_cluster_ip_without_endpoints_to_the_node",
            Asker::Node,
            To::ClusterIp(EMPTY),
        ),
        empty(
            "refused::a_cluster_ip_without_endpoints_to_clients",
            Asker::Client,
            To::ClusterIp(EMPTY),
        ),
        empty(
            "refused::a_load_balancer_without_endpoints_to_clients",
            Asker::Client,
            To::LoadBalancer(EMPTY),
        ),
        empty(
            "refused::a_node_port_without_endpoints_to_clients",
            Asker::Client,
            To::NodePort(EMPTY),
        ),
        empty(
            "refused::a_node_port_without_endpoints_to_the_node",
            Asker::Node,
            To::NodePort(EMPTY),
        ),
    ]
}
