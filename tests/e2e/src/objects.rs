//! Builders of Kubernetes objects.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::pod::PORT;
use crate::socket::Protocol;

/// Returns a ClusterIP Service with these addresses and port 80 of each protocol, named as the
/// protocol.
#[must_use]
pub fn service(name: &str, addresses: &[IpAddr], protocols: &[Protocol]) -> Value {
    let families: Vec<&str> = addresses.iter().map(|address| family(*address)).collect();
    let policy = if addresses.len() > 1 {
        "RequireDualStack"
    } else {
        "SingleStack"
    };
    let ports: Vec<Value> = protocols
        .iter()
        .map(|protocol| {
            json!({"name": protocol.to_string(), "protocol": protocol.name(), "port": 80,
                "targetPort": PORT})
        })
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "clusterIP": addresses.first(), "clusterIPs": addresses,
            "ipFamilies": families, "ipFamilyPolicy": policy, "ports": ports},
    })
}

/// Returns the EndpointSlice of a Service with these ready pods, which have one family.
#[must_use]
pub fn slice(service: &str, pods: &[IpAddr], protocols: &[Protocol]) -> Value {
    let family = pods.first().map_or("IPv4", |address| family(*address));
    empty_slice(service, family, pods, protocols)
}

/// As [`slice`], with a family that does not depend on the pods.
#[must_use]
pub fn empty_slice(service: &str, family: &str, pods: &[IpAddr], protocols: &[Protocol]) -> Value {
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|address| {
            json!({"addresses": [address], "nodeName": "node1",
                "conditions": {"ready": true, "serving": true, "terminating": false}})
        })
        .collect();
    let ports: Vec<Value> = protocols
        .iter()
        .map(|protocol| {
            json!({"name": protocol.to_string(), "protocol": protocol.name(), "port": PORT})
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": slice_name(service, family), "namespace": "default",
            "labels": {"kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
        "addressType": family, "endpoints": endpoints, "ports": ports,
    })
}

/// Returns the name of such a slice.
#[must_use]
pub fn slice_name(service: &str, family: &str) -> String {
    format!("{service}-{}", family.to_lowercase())
}

/// Returns a list object.
#[must_use]
pub fn list(objects: impl IntoIterator<Item = Value>) -> Value {
    let items: Vec<Value> = objects.into_iter().collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// Returns `count` Services named `many-N` with `reals` endpoints each. No pods have these
/// addresses. TCP over IPv4.
#[must_use]
pub fn many(count: u16, reals: u8) -> Vec<Value> {
    let mut objects = Vec::new();
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        let name = format!("many-{number}");
        let address = IpAddr::from([10, 96, 128 + high, low]);
        let pods: Vec<IpAddr> = (0..reals)
            .map(|each| IpAddr::from([10, 100 + each, high, low]))
            .collect();
        objects.push(service(&name, &[address], &[Protocol::Tcp]));
        objects.push(slice(&name, &pods, &[Protocol::Tcp]));
    }
    objects
}

fn family(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IPv4",
        IpAddr::V6(_) => "IPv6",
    }
}
