//! Findings: problems of objects and of the node, with stable codes.

mod index;

use std::fmt;

pub use self::index::{FindingChanges, FindingIndex};
use crate::names::ObjectName;

/// Problem of one object. A finding stops nothing: [`Finding::consequence`] says how the object is
/// served, and all other objects are served as usual.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Code of the finding, for search and metrics.
    pub code: Code,
    /// Kind of the object, as Kubernetes writes it.
    pub kind: &'static str,
    /// Name of the object.
    pub object: ObjectName,
    /// Path of the field, for example `spec.clusterIPs[0]`.
    pub field: String,
    /// Problem of the field.
    pub problem: String,
    /// Consequence for the node, often with what to do.
    pub consequence: String,
}

impl Finding {
    /// Returns the kind and the name of the object.
    #[must_use]
    pub fn subject(&self) -> String {
        match self.object.is_virtual_server() {
            // The name contains the kind.
            true => self.object.to_string(),
            false => format!("{} {}", self.kind, self.object),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}: {}: {}; {}",
            self.code,
            self.code.level(),
            self.subject(),
            self.field,
            self.problem,
            self.consequence
        )
    }
}

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The node does what the objects ask for; useful when something looks wrong.
    Info,
    /// An object behaves in another way than its author meant.
    Warning,
    /// A part of the input is not served.
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

/// Stable codes of findings:
///
/// - `KIV01xx`: one object
/// - `KIV02xx`: conflicts between objects
/// - `KIV03xx`: conflicts with entries of other programs
/// - `KIV04xx`: the node
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// KIV0101: an address of a Service cannot be served.
    InvalidServiceAddress,
    /// KIV0102: a port, node port or protocol of a Service cannot be served.
    InvalidServicePort,
    /// KIV0103: an address of an endpoint cannot be used.
    InvalidEndpointAddress,
    /// KIV0104: a port of an EndpointSlice cannot be used.
    InvalidEndpointPort,
    /// KIV0105: a source range is not a network and admits no client (deviation D11).
    InvalidSourceRange,
    /// KIV0106: a Service has no source range of a family, which admits no client (deviation D11).
    NoSourceRangeOfFamily,
    /// KIV0107: an external or load-balancer address is an address of this node (deviation D8).
    OwnAddress,
    /// KIV0108: an external address is an address of another node (deviation D8).
    OtherNodesAddress,
    /// KIV0109: an external or load-balancer address is inside a protected network (deviation D8).
    ProtectedAddress,
    /// KIV0110: an external address is not allowed (deviation D9).
    ExternalIpNotAllowed,
    /// KIV0111: a traffic policy is Local, and no endpoint is on this node.
    NoLocalEndpoints,
    /// KIV0112: a load balancer with policy Local has no usable health-check node port.
    NoHealthCheck,
    /// KIV0113: the node has no address for node ports.
    NoNodePortAddress,
    /// KIV0114: a slice has an address type that no node can use.
    UnusableSlice,
    /// KIV0115: a Service names a scheduler that it may not choose.
    InvalidScheduler,
    /// KIV0116: an address of a Service is an address of the API server (deviation D22).
    ApiServerAddress,
    /// KIV0117: a port of a Service is a protected port of the node (deviation D22).
    HostPort,
    /// KIV0118: a Service exceeds a limit of `serviceLimits` (deviation D23).
    ServiceLimit,
    /// KIV0119: an object cannot be decoded.
    UndecodableObject,
    /// KIV0120: a Service has no slices.
    NoSlices,
    /// KIV0121: a Service has no ready endpoint.
    NoReadyEndpoint,
    /// KIV0122: no slice of a Service has a port with the name and protocol of a Service port.
    PortNotOffered,
    /// KIV0123: a Service has endpoints, but none of a family of its cluster IPs.
    NoEndpointOfFamily,
    /// KIV0124: the Service has no cluster IP of the family of an external or load-balancer
    /// address.
    OtherFamilyAddress,
    /// KIV0125: a load-balancer address is an address of another node (deviation D8).
    OtherNodesBalancer,
    /// KIV0126: an endpoint has several addresses.
    SeveralAddresses,
    /// KIV0127: a slice lacks the label that names its Service.
    UnlabelledSlice,
    /// KIV0128: a field of a Service's policy is unknown or has an invalid value.
    InvalidPolicy,
    /// KIV0129: a Service sets a field of its policy that the administrator has not allowed.
    PolicyNotAllowed,
    /// KIV0130: a field of a Service's policy has no effect beside the rest of the Service.
    PolicyWithoutEffect,
    /// KIV0131: an endpoint of an object with a health check cannot be probed.
    EndpointNotChecked,
    /// KIV0132: an endpoint fails the health check of its Service, or a real server that of its
    /// VirtualServer.
    EndpointFailed,
    /// KIV0133: so many endpoints fail the health check that all are used.
    HealthCheckPanic,
    /// KIV0138: endpoints of a Service cannot get packets that keep the virtual address.
    ForwardingNotUsed,
    /// KIV0140: a setting of a VirtualServer cannot be programmed.
    InvalidVirtualServer,
    /// KIV0141: a real server of a VirtualServer cannot be programmed.
    InvalidRealServer,
    /// KIV0142: a VirtualServer has no real server that gets connections.
    NoRealServer,
    /// KIV0143: only masquerading changes ports, so the port of a real server has no effect.
    PortHasNoEffect,
    /// KIV0201: two Services or VirtualServers claim the same address, port and protocol.
    ServiceClash,
    /// KIV0202: two Services claim the same health-check node port.
    HealthCheckClash,
    /// KIV0301: another program has a virtual server at the address and port of a Service.
    ForeignVirtualServer,
    /// KIV0401: no Node object has the name of this node, so that no endpoint counts as local.
    UnknownNode,
    /// KIV0402: pods of this node cannot be distinguished from others.
    NoLocalDetection,
    /// KIV0403: idle TCP connections expire before their keepalive (deviation D19).
    IdleTcpForgotten,
    /// KIV0404: UDP flows expire in the connection tracker before they do in IPVS (deviation D19).
    UdpTrackedTooBriefly,
    /// KIV0405: leftovers of another mode of kube-proxy are on the node.
    OtherModesLeftovers,
    /// KIV0406: chain INPUT drops packets to Services.
    InputDrops,
    /// KIV0407: a rule excludes packets to Services from connection tracking.
    NotTracked,
    /// KIV0408: the node lacks an address family.
    MissingFamily,
    /// KIV0409: chain INPUT drops packets to Services that no earlier rule accepts.
    InputMayDrop,
    /// KIV0410: another program writes the tables of this node, most likely a kube-proxy.
    SecondProxy,
    /// KIV0415: a list lacks most of the known objects and is not confirmed yet (deviation D27).
    ShrunkList,
}

