//! core/v1 Node.

use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use model::cluster::Node;

use super::address::{parse_cidr, parse_ip};
use super::{name, node_name};

/// The label that says in which zone a node is.
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// Converts a Node. Addresses come in kube-proxy's order, InternalIPs before ExternalIPs; text that
/// is no address, and a pod network that is none, are left out.
#[must_use]
pub fn node(given: &core::Node) -> Node {
    let zone = (given.metadata.labels.as_ref()).and_then(|labels| labels.get(ZONE_LABEL));
    Node {
        name: node_name(&given.metadata).name,
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
        deleting: given.metadata.deletion_timestamp.is_some(),
        leaving: has_taint(given, LEAVING_TAINT),
    }
}

/// By which the cluster autoscaler says that it will delete a node.
const LEAVING_TAINT: &str = "ToBeDeletedByClusterAutoscaler";

fn has_taint(given: &core::Node, key: &str) -> bool {
    let taints = given.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    taints.into_iter().flatten().any(|taint| taint.key == key)
}

fn addresses(given: &core::Node, kind: &str) -> Vec<IpAddr> {
    let all = (given.status.as_ref()).and_then(|status| status.addresses.as_ref());
    all.into_iter()
        .flatten()
        .filter(|address| address.type_ == kind)
        .filter_map(|address| parse_ip(&address.address))
        .collect()
}

fn pod_cidrs(given: &core::Node) -> Vec<&String> {
    let Some(spec) = &given.spec else {
        return Vec::new();
    };
    match &spec.pod_cidrs {
        Some(many) if !many.is_empty() => many.iter().collect(),
        _ => spec.pod_cidr.iter().collect(),
    }
}
