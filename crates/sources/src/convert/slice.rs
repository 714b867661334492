//! discovery.k8s.io/v1 EndpointSlice.

use std::time::SystemTime;

use ipvs::AddressFamily;
use k8s_openapi::api::discovery::v1 as discovery;
use model::cluster::{Endpoint, EndpointPort, EndpointSlice};
use model::names::{Name, Uid};

use super::{ip, name, port, protocol};
use crate::objects;

/// Converts an EndpointSlice. A slice without a Service is converted without its contents, since no
/// node uses them.
#[must_use]
pub fn slice(given: &objects::EndpointSlice) -> EndpointSlice {
    let uid = given.metadata.uid.as_deref().and_then(Uid::parse);
    let service = given.metadata.labels.service_name.as_deref();
    let service = service.unwrap_or_default();
    if service.is_empty() {
        return EndpointSlice {
            name: given.metadata.object_name(),
            service: Name::default(),
            family: None,
            endpoints: Vec::new(),
            ports: Vec::new(),
            triggered: None,
            uid,
            several_addresses: None,
        };
    }
    EndpointSlice {
        name: given.metadata.object_name(),
        service: name(service),
        family: match given.address_type.as_str() {
            "IPv4" => Some(AddressFamily::Ipv4),
            "IPv6" => Some(AddressFamily::Ipv6),
            _ => None,
        },
        endpoints: given.endpoints.iter().map(endpoint).collect(),
        ports: given.ports.iter().map(endpoint_port).collect(),
        triggered: triggered(&given.metadata),
        uid,
        several_addresses: (given.endpoints.iter())
            .position(|endpoint| endpoint.addresses.len() > 1)
            .and_then(|index| u32::try_from(index).ok()),
    }
}

/// Returns the time of the change that caused this version of an object, or `None` if the
/// annotation is missing or not in RFC 3339.
fn triggered(metadata: &objects::Metadata) -> Option<SystemTime> {
    let time = metadata.annotations.trigger_time.as_ref()?;
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.into())
}

fn endpoint(given: &discovery::Endpoint) -> Endpoint {
    let conditions = given.conditions.clone().unwrap_or_default();
    let hints = given.hints.as_ref();
    Endpoint {
        address: ip(given
            .addresses
            .first()
            .map(String::as_str)
            .unwrap_or_default()),
        ready: conditions.ready.unwrap_or(true),
        serving: conditions.serving.unwrap_or(true),
        terminating: conditions.terminating.unwrap_or(false),
        node: given.node_name.as_deref().map(name),
        zone: given.zone.as_deref().map(name),
        zone_hints: (hints.and_then(|hints| hints.for_zones.as_ref()).into_iter())
            .flatten()
            .map(|zone| name(&zone.name))
            .collect(),
        node_hints: (hints.and_then(|hints| hints.for_nodes.as_ref()).into_iter())
            .flatten()
            .map(|node| name(&node.name))
            .collect(),
    }
}

/// Converts a port with the defaults of the API server: an empty name and TCP
/// (`SetDefaults_EndpointPort`, pkg/apis/discovery/v1/defaults.go, Kubernetes 1.33).
fn endpoint_port(given: &discovery::EndpointPort) -> EndpointPort {
    EndpointPort {
        name: Some(name(given.name.as_deref().unwrap_or_default())),
        protocol: protocol(given.protocol.as_deref()),
        port: given.port.and_then(port),
    }
}
