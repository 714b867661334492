//! Kubernetes objects, as far as they are read.
//!
//! A field that is not read is skipped whatever it holds, so that an object can be refused only for a mistake in a field
//! that decides something. Types of k8s-openapi are used below `spec` and `status` where they hold no times: a time out of
//! range, or in another form than RFC 3339, would refuse the whole object.

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
    /// Its metadata.
    fn metadata(&self) -> &Metadata;
}

/// Metadata of an object: the fields that are read. `managedFields` is none of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Its name.
    pub name: Option<String>,
    /// Its namespace; `None` for a Node.
    pub namespace: Option<String>,
    /// Its UID.
    pub uid: Option<String>,
    /// Its version in the API server.
    pub resource_version: Option<String>,
    /// When the API server stored it first, seconds since 1970. `None` if that is no time of this calendar.
    #[serde(deserialize_with = "seconds")]
    pub creation_timestamp: Option<i64>,
    /// The object is being deleted.
    #[serde(deserialize_with = "is_present")]
    pub deletion_timestamp: bool,
    /// Its labels.
    #[serde(deserialize_with = "map")]
    pub labels: Labels,
    /// Its annotations.
    #[serde(deserialize_with = "map")]
    pub annotations: Annotations,
}

impl Metadata {
    /// The name of a namespaced object. One without a namespace is in `default`, as `kubectl` has it.
    #[must_use]
    pub fn object_name(&self) -> ObjectName {
        let namespace = self.namespace.as_deref().filter(|text| !text.is_empty());
        ObjectName::new(
            name(namespace.unwrap_or("default")),
            name(self.name.as_deref().unwrap_or_default()),
        )
    }

    /// The name of a Node, which has no namespace.
    #[must_use]
    pub fn node_name(&self) -> ObjectName {
        ObjectName::new("", name(self.name.as_deref().unwrap_or_default()))
    }
}

/// The labels that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Labels {
    /// The Service that a slice belongs to.
    #[serde(rename = "kubernetes.io/service-name")]
    pub service_name: Option<String>,
    /// The zone of a Node.
    #[serde(rename = "topology.kubernetes.io/zone")]
    pub zone: Option<String>,
    /// Another proxy serves the object.
    #[serde(
        rename = "service.kubernetes.io/service-proxy-name",
        deserialize_with = "is_present"
    )]
    pub other_proxy: bool,
    /// The slice belongs to a headless Service.
    #[serde(
        rename = "service.kubernetes.io/headless",
        deserialize_with = "is_present"
    )]
    pub headless: bool,
}

/// The annotations that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Annotations {
    /// The scheduler of a Service.
    #[serde(rename = "kube-ipvs.io/scheduler")]
    pub scheduler: Option<String>,
    /// When the change was made that a slice comes from (`EndpointsLastChangeTriggerTime`,
    /// staging/src/k8s.io/api/core/v1/annotation_key_constants.go, Kubernetes 1.34).
    #[serde(rename = "endpoints.kubernetes.io/last-change-trigger-time")]
    pub trigger_time: Option<String>,
    /// Ends a list that is streamed (KEP-3157).
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

kubernetes!(Service, EndpointSlice, Endpoints, Node, Unread);

/// An object of any kind of which nothing but the metadata is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Unread {
    /// Its metadata.
    #[serde(deserialize_with = "map")]
    pub metadata: Metadata,
}

/// core/v1 Service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its metadata.
    #[serde(deserialize_with = "map")]
    pub metadata: Metadata,
    /// Its specification.
    #[serde(deserialize_with = "map")]
    pub spec: core::ServiceSpec,
    /// Its status.
    #[serde(deserialize_with = "map")]
    pub status: ServiceStatus,
}

/// The status of a Service. Its conditions hold times, and are not read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// The load balancer's addresses.
    pub load_balancer: Option<core::LoadBalancerStatus>,
}

/// discovery.k8s.io/v1 EndpointSlice.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// Its metadata.
    #[serde(deserialize_with = "map")]
    pub metadata: Metadata,
    /// `IPv4`, `IPv6` or `FQDN`.
    #[serde(deserialize_with = "or_default")]
    pub address_type: String,
    /// Its endpoints.
    #[serde(deserialize_with = "or_default")]
    pub endpoints: Vec<discovery::Endpoint>,
    /// The ports of each endpoint.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<discovery::EndpointPort>,
}

/// core/v1 Endpoints.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Endpoints {
    /// Its metadata.
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
    /// Its metadata.
    #[serde(deserialize_with = "map")]
    pub metadata: Metadata,
    /// Its specification.
    #[serde(deserialize_with = "map")]
    pub spec: NodeSpec,
    /// Its status.
    #[serde(deserialize_with = "map")]
    pub status: NodeStatus,
}

/// The specification of a Node. Times of taints are not read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// The network of its pods.
    #[serde(rename = "podCIDR")]
    pub pod_cidr: Option<String>,
    /// The networks of its pods, one of each family.
    #[serde(rename = "podCIDRs", deserialize_with = "or_default")]
    pub pod_cidrs: Vec<String>,
    /// Its taints.
    #[serde(deserialize_with = "or_default")]
    pub taints: Vec<Taint>,
}

/// A taint of a Node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Taint {
    /// Its key.
    #[serde(deserialize_with = "or_default")]
    pub key: String,
}

/// The status of a Node. Its conditions hold times, and are not read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Its addresses.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<core::NodeAddress>,
}

/// Decodes the JSON text of one object.
///
/// # Errors
///
/// A field that is read has another type than it should, or `text` is no JSON.
pub fn decode<K: DeserializeOwned>(text: &str) -> Result<K, Undecodable> {
    // The path costs time, and is needed where something is wrong alone.
    if let Ok(object) = serde_json::from_str(text) {
        return Ok(object);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| Undecodable {
        field: error.path().to_string().into(),
        problem: error.inner().to_string().into(),
    })
}

/// A JSON object, or `null`, for which Go writes an empty one. Derived code alone takes an array for the fields of a struct in
/// their order.
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

/// `null` is what Go writes for an empty list.
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
