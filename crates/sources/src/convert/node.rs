//! core/v1 Node.

use std::net::IpAddr;

use model::cluster::Node;

use super::address::{parse_cidr, parse_ip};
use super::name;
use crate::objects;

/// Converts a Node. Addresses are in kube-proxy's order: InternalIPs before ExternalIPs. Invalid
/// addresses and pod networks are skipped.
#[must_use]
pub fn node(given: &objects::Node) -> Node {
    let zone = given.metadata.labels.zone.as_ref();
    Node {
        name: given.metadata.node_name().name,
        zone: zone.filter(|text| !text.is_empty()).map(|text| name(text)),
        addresses: [
            addresses(given, "InternalIP"),
            addresses(given, "ExternalIP"),
        ]
        .concat(),
        pod_cidrs: pod_cidrs(given)
            .into_iter()
            .filter_map(|text| parse_cidr(text.trim()))
            .collect(),
        deleting: given.metadata.deletion_timestamp,
        leaving: has_taint(given, LEAVING_TAINT),
    }
}

/// Taint with which the cluster autoscaler marks a node that it will delete.
const LEAVING_TAINT: &str = "ToBeDeletedByClusterAutoscaler";

fn has_taint(given: &objects::Node, key: &str) -> bool {
    given.spec.taints.iter().any(|taint| taint.key == key)
}

fn addresses(given: &objects::Node, kind: &str) -> Vec<IpAddr> {
    (given.status.addresses.iter())
        .filter(|address| address.type_ == kind)
        .filter_map(|address| parse_ip(&address.address))
        .collect()
}

fn pod_cidrs(given: &objects::Node) -> Vec<&String> {
    match &*given.spec.pod_cidrs {
        [] => given.spec.pod_cidr.iter().collect(),
        many => many.iter().collect(),
    }
}
