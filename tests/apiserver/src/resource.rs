//! The kinds that this server supports. All of them are version `v1` of their API group.

use serde_json::Value;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// core/v1 Node.
    Nodes,
    /// core/v1 Service.
    Services,
    /// core/v1 Endpoints.
    Endpoints,
    /// discovery.k8s.io/v1 EndpointSlice.
    EndpointSlices,
    /// events.k8s.io/v1 Event.
    Events,
}

impl Resource {
    /// Every kind, in the order of the store.
    pub(crate) const ALL: [Self; 5] = [
        Self::Nodes,
        Self::Services,
        Self::Endpoints,
        Self::EndpointSlices,
        Self::Events,
    ];

    /// Returns `apiVersion`, the name in paths, and `kind`.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Nodes => ("v1", "nodes", "Node"),
            Self::Services => ("v1", "services", "Service"),
            Self::Endpoints => ("v1", "endpoints", "Endpoints"),
            Self::EndpointSlices => ("discovery.k8s.io/v1", "endpointslices", "EndpointSlice"),
            Self::Events => ("events.k8s.io/v1", "events", "Event"),
        }
    }

    pub(crate) fn api_version(self) -> &'static str {
        self.names().0
    }

    pub(crate) fn plural(self) -> &'static str {
        self.names().1
    }

    pub(crate) fn kind(self) -> &'static str {
        self.names().2
    }

    pub(crate) fn is_namespaced(self) -> bool {
        self != Self::Nodes
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// Returns the kind of a collection's path.
    pub(crate) fn find(api_version: &str, plural: &str) -> Option<Self> {
        let fits = |it: &Self| it.api_version() == api_version && it.plural() == plural;
        Self::ALL.into_iter().find(fits)
    }

    /// Returns the kind of an object, by its `apiVersion` and `kind`.
    pub(crate) fn of(object: &Value) -> Option<Self> {
        let fits =
            |it: &Self| object["apiVersion"] == it.api_version() && object["kind"] == it.kind();
        Self::ALL.into_iter().find(fits)
    }

    /// Returns the URL path of an object; with an empty name, of the collection in the namespace.
    pub(crate) fn path(self, namespace: &str, name: &str) -> String {
        let root = match self.api_version() {
            "v1" => "/api/v1".to_owned(),
            version => format!("/apis/{version}"),
        };
        let place = match self.is_namespaced() {
            true => format!("{root}/namespaces/{namespace}"),
            false => root,
        };
        format!("{place}/{}/{name}", self.plural())
            .trim_end_matches('/')
            .to_owned()
    }

    /// Returns the name in messages: `services`, `endpointslices.discovery.k8s.io`.
    pub(crate) fn qualified(self) -> String {
        match self.api_version().strip_suffix("/v1") {
            Some(group) => format!("{}.{group}", self.plural()),
            None => self.plural().to_owned(),
        }
    }
}
