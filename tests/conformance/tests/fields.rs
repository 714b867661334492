//! `fields.txt` has every field that `docs/semantics.md` must explain: those of the deserialised
//! types, and those of the configuration. `cargo xtask tidy` compares the two.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use model::policy::{PREFIX, PolicyField};
use serde::Deserialize;
use serde::de::value::Error;
use serde::de::{Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// A deserializer that records the names of a struct's fields and then fails.
struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("noted"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Returns the fields of `T` behind `prefix`, except `others`, which are collected separately or
/// are the same in every object. The list is complete as long as each of `others` is collected too.
fn of<'de, T: Deserialize<'de>>(prefix: &str, others: &[&str]) -> Vec<String> {
    let mut names: &[&str] = &[];
    let noted = T::deserialize(Names(&mut names)).err();
    assert!(noted.is_some() && !names.is_empty(), "{prefix}: no struct");
    for other in others {
        assert!(names.contains(other), "{prefix}{other} is gone");
    }
    (names.iter())
        .filter(|name| !others.contains(name))
        .map(|name| format!("{prefix}{name}"))
        .collect()
}

/// Fields of an object's metadata that are read: names, a time, labels and annotations. No type
/// lists them.
const METADATA: [&str; 13] = [
    "Service metadata.name",
    "Service metadata.namespace",
    "Service metadata.creationTimestamp",
    "Service metadata.labels[service.kubernetes.io/service-proxy-name]",
    "Service metadata.labels[service.kubernetes.io/headless]",
    "Service metadata.annotations[service.kubernetes.io/topology-mode]",
    "EndpointSlice metadata.name",
    "EndpointSlice metadata.namespace",
    "EndpointSlice metadata.labels[kubernetes.io/service-name]",
    "EndpointSlice metadata.labels[service.kubernetes.io/service-proxy-name]",
    "EndpointSlice metadata.labels[service.kubernetes.io/headless]",
    "Node metadata.name",
    "Node metadata.labels[topology.kubernetes.io/zone]",
];

/// Fields that are newer than the API of the types (feature `earliest` of k8s-openapi, Kubernetes
/// 1.33), up to Kubernetes 1.37. None of them is read, otherwise a type would have it.
const NEWER: [&str; 2] = [
    "Node spec.podPreemptionPolicy",
    "Node status.declaredFeatures",
];

/// Fields of a configuration that identify its kind, and are in no table.
const KIND: [&str; 2] = ["Configuration apiVersion", "Configuration kind"];

fn service() -> Vec<String> {
    let spec = "Service spec.";
    let affinity = format!("{spec}sessionAffinityConfig.");
    let status = "Service status.";
    let balancer = format!("{status}loadBalancer.");
    [
        of::<core::Service>("Service ", &WHOLE),
        of::<core::ServiceSpec>(spec, &["ports", "sessionAffinityConfig"]),
        of::<core::ServicePort>(&format!("{spec}ports[]."), &[]),
        of::<core::SessionAffinityConfig>(&affinity, &["clientIP"]),
        of::<core::ClientIPConfig>(&format!("{affinity}clientIP."), &[]),
        of::<core::ServiceStatus>(status, &["loadBalancer"]),
        of::<core::LoadBalancerStatus>(&balancer, &["ingress"]),
        of::<core::LoadBalancerIngress>(&format!("{balancer}ingress[]."), &[]),
    ]
    .concat()
}

fn endpoint_slice() -> Vec<String> {
    let endpoint = "EndpointSlice endpoints[].";
    let hints = format!("{endpoint}hints.");
    let others = ["apiVersion", "kind", "metadata", "endpoints", "ports"];
    [
        of::<discovery::EndpointSlice>("EndpointSlice ", &others),
        of::<discovery::Endpoint>(endpoint, &["conditions", "hints"]),
        of::<discovery::EndpointConditions>(&format!("{endpoint}conditions."), &[]),
        of::<discovery::EndpointHints>(&hints, &["forNodes", "forZones"]),
        of::<discovery::ForNode>(&format!("{hints}forNodes[]."), &[]),
        of::<discovery::ForZone>(&format!("{hints}forZones[]."), &[]),
        of::<discovery::EndpointPort>("EndpointSlice ports[].", &[]),
    ]
    .concat()
}

fn node() -> Vec<String> {
    [
        of::<core::Node>("Node ", &WHOLE),
        of::<core::NodeSpec>("Node spec.", &[]),
        of::<core::NodeStatus>("Node status.", &["addresses"]),
        of::<core::NodeAddress>("Node status.addresses[].", &[]),
    ]
    .concat()
}

/// Parts of an object with a specification and a status.
const WHOLE: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

fn configuration() -> impl Iterator<Item = String> {
    let fields = sources::config::table::FIELDS.iter();
    fields.map(|field| format!("Configuration {}", field.path))
}

fn policy() -> impl Iterator<Item = String> {
    let annotations = PolicyField::ALL.iter().map(|field| field.annotation());
    annotations.map(|name| format!("Service metadata.annotations[{PREFIX}{name}]"))
}

fn fields() -> BTreeSet<String> {
    let beside = [METADATA.as_slice(), &NEWER, &KIND].concat();
    (beside.into_iter().map(str::to_owned))
        .chain(service())
        .chain(endpoint_slice())
        .chain(node())
        .chain(policy())
        .chain(configuration())
        .collect()
}

#[test]
fn fields_are_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fields.txt");
    let text: String = (fields().iter())
        .map(|field| format!("{field}\n"))
        .collect();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, text).expect("the list is written");
        return;
    }
    let found = fs::read_to_string(&path).expect("the list is there");
    let found: BTreeSet<String> = found.lines().map(str::to_owned).collect();
    let fields = fields();
    let new: Vec<_> = fields.difference(&found).collect();
    let gone: Vec<_> = found.difference(&fields).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "fields.txt lacks {new:?}, and {gone:?} are gone: run `BLESS=1 cargo test -p conformance --test fields`, \
         then say in docs/semantics.md what a new field does"
    );
}

#[test]
fn types_lack_the_newer_fields() {
    let known: Vec<String> = [service(), endpoint_slice(), node()].concat();
    for newer in NEWER {
        assert!(
            !known.iter().any(|field| field == newer),
            "{newer} is in the types now"
        );
    }
}
