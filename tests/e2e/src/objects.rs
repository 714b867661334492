//! Kubernetes objects.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::pod::PORT;
use crate::socket::Protocol;

/// A ClusterIP Service with an address of one or both families and a port 80 for each protocol, named as
/// the protocol.
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

/// The EndpointSlice of a Service with these pods, all of one family, ready.
#[must_use]
pub fn slice(service: &str, pods: &[IpAddr], protocols: &[Protocol]) -> Value {
    let family = pods.first().map_or("IPv4", |address| family(*address));
    empty_slice(service, family, pods, protocols)
}

/// The same where there may be no pod to tell the family by.
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

/// The name of such a slice.
#[must_use]
pub fn slice_name(service: &str, family: &str) -> String {
    format!("{service}-{}", family.to_lowercase())
}

/// Several objects as one, as a file has them.
#[must_use]
pub fn list(objects: impl IntoIterator<Item = Value>) -> Value {
    let items: Vec<Value> = objects.into_iter().collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// `count` Services named `many-N` with `reals` endpoints each, none of which is a real pod. TCP over IPv4.
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
