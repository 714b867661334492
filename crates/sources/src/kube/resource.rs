//! The resources that are watched, and their conversion into our types.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::api::core::v1::{Endpoints, Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Resource;
use model::{ClusterEvent, Object, ObjectKind, ObjectName};
use serde::de::DeserializeOwned;

use super::settings::{KubeSettings, Nodes};
use crate::{convert, filter};

/// Selection of the objects of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) labels: Option<String>,
    pub(super) fields: Option<String>,
}

/// Names under which an Endpoints object went out, because it may have fewer parts the next time.
#[derive(Debug, Default)]
pub(super) struct Memory {
    parts: BTreeMap<ObjectName, Vec<ObjectName>>,
}

/// A resource that is watched.
pub(super) trait Watched:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static
{
    /// As what it is delivered.
    const KIND: ObjectKind;
    /// The subject of troubles with it.
    const SUBJECT: &'static str;
    /// Its name in RBAC rules.
    const PLURAL: &'static str;

    /// Its name in messages, with the API group.
    fn resource() -> String {
        match &*Self::group(&()) {
            "" => Self::PLURAL.to_owned(),
            group => format!("{}.{group}", Self::PLURAL),
        }
    }

    /// Returns the selection of objects: kube-proxy's label selector, unless said otherwise.
    fn selection(_settings: &KubeSettings) -> Selection {
        Selection {
            labels: Some(filter::SELECTOR.to_owned()),
            fields: None,
        }
    }

    /// Returns the events for an object that exists.
    fn upsert(self, memory: &mut Memory) -> Vec<ClusterEvent>;

    /// Returns the events for an object that is gone.
    fn delete(self, memory: &mut Memory) -> Vec<ClusterEvent>;
}

impl Watched for Service {
    const KIND: ObjectKind = ObjectKind::Service;
    const SUBJECT: &'static str = "services";
    const PLURAL: &'static str = "services";

    fn upsert(self, _memory: &mut Memory) -> Vec<ClusterEvent> {
        let service = convert::service(&self);
        vec![ClusterEvent::Upsert(Object::Service(service))]
    }

    fn delete(self, _memory: &mut Memory) -> Vec<ClusterEvent> {
        let name = convert::object_name(&self.metadata);
        vec![ClusterEvent::Delete(Self::KIND, name)]
    }
}

impl Watched for EndpointSlice {
    const KIND: ObjectKind = ObjectKind::EndpointSlice;
    const SUBJECT: &'static str = "endpointslices";
    const PLURAL: &'static str = "endpointslices";

    fn upsert(self, memory: &mut Memory) -> Vec<ClusterEvent> {
        match convert::slice(&self) {
            Some(slice) => vec![ClusterEvent::Upsert(Object::EndpointSlice(slice))],
            None => {
                tracing::info!(
                    slice = %convert::object_name(&self.metadata),
                    "an EndpointSlice without the label kubernetes.io/service-name is left out"
                );
                self.delete(memory)
            }
        }
    }

    fn delete(self, _memory: &mut Memory) -> Vec<ClusterEvent> {
        let name = convert::object_name(&self.metadata);
        vec![ClusterEvent::Delete(Self::KIND, name)]
    }
}

impl Watched for Endpoints {
    const KIND: ObjectKind = ObjectKind::EndpointSlice;
    const SUBJECT: &'static str = "endpointslices";
    const PLURAL: &'static str = "endpoints";

    fn upsert(self, memory: &mut Memory) -> Vec<ClusterEvent> {
        let slices = convert::endpoints(&self);
        let names: Vec<_> = slices.iter().map(|slice| slice.name.clone()).collect();
        let owner = convert::object_name(&self.metadata);
        let before = memory.parts.insert(owner, names.clone());
        let mut events: Vec<_> = (before.into_iter().flatten())
            .filter(|name| !names.contains(name))
            .map(|name| ClusterEvent::Delete(Self::KIND, name))
            .collect();
        let slices = slices.into_iter().map(Object::EndpointSlice);
        events.extend(slices.map(ClusterEvent::Upsert));
        events
    }

    fn delete(self, memory: &mut Memory) -> Vec<ClusterEvent> {
        let before = memory.parts.remove(&convert::object_name(&self.metadata));
        (before.into_iter().flatten())
            .map(|name| ClusterEvent::Delete(Self::KIND, name))
            .collect()
    }
}

impl Watched for Node {
    const KIND: ObjectKind = ObjectKind::Node;
    const SUBJECT: &'static str = "nodes";
    const PLURAL: &'static str = "nodes";

    fn selection(settings: &KubeSettings) -> Selection {
        Selection {
            labels: None,
            fields: match settings.nodes {
                Nodes::Own => Some(format!("metadata.name={}", settings.node_name)),
                Nodes::All => None,
            },
        }
    }

    fn upsert(self, _memory: &mut Memory) -> Vec<ClusterEvent> {
        vec![ClusterEvent::Upsert(Object::Node(convert::node(&self)))]
    }

    fn delete(self, _memory: &mut Memory) -> Vec<ClusterEvent> {
        let name = convert::node_name(&self.metadata);
        vec![ClusterEvent::Delete(Self::KIND, name)]
    }
}
