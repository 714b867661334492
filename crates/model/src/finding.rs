//! What is odd about the input, in words for the person who wrote it.

use std::fmt;

use crate::names::ObjectName;

/// One remark about one object. Findings never stop anything: the rest of the cluster is programmed
/// as if the object were not there, or as [`Finding::consequence`] says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What kind of remark, for search and for metrics.
    pub code: Code,
    /// The kind of the object, as Kubernetes writes it.
    pub kind: &'static str,
    /// The object.
    pub object: ObjectName,
    /// Path of the field, for example `spec.clusterIPs[0]`.
    pub field: String,
    /// What is wrong.
    pub problem: String,
    /// What was done instead.
    pub consequence: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {}: {}: {}; {}",
            self.code,
            self.code.level(),
            self.kind,
            self.object,
            self.field,
            self.problem,
            self.consequence
        )
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not do what its author meant.
    Warning,
    /// Something that was asked for is not there.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// The stable codes of findings. `KIV01xx` is about one object alone, `KIV02xx` about objects that
/// stand in each other's way, `KIV03xx` about what is on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// KIV0101: a Service's address is not an address.
    InvalidServiceAddress,
    /// KIV0102: a Service's port or protocol cannot be used.
    InvalidServicePort,
    /// KIV0103: an endpoint's address cannot be used.
    InvalidEndpointAddress,
    /// KIV0104: an endpoint port cannot be used.
    InvalidEndpointPort,
    /// KIV0201: two Services want the same address, port and protocol.
    ServiceClash,
    /// KIV0301: a virtual server that a Service wants belongs to somebody else.
    ForeignVirtualServer,
}

impl Code {
    /// Every code, in order.
    pub const ALL: [Self; 6] = [
        Self::InvalidServiceAddress,
        Self::InvalidServicePort,
        Self::InvalidEndpointAddress,
        Self::InvalidEndpointPort,
        Self::ServiceClash,
        Self::ForeignVirtualServer,
    ];

    /// The code as it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidServiceAddress => "KIV0101",
            Self::InvalidServicePort => "KIV0102",
            Self::InvalidEndpointAddress => "KIV0103",
            Self::InvalidEndpointPort => "KIV0104",
            Self::ServiceClash => "KIV0201",
            Self::ForeignVirtualServer => "KIV0301",
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::InvalidEndpointPort => Level::Warning,
            _ => Level::Error,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
