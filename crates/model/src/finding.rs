//! Problems of the input, worded for the person who wrote it.

mod index;

use std::fmt;

pub use self::index::{FindingChanges, FindingIndex};
use crate::names::ObjectName;

/// One remark about one object. Findings never stop anything: the rest of the cluster is programmed
/// as if the object were not there, or as [`Finding::consequence`] says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The kind of remark, for search and for metrics.
    pub code: Code,
    /// The kind of the object, as Kubernetes writes it.
    pub kind: &'static str,
    /// The object.
    pub object: ObjectName,
    /// Path of the field, for example `spec.clusterIPs[0]`.
    pub field: String,
    /// The problem.
    pub problem: String,
    /// The consequence: what was done instead.
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

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All is as asked; worth knowing when something looks odd.
    Info,
    /// Something does not do what its author meant.
    Warning,
    /// Something that was asked for is not there.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// The stable codes of findings. `KIV01xx` is about one object alone, `KIV02xx` about objects that
/// stand in each other's way, `KIV03xx` about what is on the node, `KIV04xx` about the node itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// KIV0101: a Service's address is not an address that can be served.
    InvalidServiceAddress,
    /// KIV0102: a Service's port, node port or protocol cannot be used.
    InvalidServicePort,
    /// KIV0103: an endpoint's address cannot be used.
    InvalidEndpointAddress,
    /// KIV0104: an endpoint port cannot be used.
    InvalidEndpointPort,
    /// KIV0105: a source range is not a network: it admits no client (deviation D11).
    InvalidSourceRange,
    /// KIV0106: all source ranges are of the other family: no client is admitted in this one (deviation D11).
    NoSourceRangeOfFamily,
    /// KIV0107: an external or load-balancer address is one of this node's own (deviation D8).
    OwnAddress,
    /// KIV0108: an external address is another node's (deviation D8).
    OtherNodesAddress,
    /// KIV0109: an external or load-balancer address is inside a protected network (deviation D8).
    ProtectedAddress,
    /// KIV0110: an external address is not allowed (deviation D9).
    ExternalIpNotAllowed,
    /// KIV0111: a traffic policy is Local and no endpoint is on this node.
    NoLocalEndpoints,
    /// KIV0112: a load balancer with policy Local has no health check, or one that cannot be used.
    NoHealthCheck,
    /// KIV0113: a node port is served nowhere, since the node has no address for it.
    NoNodePortAddress,
    /// KIV0114: a slice of a kind of addresses that no node can use.
    UnusableSlice,
    /// KIV0115: a Service names a scheduler that it cannot choose.
    InvalidScheduler,
    /// KIV0116: a Service asks for an address of the API server (deviation D22).
    ApiServerAddress,
    /// KIV0117: a Service asks for a port that the node itself uses at its addresses (deviation D22).
    HostPort,
    /// KIV0118: a Service asks for more than one Service may have (deviation D23).
    ServiceLimit,
    /// KIV0119: an object cannot be decoded.
    UndecodableObject,
    /// KIV0120: no slice belongs to a Service.
    NoSlices,
    /// KIV0121: no endpoint of a Service is ready.
    NoReadyEndpoint,
    /// KIV0122: no slice of a Service has a port of a name and protocol of the Service's.
    PortNotOffered,
    /// KIV0123: a Service has endpoints, and none of a family in which it has a cluster IP.
    NoEndpointOfFamily,
    /// KIV0124: an external or load-balancer address is of a family in which the Service has no cluster IP.
    OtherFamilyAddress,
    /// KIV0125: a load-balancer address is another node's (deviation D8).
    OtherNodesBalancer,
    /// KIV0126: an endpoint has several addresses.
    SeveralAddresses,
    /// KIV0127: a slice lacks the label that names its Service.
    UnlabelledSlice,
    /// KIV0201: two Services want the same address, port and protocol.
    ServiceClash,
    /// KIV0202: two Services want the same health-check node port.
    HealthCheckClash,
    /// KIV0301: a virtual server that a Service wants belongs to another program.
    ForeignVirtualServer,
    /// KIV0401: no Node has this node's name, so no endpoint counts as local.
    UnknownNode,
    /// KIV0402: this node's pods cannot be told from others.
    NoLocalDetection,
    /// KIV0403: a TCP connection that is idle is forgotten before its keepalive speaks (deviation D19).
    IdleTcpForgotten,
    /// KIV0404: the connection tracker forgets UDP flows before IPVS does (deviation D19).
    UdpTrackedTooBriefly,
    /// KIV0405: kube-proxy left something of another mode on the node.
    OtherModesLeftovers,
    /// KIV0406: INPUT of the packet filter drops packets to Services.
    InputDrops,
    /// KIV0407: a rule keeps packets to Services from connection tracking.
    NotTracked,
    /// KIV0408: the node lacks a family of addresses.
    MissingFamily,
    /// KIV0409: INPUT of the packet filter drops packets to Services that no other rule of it accepts.
    InputMayDrop,
    /// KIV0410: another program writes this node's tables, most likely a kube-proxy that started later.
    SecondProxy,
    /// KIV0415: a list lacks most objects, and is not confirmed yet (deviation D27).
    ShrunkList,
}