impl Code {
    /// All codes, in order.
    pub const ALL: [Self; 52] = [
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
        Self::InvalidPolicy,
        Self::PolicyNotAllowed,
        Self::PolicyWithoutEffect,
        Self::EndpointNotChecked,
        Self::EndpointFailed,
        Self::HealthCheckPanic,
        Self::ForwardingNotUsed,
        Self::InvalidVirtualServer,
        Self::InvalidRealServer,
        Self::NoRealServer,
        Self::PortHasNoEffect,
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

    /// Returns the code as it is printed.
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
            Self::InvalidPolicy => "KIV0128",
            Self::PolicyNotAllowed => "KIV0129",
            Self::PolicyWithoutEffect => "KIV0130",
            Self::EndpointNotChecked => "KIV0131",
            Self::EndpointFailed => "KIV0132",
            Self::HealthCheckPanic => "KIV0133",
            Self::ForwardingNotUsed => "KIV0138",
            Self::InvalidVirtualServer => "KIV0140",
            Self::InvalidRealServer => "KIV0141",
            Self::NoRealServer => "KIV0142",
            Self::PortHasNoEffect => "KIV0143",
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

    /// Returns the severity of findings with this code.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::NoLocalEndpoints
            | Self::NoSlices
            | Self::NoReadyEndpoint
            | Self::OtherNodesBalancer
            | Self::UnlabelledSlice
            | Self::NoRealServer
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
            | Self::PolicyNotAllowed
            | Self::PolicyWithoutEffect
            | Self::EndpointNotChecked
            | Self::EndpointFailed
            | Self::HealthCheckPanic
            | Self::ForwardingNotUsed
            | Self::PortHasNoEffect
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
