//! discovery.k8s.io/v1 EndpointSlice.

use std::time::SystemTime;

use ipvs::AddressFamily;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use model::cluster::{Endpoint, EndpointPort, EndpointSlice};

use super::{ip, name, object_name, port, protocol};

/// The label that says which Service a slice belongs to.
pub(crate) const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// The annotation of the controller's that says what time it was (`EndpointsLastChangeTriggerTime`,
/// staging/src/k8s.io/api/core/v1/annotation_key_constants.go, Kubernetes 1.34).
const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// Converts an EndpointSlice; none where the label `kubernetes.io/service-name` is missing, so that
/// the slice belongs to no Service.
#[must_use]
pub fn slice(given: &discovery::EndpointSlice) -> Option<EndpointSlice> {
    let labels = given.metadata.labels.as_ref()?;
    let service = labels
        .get(SERVICE_NAME_LABEL)
        .filter(|text| !text.is_empty())?;
    Some(EndpointSlice {
        name: object_name(&given.metadata),
        service: name(service),
        family: match given.address_type.as_str() {
            "IPv4" => Some(AddressFamily::Ipv4),
            "IPv6" => Some(AddressFamily::Ipv6),
            _ => None,
        },
        endpoints: given.endpoints.iter().map(endpoint).collect(),
        ports: (given.ports.iter().flatten()).map(endpoint_port).collect(),
        triggered: triggered(&given.metadata),
    })
}

/// When the change was made that an object came to be of; none where nobody says so in RFC 3339.
fn triggered(metadata: &ObjectMeta) -> Option<SystemTime> {
    let time = metadata.annotations.as_ref()?.get(TRIGGER_TIME)?;
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.into())
}

fn endpoint(given: &discovery::Endpoint) -> Endpoint {
    let conditions = given.conditions.clone().unwrap_or_default();
    let ready = conditions.ready.unwrap_or(true);
    let hints = given.hints.as_ref();
    Endpoint {
        address: ip(given
            .addresses
            .first()
            .map(String::as_str)
            .unwrap_or_default()),
        ready,
        serving: conditions.serving.unwrap_or(ready),
        terminating: conditions.terminating.unwrap_or(false),
        node: given.node_name.as_deref().map(name),
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

/// The API server fills in an empty name and TCP (`SetDefaults_EndpointPort`,
/// pkg/apis/discovery/v1/defaults.go, Kubernetes 1.33).
fn endpoint_port(given: &discovery::EndpointPort) -> EndpointPort {
    EndpointPort {
        name: Some(name(given.name.as_deref().unwrap_or_default())),
        protocol: protocol(given.protocol.as_deref()),
        port: given.port.and_then(port),
    }
}
