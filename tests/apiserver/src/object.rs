//! One version of one object, serialised once.

use crate::resource::Resource;
use bytes::Bytes;
use serde_json::{Value, json};

/// Namespace (empty for cluster-scoped kinds) and name of an object. Its order is the order of
/// lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// Creates a key. The namespace is empty for a cluster-scoped object.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Returns the key of an object from its metadata. Missing fields are empty.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let field = |name: &str| {
            object["metadata"][name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            namespace: field("namespace"),
            name: field("name"),
        }
    }
}

/// One stored version of an object.
#[derive(Debug)]
pub struct Object {
    /// Namespace and name.
    pub key: Key,
    /// The whole object, `resourceVersion` included.
    pub value: Value,
    /// Revision of this version.
    pub revision: u64,
    /// JSON text after `apiVersion` and `kind`, from the next member's quote to the last brace.
    /// Lists leave the two out; single objects and events have them.
    tail: Bytes,
}

impl Object {
    /// Creates a version of an object. Sets `resourceVersion` to `revision`.
    pub(crate) fn new(resource: Resource, mut value: Value, revision: u64) -> Self {
        value["metadata"]["resourceVersion"] = json!(revision.to_string());
        let key = Key::of(&value);
        if let Some(map) = value.as_object_mut() {
            map.remove("apiVersion");
            map.remove("kind");
        }
        let text = value.to_string();
        let tail = Bytes::from(text).slice(1..);
        if let Some(map) = value.as_object_mut() {
            map.insert("apiVersion".into(), json!(resource.api_version()));
            map.insert("kind".into(), json!(resource.kind()));
        }
        Self {
            key,
            value,
            revision,
            tail,
        }
    }

    /// Appends the object with `apiVersion` and `kind`.
    pub(crate) fn write_full(&self, resource: Resource, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"kind\":\"");
        out.extend_from_slice(resource.kind().as_bytes());
        out.extend_from_slice(b"\",\"apiVersion\":\"");
        out.extend_from_slice(resource.api_version().as_bytes());
        out.extend_from_slice(b"\",");
        out.extend_from_slice(&self.tail);
    }

    /// Appends the object as an item of a list, without `apiVersion` and `kind`.
    pub(crate) fn write_item(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        out.extend_from_slice(&self.tail);
    }
}
