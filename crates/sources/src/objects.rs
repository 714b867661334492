//! The parts of Kubernetes objects that are read.
//!
//! Other fields are skipped whatever they contain, so that only errors in fields with an effect
//! make an object undecodable. Types of k8s-openapi are used below `spec` and `status` if they
//! contain no times. A time that is out of range or not in RFC 3339 would make the whole object
//! undecodable.

#[cfg(test)]
mod tests;

use std::fmt;
use std::marker::PhantomData;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use model::ObjectName;
use model::cluster::Undecodable;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::convert::name;

/// An object with metadata.
pub trait Kubernetes: DeserializeOwned {
    /// Returns the metadata.
    fn metadata(&self) -> &Metadata;

    /// Returns the objects behind its endpoints (`targetRef`), each with the endpoint's address.
    fn targets(&self) -> Vec<(&core::ObjectReference, &str)> {
        Vec::new()
    }
}

/// Fields of an object's metadata that are read. `managedFields` is not read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Name.
    pub name: Option<String>,
    /// Namespace; `None` for a Node.
    pub namespace: Option<String>,
    /// UID.
    pub uid: Option<String>,
    /// Resource version.
    pub resource_version: Option<String>,
    /// Time of creation as Unix time. `None` if it is not a valid time.
    #[serde(deserialize_with = "seconds")]
    pub creation_timestamp: Option<i64>,
    /// True if the object is being deleted.
    #[serde(deserialize_with = "is_present")]
    pub deletion_timestamp: bool,
    /// Labels.
    #[serde(deserialize_with = "map")]
    pub labels: Labels,
    /// Annotations.
    #[serde(deserialize_with = "map")]
    pub annotations: Annotations,
}

impl Metadata {
    /// Returns the name of a namespaced object. Without a namespace it is in `default`, as in
    /// `kubectl`.
    #[must_use]
    pub fn object_name(&self) -> ObjectName {
        let namespace = self.namespace.as_deref().filter(|text| !text.is_empty());
        ObjectName::new(
            name(namespace.unwrap_or("default")),
            name(self.name.as_deref().unwrap_or_default()),
        )
    }

    /// Returns the name of a Node, which has no namespace.
    #[must_use]
    pub fn node_name(&self) -> ObjectName {
        ObjectName::new("", name(self.name.as_deref().unwrap_or_default()))
    }
}

/// Labels that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Labels {
    /// Service of a slice.
    #[serde(rename = "kubernetes.io/service-name")]
    pub service_name: Option<String>,
    /// Zone of a Node.
    #[serde(rename = "topology.kubernetes.io/zone")]
    pub zone: Option<String>,
    /// True if another proxy serves the object.
    #[serde(
        rename = "service.kubernetes.io/service-proxy-name",
        deserialize_with = "is_present"
    )]
    pub other_proxy: bool,
    /// True if the slice belongs to a headless Service.
    #[serde(
        rename = "service.kubernetes.io/headless",
        deserialize_with = "is_present"
    )]
    pub headless: bool,
}

/// Annotations that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Annotations {
    /// Scheduler of a Service.
    #[serde(rename = "kube-ipvs.io/scheduler")]
    pub scheduler: Option<String>,
    /// Time of the change that caused this version of a slice (`EndpointsLastChangeTriggerTime`,
    /// staging/src/k8s.io/api/core/v1/annotation_key_constants.go, Kubernetes 1.34).
    #[serde(rename = "endpoints.kubernetes.io/last-change-trigger-time")]
    pub trigger_time: Option<String>,
    /// True in the bookmark that ends a streamed list (KEP-3157).
    #[serde(rename = "k8s.io/initial-events-end", deserialize_with = "is_present")]
    pub initial_events_end: bool,
}

macro_rules! kubernetes {
    ($($object:ident),+) => {
        $(impl Kubernetes for $object {
            fn metadata(&self) -> &Metadata {
                &self.metadata
            }
        })+
    };
}

kubernetes!(Service, Node, MetadataOnly);

impl Kubernetes for EndpointSlice {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn targets(&self) -> Vec<(&core::ObjectReference, &str)> {
        let targets = self.endpoints.iter().filter_map(|endpoint| {
            // All addresses of an endpoint are of the same pod; kube-proxy too uses the first.
            Some((
                endpoint.target_ref.as_ref()?,
                &**endpoint.addresses.first()?,
            ))
        });
        targets.collect()
    }
}

