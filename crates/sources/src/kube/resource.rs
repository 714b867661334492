//! Watched resources and their conversion to types of the model.

use std::collections::BTreeMap;

use model::cluster::Undecodable;
use model::{ClusterEvent, Object, ObjectKind, ObjectName};
use serde_json::value::RawValue;

use super::settings::{KubeSettings, Nodes};
use crate::objects::{
    self, EndpointSlice, Endpoints, Kubernetes, Metadata, MetadataOnly, Node, Service,
};
use crate::{convert, filter};

/// Selection of the objects of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) labels: Option<String>,
    pub(super) fields: Option<String>,
    /// True if a server that refuses `fields` may send all objects.
    pub(super) fields_are_optional: bool,
}

/// Selection of EndpointSlices and Endpoints.
fn slices() -> Selection {
    Selection {
        labels: Some(filter::SLICES.to_owned()),
        ..Selection::default()
    }
}

/// Selection of the endpoints in `namespace`, those of headless Services included.
pub(super) fn in_namespace(namespace: &str) -> Selection {
    // As EscapeValue of k8s.io/apimachinery/pkg/fields does.
    let mut value = String::new();
    for character in namespace.chars() {
        if matches!(character, '\\' | ',' | '=') {
            value.push('\\');
        }
        value.push(character);
    }
    Selection {
        fields: Some(format!("metadata.namespace={value}")),
        ..Selection::default()
    }
}

/// Names of the slices that were sent for each Endpoints object, since its next version may have
/// fewer slices.
#[derive(Debug, Default)]
pub(super) struct Memory {
    parts: BTreeMap<ObjectName, Vec<ObjectName>>,
    /// Names from before the list that is being read.
    listed_before: BTreeMap<ObjectName, Vec<ObjectName>>,
}

impl Memory {
    /// Begins a list. Objects that it does not contain are deleted.
    pub(super) fn start_list(&mut self) {
        // Names of an aborted list are kept.
        self.listed_before.append(&mut self.parts);
    }

    /// Ends a complete list.
    pub(super) fn end_list(&mut self) {
        self.listed_before = BTreeMap::new();
    }
}

/// A watched resource.
pub(super) trait Watched: Kubernetes + Send + 'static {
    /// Kind of its objects in events.
    const KIND: ObjectKind;
    /// API group; empty for the core group.
    const GROUP: &'static str;
    /// Name in RBAC rules.
    const PLURAL: &'static str;
    /// Path of its list.
    const PATH: &'static str;

    /// Returns its name in messages, with the API group.
    fn resource() -> String {
        match Self::GROUP {
            "" => Self::PLURAL.to_owned(),
            group => format!("{}.{group}", Self::PLURAL),
        }
    }

    /// Returns the selection of objects, as in kube-proxy.
    fn selection(settings: &KubeSettings) -> Selection;

    /// Returns the name of the object with this metadata.
    fn name(metadata: &Metadata) -> ObjectName {
        metadata.object_name()
    }

    /// Returns the events for an existing object.
    fn upsert(self, memory: &mut Memory) -> Vec<ClusterEvent>;

    /// Returns the events for a deleted object.
    fn delete(name: ObjectName, _memory: &mut Memory) -> Vec<ClusterEvent> {
        vec![ClusterEvent::Delete(Self::KIND, name)]
    }

    /// Returns the names that an object has in the model. They stay known while the object cannot
    /// be decoded.
    fn parts(name: ObjectName, _memory: &mut Memory) -> Vec<ObjectName> {
        vec![name]
    }
}

/// Events for an object's text.
pub(super) struct Decoded {
    pub(super) events: Vec<ClusterEvent>,
    /// Resource version of the object.
    pub(super) version: Option<String>,
}

/// Decodes the text of an existing object. An object that cannot be decoded keeps its last known
/// state.
pub(super) fn upsert<K: Watched>(text: &RawValue, memory: &mut Memory) -> Decoded {
    match decode_named::<K>(text) {
        Ok(object) => {
            let version = object.metadata().resource_version.clone();
            let events = object.upsert(memory);
            Decoded { events, version }
        }
        Err(error) => {
            let metadata = metadata(text);
            let name = K::name(&metadata);
            tracing::debug!(resource = K::PLURAL, object = %name, %error, "failed to decode an object; it keeps its last known state");
            let events = (K::parts(name, memory).into_iter())
                .map(|name| ClusterEvent::Undecodable(K::KIND, name, error.clone()))
                .collect();
            let version = metadata.resource_version;
            Decoded { events, version }
        }
    }
}

