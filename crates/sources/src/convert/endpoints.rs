//! core/v1 Endpoints, for clusters without EndpointSlices.

use ipvs::AddressFamily;
use k8s_openapi::api::core::v1 as core;
use model::cluster::{Endpoint, EndpointPort, EndpointSlice};
use model::{ObjectName, Parsed};

use super::{ip, name, port, protocol};
use crate::objects;

/// Converts an Endpoints object to slices: one for each subset and family with an address.
///
/// A slice has the name `ENDPOINTS:ipv4:0`, with the family and the number of the subset. No
/// EndpointSlice can have such a name, since Kubernetes names do not contain `:`.
#[must_use]
pub fn endpoints(given: &objects::Endpoints) -> Vec<EndpointSlice> {
    let owner = given.metadata.object_name();
    let subsets = given.subsets.iter().enumerate();
    subsets
        .flat_map(|(number, subset)| {
            AddressFamily::ALL
                .into_iter()
                .filter_map(|family| slice(&owner, number, subset, family))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn slice(
    owner: &ObjectName,
    number: usize,
    subset: &core::EndpointSubset,
    family: AddressFamily,
) -> Option<EndpointSlice> {
    let ready = subset.addresses.iter().flatten().map(|given| (given, true));
    let waiting = (subset.not_ready_addresses.iter().flatten()).map(|given| (given, false));
    let endpoints: Vec<Endpoint> = ready
        .chain(waiting)
        .map(|(given, ready)| endpoint(given, ready))
        .filter(|endpoint| family_of(endpoint) == family)
        .collect();
    if endpoints.is_empty() {
        return None;
    }
    let suffix = match family {
        AddressFamily::Ipv4 => "ipv4",
        AddressFamily::Ipv6 => "ipv6",
    };
    Some(EndpointSlice {
        name: ObjectName::new(
            owner.namespace.clone(),
            format!("{}:{suffix}:{number}", owner.name),
        ),
        service: owner.name.clone(),
        family: Some(family),
        endpoints,
        ports: subset.ports.iter().flatten().map(endpoint_port).collect(),
        triggered: None,
        uid: None,
        several_addresses: None,
    })
}

fn family_of(endpoint: &Endpoint) -> AddressFamily {
    match &endpoint.address {
        Parsed::Valid(address) => AddressFamily::of(*address),
        Parsed::Invalid(text) if text.contains(':') => AddressFamily::Ipv6,
        Parsed::Invalid(_) => AddressFamily::Ipv4,
    }
}

fn endpoint(given: &core::EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        address: ip(&given.ip),
        ready,
        serving: ready,
        terminating: false,
        node: given.node_name.as_deref().map(name),
        zone: None,
        zone_hints: Box::default(),
        node_hints: Box::default(),
    }
}

fn endpoint_port(given: &core::EndpointPort) -> EndpointPort {
    EndpointPort {
        name: Some(name(given.name.as_deref().unwrap_or_default())),
        protocol: protocol(given.protocol.as_deref()),
        port: port(given.port),
    }
}
