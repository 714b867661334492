//! Names of Kubernetes objects.

use std::fmt;
use std::sync::Arc;

use ipvs::Protocol;

/// A name as Kubernetes writes it. Cheap to clone.
pub type Name = Arc<str>;

/// A namespaced object's name. Prints as `namespace/name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// The namespace; empty for objects that have none, such as Nodes.
    pub namespace: Name,
    /// The name within the namespace.
    pub name: Name,
}

impl ObjectName {
    /// The object `name` in `namespace`.
    #[must_use]
    pub fn new(namespace: impl Into<Name>, name: impl Into<Name>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The Service of the API server, `default/kubernetes`.
    #[must_use]
    pub fn api_server() -> Self {
        Self::new("default", "kubernetes")
    }

    /// Returns true if this is `default/kubernetes`, the Service through which a node reaches its API server: it is programmed
    /// before all others (deviation D1).
    #[must_use]
    pub fn is_api_server(&self) -> bool {
        &*self.namespace == "default" && &*self.name == "kubernetes"
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// One port of a Service. Prints as `namespace/name:port`, without the colon where the port has no
/// name.
///
/// The protocol belongs to the identity: a Service may use one port name once for each protocol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePortName {
    /// The Service.
    pub service: ObjectName,
    /// The port's name; empty where a single port has none.
    pub port: Name,
    /// The port's protocol.
    pub protocol: Protocol,
}

impl fmt::Display for ServicePortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.service)?;
        if !self.port.is_empty() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}