/// Decodes an object. An object without a name is an error, since several of them could not be
/// distinguished.
fn decode_named<K: Watched>(text: &RawValue) -> Result<K, Undecodable> {
    let object: K = objects::decode(text.get())?;
    let name = object.metadata().name.as_deref();
    match name.unwrap_or_default() {
        "" => Err(Undecodable {
            field: "metadata.name".into(),
            problem: "there is no name".into(),
        }),
        _ => Ok(object),
    }
}

/// Decodes the text of a deleted object.
pub(super) fn delete<K: Watched>(text: &RawValue, memory: &mut Memory) -> Decoded {
    let metadata = metadata(text);
    Decoded {
        events: K::delete(K::name(&metadata), memory),
        version: metadata.resource_version,
    }
}

/// Returns the metadata of any object, as far as it can be decoded.
pub(super) fn metadata(text: &RawValue) -> Metadata {
    let object: MetadataOnly = objects::decode(text.get()).unwrap_or_default();
    object.metadata
}

impl Watched for Service {
    const KIND: ObjectKind = ObjectKind::Service;
    const GROUP: &'static str = "";
    const PLURAL: &'static str = "services";
    const PATH: &'static str = "/api/v1/services";

    fn selection(_settings: &KubeSettings) -> Selection {
        Selection {
            labels: Some(filter::SERVICES.to_owned()),
            fields: Some(filter::SERVICES_WITH_ADDRESSES.to_owned()),
            fields_are_optional: true,
        }
    }

    fn upsert(self, _memory: &mut Memory) -> Vec<ClusterEvent> {
        let service = convert::service(&self);
        vec![ClusterEvent::Upsert(Object::Service(service))]
    }
}

impl Watched for EndpointSlice {
    const KIND: ObjectKind = ObjectKind::EndpointSlice;
    const GROUP: &'static str = "discovery.k8s.io";
    const PLURAL: &'static str = "endpointslices";
    const PATH: &'static str = "/apis/discovery.k8s.io/v1/endpointslices";

    fn selection(_settings: &KubeSettings) -> Selection {
        slices()
    }

    fn upsert(self, _memory: &mut Memory) -> Vec<ClusterEvent> {
        let slice = convert::slice(&self);
        vec![ClusterEvent::Upsert(Object::EndpointSlice(slice))]
    }
}

impl Watched for Endpoints {
    const KIND: ObjectKind = ObjectKind::EndpointSlice;
    const GROUP: &'static str = "";
    const PLURAL: &'static str = "endpoints";
    const PATH: &'static str = "/api/v1/endpoints";

    fn selection(_settings: &KubeSettings) -> Selection {
        slices()
    }

    fn upsert(self, memory: &mut Memory) -> Vec<ClusterEvent> {
        let slices = convert::endpoints(&self);
        let names: Vec<_> = slices.iter().map(|slice| slice.name.clone()).collect();
        let owner = self.metadata.object_name();
        let before = memory.parts.insert(owner, names.clone());
        let mut events: Vec<_> = (before.into_iter().flatten())
            .filter(|name| !names.contains(name))
            .map(|name| ClusterEvent::Delete(Self::KIND, name))
            .collect();
        let slices = slices.into_iter().map(Object::EndpointSlice);
        events.extend(slices.map(ClusterEvent::Upsert));
        events
    }

    fn delete(name: ObjectName, memory: &mut Memory) -> Vec<ClusterEvent> {
        let before = memory.parts.remove(&name);
        (before.into_iter().flatten())
            .map(|name| ClusterEvent::Delete(Self::KIND, name))
            .collect()
    }

    fn parts(name: ObjectName, memory: &mut Memory) -> Vec<ObjectName> {
        let Memory {
            parts,
            listed_before,
        } = memory;
        if let Some(known) = listed_before.get(&name) {
            (parts.entry(name.clone())).or_insert_with(|| known.clone());
        }
        parts.get(&name).cloned().unwrap_or_else(|| vec![name])
    }
}

impl Watched for Node {
    const KIND: ObjectKind = ObjectKind::Node;
    const GROUP: &'static str = "";
    const PLURAL: &'static str = "nodes";
    const PATH: &'static str = "/api/v1/nodes";

    fn selection(settings: &KubeSettings) -> Selection {
        Selection {
            labels: None,
            fields: match settings.nodes {
                Nodes::Own => Some(format!("metadata.name={}", settings.node_name)),
                Nodes::All => None,
            },
            fields_are_optional: false,
        }
    }

    fn name(metadata: &Metadata) -> ObjectName {
        metadata.node_name()
    }

    fn upsert(self, _memory: &mut Memory) -> Vec<ClusterEvent> {
        vec![ClusterEvent::Upsert(Object::Node(convert::node(&self)))]
    }
}
