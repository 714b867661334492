//! Names of Kubernetes objects.

#[cfg(test)]
mod tests;

use arcstr::ArcStr;
use ipvs::Protocol;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// A name as Kubernetes writes it. A clone shares the text. It is a pointer of one word, half of an
/// `Arc<str>`: tens of thousands of Services have each of their names in several maps.
pub type Name = ArcStr;

/// Text before the name of a VirtualServer.
const VIRTUAL_SERVER: &str = "VirtualServer ";

/// Kind of the objects among which an [`ObjectName`] is unique.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameKind {
    /// Objects of Kubernetes.
    #[default]
    Kubernetes,
    /// VirtualServers, which exist only in files.
    VirtualServer,
}

/// Name of a namespaced object. Prints as `namespace/name`, for a VirtualServer as `VirtualServer
/// namespace/name`.
///
/// A Service and a VirtualServer with the same namespace and name have different names, since both
/// may own entries of the tables. VirtualServers follow all other objects in the order of names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ObjectName {
    /// The kind of the object.
    pub kind: NameKind,
    /// The namespace; empty for objects without one, such as Nodes.
    pub namespace: Name,
    /// The name within the namespace.
    pub name: Name,
}

impl ObjectName {
    /// Returns the name of the object `name` in `namespace`.
    #[must_use]
    pub fn new(namespace: impl Into<Name>, name: impl Into<Name>) -> Self {
        Self {
            kind: NameKind::Kubernetes,
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Returns the name of the VirtualServer `name` in `namespace`.
    #[must_use]
    pub fn virtual_server(namespace: impl Into<Name>, name: impl Into<Name>) -> Self {
        Self {
            kind: NameKind::VirtualServer,
            ..Self::new(namespace, name)
        }
    }

    /// Parses the name of an owner of table entries as it prints: `shop/web` for a Service and
    /// `VirtualServer shop/web`. The namespace of a name alone is `default`. Returns `None` for any
    /// other text.
    #[must_use]
    pub fn parse_owner(text: &str) -> Option<Self> {
        let of_virtual_server = text.strip_prefix(VIRTUAL_SERVER);
        let rest = of_virtual_server.unwrap_or(text);
        let (namespace, name) = rest.split_once('/').unwrap_or(("default", rest));
        let is_part = |part: &str| !part.is_empty() && !part.contains(['/', ' ']);
        let new = match of_virtual_server {
            Some(_) => Self::virtual_server,
            None => Self::new,
        };
        (is_part(namespace) && is_part(name)).then(|| new(namespace, name))
    }

    /// Returns true if this is the name of a VirtualServer.
    #[must_use]
    pub fn is_virtual_server(&self) -> bool {
        self.kind == NameKind::VirtualServer
    }

    /// Returns the kind of an owner of table entries: `Service` or `VirtualServer`.
    #[must_use]
    pub fn owner_kind(&self) -> &'static str {
        match self.kind {
            NameKind::Kubernetes => "Service",
            NameKind::VirtualServer => "VirtualServer",
        }
    }

    /// Returns `default/kubernetes`, the name of the API server's Service.
    #[must_use]
    pub fn api_server() -> Self {
        Self::new("default", "kubernetes")
    }

    /// Returns true if this is `default/kubernetes`, the Service through which a node reaches its
    /// API server. It is programmed before all other Services (deviation D1).
    #[must_use]
    pub fn is_api_server(&self) -> bool {
        self.kind == NameKind::Kubernetes
            && &*self.namespace == "default"
            && &*self.name == "kubernetes"
    }
}

impl Ord for ObjectName {
    fn cmp(&self, other: &Self) -> Ordering {
        // Names in one namespace share its text, which then need not be compared.
        let namespace = || match Name::ptr_eq(&self.namespace, &other.namespace) {
            true => Ordering::Equal,
            false => self.namespace.cmp(&other.namespace),
        };
        (self.kind.cmp(&other.kind))
            .then_with(namespace)
            .then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for ObjectName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_virtual_server() {
            f.write_str(VIRTUAL_SERVER)?;
        }
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// One port of a Service, or a VirtualServer. Prints as `namespace/name:port`, as `namespace/name`
/// if the port has no name, and as `VirtualServer namespace/name`.
///
/// The protocol is part of the identity: a Service may use one port name once for each protocol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePortName {
    /// The Service or VirtualServer.
    pub service: ObjectName,
    /// The port's name; empty for a VirtualServer, and if the Service's only port has no name.
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

/// UID of a Kubernetes object: a UUID (RFC 9562). Prints as the API server writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Uid([u8; 16]);

impl Uid {
    /// Number of hexadecimal digits in each part between hyphens.
    const PARTS: [usize; 5] = [8, 4, 4, 4, 12];

    /// Parses a UUID; returns `None` if `text` is not a UUID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let lengths = text.split('-').map(str::len);
        let is_hex = |byte: u8| byte == b'-' || byte.is_ascii_hexdigit();
        if !lengths.eq(Self::PARTS) || !text.bytes().all(is_hex) {
            return None;
        }
        let number = u128::from_str_radix(&text.replace('-', ""), 16).ok()?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", u128::from_be_bytes(self.0));
        let mut rest = &*digits;
        for (number, length) in Self::PARTS.into_iter().enumerate() {
            let (part, after) = rest.split_at(length);
            let hyphen = if number > 0 { "-" } else { "" };
            write!(f, "{hyphen}{part}")?;
            rest = after;
        }
        Ok(())
    }
}