impl Code {
    /// Every code, in order.
    pub const ALL: [Self; 41] = [
        Self::InvalidServiceAddress,
        Self::InvalidServicePort,
        Self::InvalidEndpointAddress,
        Self::InvalidEndpointPort,
        Self::InvalidSourceRange,
        Self::NoSourceRangeOfFamily,
        Self::OwnAddress,
        Self::OtherNodesAddress,
        Self::ProtectedAddress,
        Self::ExternalIpNotAllowed,
        Self::NoLocalEndpoints,
        Self::NoHealthCheck,
        Self::NoNodePortAddress,
        Self::UnusableSlice,
        Self::InvalidScheduler,
        Self::ApiServerAddress,
        Self::HostPort,
        Self::ServiceLimit,
        Self::UndecodableObject,
        Self::NoSlices,
        Self::NoReadyEndpoint,
        Self::PortNotOffered,
        Self::NoEndpointOfFamily,
        Self::OtherFamilyAddress,
        Self::OtherNodesBalancer,
        Self::SeveralAddresses,
        Self::UnlabelledSlice,
        Self::ServiceClash,
        Self::HealthCheckClash,
        Self::ForeignVirtualServer,
        Self::UnknownNode,
        Self::NoLocalDetection,
        Self::IdleTcpForgotten,
        Self::UdpTrackedTooBriefly,
        Self::OtherModesLeftovers,
        Self::InputDrops,
        Self::NotTracked,
        Self::MissingFamily,
        Self::InputMayDrop,
        Self::SecondProxy,
        Self::ShrunkList,
    ];

    /// The code as it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidServiceAddress => "KIV0101",
            Self::InvalidServicePort => "KIV0102",
            Self::InvalidEndpointAddress => "KIV0103",
            Self::InvalidEndpointPort => "KIV0104",
            Self::InvalidSourceRange => "KIV0105",
            Self::NoSourceRangeOfFamily => "KIV0106",
            Self::OwnAddress => "KIV0107",
            Self::OtherNodesAddress => "KIV0108",
            Self::ProtectedAddress => "KIV0109",
            Self::ExternalIpNotAllowed => "KIV0110",
            Self::NoLocalEndpoints => "KIV0111",
            Self::NoHealthCheck => "KIV0112",
            Self::NoNodePortAddress => "KIV0113",
            Self::UnusableSlice => "KIV0114",
            Self::InvalidScheduler => "KIV0115",
            Self::ApiServerAddress => "KIV0116",
            Self::HostPort => "KIV0117",
            Self::ServiceLimit => "KIV0118",
            Self::UndecodableObject => "KIV0119",
            Self::NoSlices => "KIV0120",
            Self::NoReadyEndpoint => "KIV0121",
            Self::PortNotOffered => "KIV0122",
            Self::NoEndpointOfFamily => "KIV0123",
            Self::OtherFamilyAddress => "KIV0124",
            Self::OtherNodesBalancer => "KIV0125",
            Self::SeveralAddresses => "KIV0126",
            Self::UnlabelledSlice => "KIV0127",
            Self::ServiceClash => "KIV0201",
            Self::HealthCheckClash => "KIV0202",
            Self::ForeignVirtualServer => "KIV0301",
            Self::UnknownNode => "KIV0401",
            Self::NoLocalDetection => "KIV0402",
            Self::IdleTcpForgotten => "KIV0403",
            Self::UdpTrackedTooBriefly => "KIV0404",
            Self::OtherModesLeftovers => "KIV0405",
            Self::InputDrops => "KIV0406",
            Self::NotTracked => "KIV0407",
            Self::MissingFamily => "KIV0408",
            Self::InputMayDrop => "KIV0409",
            Self::SecondProxy => "KIV0410",
            Self::ShrunkList => "KIV0415",
        }
    }

    /// Returns its severity.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::NoLocalEndpoints
            | Self::NoSlices
            | Self::NoReadyEndpoint
            | Self::OtherNodesBalancer
            | Self::UnlabelledSlice
            | Self::InputMayDrop
            | Self::UdpTrackedTooBriefly => Level::Info,
            Self::InvalidEndpointPort
            | Self::NoSourceRangeOfFamily
            | Self::OwnAddress
            | Self::NoHealthCheck
            | Self::NoNodePortAddress
            | Self::UnusableSlice
            | Self::PortNotOffered
            | Self::NoEndpointOfFamily
            | Self::OtherFamilyAddress
            | Self::SeveralAddresses
            | Self::UnknownNode
            | Self::NoLocalDetection
            | Self::IdleTcpForgotten
            | Self::OtherModesLeftovers
            | Self::InputDrops
            | Self::NotTracked
            | Self::MissingFamily => Level::Warning,
            _ => Level::Error,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