impl Kubernetes for Endpoints {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn targets(&self) -> Vec<(&core::ObjectReference, &str)> {
        let subsets = self.subsets.iter();
        let addresses = subsets
            .flat_map(|subset| [&subset.addresses, &subset.not_ready_addresses])
            .flatten()
            .flatten();
        let targets = addresses.filter_map(|at| Some((at.target_ref.as_ref()?, &*at.ip)));
        targets.collect()
    }
}

/// An object of any kind with only its metadata.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MetadataOnly {
    /// Metadata.
    #[serde(deserialize_with = "map")]
    pub metadata: Metadata,
}

/// core/v1 Service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Metadata.
    #[serde(deserialize_with = "map")]
    pub metadata: Metadata,
    /// Specification.
    #[serde(deserialize_with = "map")]
    pub spec: core::ServiceSpec,
    /// Status.
    #[serde(deserialize_with = "map")]
    pub status: ServiceStatus,
}

/// Status of a Service. Its conditions contain times and are not read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// Addresses of the load balancer.
    pub load_balancer: Option<core::LoadBalancerStatus>,
}

/// discovery.k8s.io/v1 EndpointSlice.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// Metadata.
    #[serde(deserialize_with = "map")]
    pub metadata: Metadata,
    /// Address type: `IPv4`, `IPv6` or `FQDN`.
    #[serde(deserialize_with = "or_default")]
    pub address_type: String,
    /// Endpoints.
    #[serde(deserialize_with = "or_default")]
    pub endpoints: Vec<discovery::Endpoint>,
    /// Ports of each endpoint.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<discovery::EndpointPort>,
}

/// core/v1 Endpoints.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Endpoints {
    /// Metadata.
    #[serde(deserialize_with = "map")]
    pub metadata: Metadata,
    /// Addresses with ports.
    #[serde(deserialize_with = "or_default")]
    pub subsets: Vec<core::EndpointSubset>,
}

/// core/v1 Node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Metadata.
    #[serde(deserialize_with = "map")]
    pub metadata: Metadata,
    /// Specification.
    #[serde(deserialize_with = "map")]
    pub spec: NodeSpec,
    /// Status.
    #[serde(deserialize_with = "map")]
    pub status: NodeStatus,
}

/// Specification of a Node. Times of taints are not read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// Network of its pods.
    #[serde(rename = "podCIDR")]
    pub pod_cidr: Option<String>,
    /// Networks of its pods, one for each family.
    #[serde(rename = "podCIDRs", deserialize_with = "or_default")]
    pub pod_cidrs: Vec<String>,
    /// Taints.
    #[serde(deserialize_with = "or_default")]
    pub taints: Vec<Taint>,
}

/// A taint of a Node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Taint {
    /// Key.
    #[serde(deserialize_with = "or_default")]
    pub key: String,
}

/// Status of a Node. Its conditions contain times and are not read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Addresses.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<core::NodeAddress>,
}

/// Decodes the JSON text of one object.
///
/// # Errors
///
/// A field that is read has the wrong type, or `text` is not JSON.
pub fn decode<K: DeserializeOwned>(text: &str) -> Result<K, Undecodable> {
    // Tracking the path costs time, so it is done only after an error.
    if let Ok(object) = serde_json::from_str(text) {
        return Ok(object);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| Undecodable {
        field: error.path().to_string().into(),
        problem: error.inner().to_string().into(),
    })
}

/// Deserializes a JSON object, or `null` as an empty one, as Go writes it. Derived code would also
/// accept an array with the fields of the struct in order.
fn map<'de, D, T>(given: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    given.deserialize_any(MapVisitor(PhantomData))
}

struct MapVisitor<T>(PhantomData<T>);

impl<'de, T: Default + Deserialize<'de>> Visitor<'de> for MapVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: de::Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

/// Deserializes a value, or `null` as the default. Go writes `null` for an empty list.
fn or_default<'de, D, T>(given: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(given).map(Option::unwrap_or_default)
}

fn is_present<'de, D: Deserializer<'de>>(given: D) -> Result<bool, D::Error> {
    Option::<IgnoredAny>::deserialize(given).map(|value| value.is_some())
}

fn seconds<'de, D: Deserializer<'de>>(given: D) -> Result<Option<i64>, D::Error> {
    let text = Option::<String>::deserialize(given)?;
    let time = text.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    Ok(time.map(jiff::Timestamp::as_second))
}
