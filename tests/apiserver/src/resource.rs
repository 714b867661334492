//! The kinds this server knows, and the API groups it serves them under.

use serde_json::{Value, json};

/// A kind of object in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// core/v1 Namespace.
    Namespaces,
    /// core/v1 Node.
    Nodes,
    /// core/v1 Service.
    Services,
    /// core/v1 Endpoints.
    Endpoints,
    /// discovery.k8s.io/v1 EndpointSlice.
    EndpointSlices,
    /// core/v1 Event and events.k8s.io/v1 Event: one store, two spellings.
    Events,
}

impl Resource {
    /// Every kind, in the order of their shelves in the store.
    pub const ALL: [Self; 6] = [
        Self::Namespaces,
        Self::Nodes,
        Self::Services,
        Self::Endpoints,
        Self::EndpointSlices,
        Self::Events,
    ];

    /// The kind with this plural name (`services`).
    #[must_use]
    pub fn from_plural(plural: &str) -> Option<Self> {
        APIS.iter().find(|a| a.plural == plural).map(|a| a.resource)
    }

    /// The spelling in which objects of this kind are stored.
    #[must_use]
    pub fn storage(self) -> &'static Api {
        match self {
            Self::Namespaces => &APIS[0],
            Self::Nodes => &APIS[1],
            Self::Services => &APIS[2],
            Self::Endpoints => &APIS[3],
            Self::Events => &APIS[4],
            Self::EndpointSlices => &APIS[5],
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// One resource as one API group serves it.
#[derive(Debug, PartialEq, Eq)]
pub struct Api {
    /// The stored kind.
    pub resource: Resource,
    /// The API group; empty for core.
    pub group: &'static str,
    /// The name in paths, such as `services`.
    pub plural: &'static str,
    /// The kind, such as `Service`.
    pub kind: &'static str,
    /// True if objects live in a namespace.
    pub namespaced: bool,
    /// True if there is a `/status` subresource.
    pub has_status: bool,
}

/// Everything served; all of it is version `v1`.
pub static APIS: [Api; 7] = [
    Api {
        resource: Resource::Namespaces,
        group: "",
        plural: "namespaces",
        kind: "Namespace",
        namespaced: false,
        has_status: true,
    },
    Api {
        resource: Resource::Nodes,
        group: "",
        plural: "nodes",
        kind: "Node",
        namespaced: false,
        has_status: true,
    },
    Api {
        resource: Resource::Services,
        group: "",
        plural: "services",
        kind: "Service",
        namespaced: true,
        has_status: true,
    },
    Api {
        resource: Resource::Endpoints,
        group: "",
        plural: "endpoints",
        kind: "Endpoints",
        namespaced: true,
        has_status: false,
    },
    Api {
        resource: Resource::Events,
        group: "",
        plural: "events",
        kind: "Event",
        namespaced: true,
        has_status: false,
    },
    Api {
        resource: Resource::EndpointSlices,
        group: "discovery.k8s.io",
        plural: "endpointslices",
        kind: "EndpointSlice",
        namespaced: true,
        has_status: false,
    },
    Api {
        resource: Resource::Events,
        group: "events.k8s.io",
        plural: "events",
        kind: "Event",
        namespaced: true,
        has_status: false,
    },
];

/// The pairs of field names that differ between core/v1 and events.k8s.io/v1 Events.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

impl Api {
    /// The API with this group and plural name, if served.
    #[must_use]
    pub fn find(group: &str, plural: &str) -> Option<&'static Self> {
        APIS.iter().find(|a| a.group == group && a.plural == plural)
    }

    /// The API of an object, by its `apiVersion` and `kind`.
    #[must_use]
    pub fn of(object: &Value) -> Option<&'static Self> {
        let version = object["apiVersion"].as_str()?;
        let kind = object["kind"].as_str()?;
        APIS.iter()
            .find(|a| a.kind == kind && a.api_version() == version)
    }

    /// `v1` or `group/v1`.
    #[must_use]
    pub fn api_version(&self) -> &'static str {
        match self.group {
            "discovery.k8s.io" => "discovery.k8s.io/v1",
            "events.k8s.io" => "events.k8s.io/v1",
            _ => "v1",
        }
    }

    /// The URL path of the collection, in a namespace or over all of them.
    #[must_use]
    pub fn collection_path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            "/api/v1".to_owned()
        } else {
            format!("/apis/{}/v1", self.group)
        };
        match namespace {
            Some(ns) if self.namespaced => format!("{root}/namespaces/{ns}/{}", self.plural),
            _ => format!("{root}/{}", self.plural),
        }
    }

    /// Returns true if stored objects must be respelled for this API.
    pub(crate) fn respelled(&self) -> bool {
        self.group == "events.k8s.io"
    }

    /// A stored object as this API spells it.
    pub(crate) fn encode(&self, stored: &Value) -> Value {
        let mut out = stored.clone();
        if self.respelled() {
            out["apiVersion"] = json!(self.api_version());
            rename(&mut out, |(core, new)| (core, new));
        }
        out
    }

    /// An object in this API's spelling as it is stored.
    pub(crate) fn decode(&self, mut object: Value) -> Value {
        if self.respelled() {
            object["apiVersion"] = json!("v1");
            rename(&mut object, |(core, new)| (new, core));
        }
        object
    }
}

fn rename(
    object: &mut Value,
    order: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    for pair in EVENT_FIELDS {
        let (from, to) = order(pair);
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
}
