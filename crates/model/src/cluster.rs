//! The desired state of the cluster: Services, EndpointSlices and Nodes in compact form, and the
//! VirtualServers of files.
//!
//! The types have only the fields that a node needs. They can represent every invalid value that an
//! object may have: text that does not parse is kept as [`Parsed::Invalid`]. The planner decides
//! how to handle it and how to report it.

mod encoded;
mod interner;
mod state;
#[cfg(test)]
mod tests;
mod virtual_server;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::{Duration, SystemTime};

use ipnetwork::IpNetwork;
use ipvs::{AddressFamily, Protocol};
use serde::{Deserialize, Serialize};

pub use self::state::{Changed, ClusterState};
pub use self::virtual_server::StaticServer;
use crate::names::{Name, ObjectName, Uid};
use crate::policy::Annotation;
use crate::safe_text::SafeText;

/// A value parsed from text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Parsed<T> {
    /// The text was valid.
    Valid(T),
    /// The text was not valid; it is kept as found.
    Invalid(SafeText),
}

impl<T> Parsed<T> {
    /// Returns the value.
    ///
    /// # Errors
    ///
    /// The text that was not valid.
    pub fn as_result(&self) -> Result<&T, &str> {
        match self {
            Self::Valid(value) => Ok(value),
            Self::Invalid(text) => Err(text),
        }
    }
}

/// A core/v1 Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Namespace and name. Not part of the serialized form, since the name is the key of the stored
    /// object.
    #[serde(skip)]
    pub name: ObjectName,
    /// `metadata.creationTimestamp`, seconds since 1970; absent in manifests. If two Services claim
    /// an entry, the older one wins (deviation D3). A Service without a time counts as younger than
    /// any Service with one.
    pub created: Option<i64>,
    /// `metadata.uid`; absent in manifests.
    pub uid: Option<Uid>,
    /// `spec.type`.
    pub kind: ServiceKind,
    /// `spec.clusterIPs`, or `spec.clusterIP` if that is absent; empty for a headless Service.
    pub cluster_ips: Vec<Parsed<IpAddr>>,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// Time for which a client stays with its endpoint under `spec.sessionAffinity: ClientIP`.
    pub affinity: Option<Duration>,
    /// `spec.internalTrafficPolicy`.
    pub internal_policy: TrafficPolicy,
    /// `spec.externalTrafficPolicy`.
    pub external_policy: TrafficPolicy,
    /// `spec.externalIPs`.
    pub external_ips: Vec<Parsed<IpAddr>>,
    /// `status.loadBalancer.ingress[].ip` where `ipMode` is absent or `VIP`.
    pub load_balancer_ips: Vec<Parsed<IpAddr>>,
    /// `spec.loadBalancerSourceRanges`; an empty list admits every client.
    pub source_ranges: Vec<Parsed<IpNetwork>>,
    /// `spec.healthCheckNodePort`.
    pub health_check_node_port: Option<Parsed<NonZeroU16>>,
    /// True if `spec.selector` has an entry. The control plane then creates the EndpointSlices.
    pub has_selector: bool,
    /// Annotations that begin with [`PREFIX`](crate::policy::PREFIX), by name. They are not checked
    /// here.
    pub annotations: Box<[Annotation]>,
    /// Labels that policies of the configuration read, by name.
    pub labels: Box<[(Name, Name)]>,
}

impl Service {
    /// Returns a ClusterIP Service without addresses and ports. The other fields have the API
    /// server's defaults.
    #[must_use]
    pub fn new(name: ObjectName) -> Self {
        Self {
            name,
            created: None,
            uid: None,
            kind: ServiceKind::ClusterIp,
            cluster_ips: Vec::new(),
            ports: Vec::new(),
            affinity: None,
            internal_policy: TrafficPolicy::Cluster,
            external_policy: TrafficPolicy::Cluster,
            external_ips: Vec::new(),
            load_balancer_ips: Vec::new(),
            source_ranges: Vec::new(),
            health_check_node_port: None,
            has_selector: false,
            annotations: Box::default(),
            labels: Box::default(),
        }
    }
}

/// `spec.type` of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceKind {
    /// `ClusterIP`.
    ClusterIp,
    /// `NodePort`.
    NodePort,
    /// `LoadBalancer`.
    LoadBalancer,
    /// `ExternalName`: a node serves nothing for it.
    ExternalName,
}

/// Endpoints that may receive traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrafficPolicy {
    /// Every endpoint.
    #[default]
    Cluster,
    /// Endpoints on this node.
    Local,
}

/// One of `spec.ports` of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// The port's name; empty if it has none.
    pub name: Name,
    /// The transport protocol.
    pub protocol: Parsed<Protocol>,
    /// The port on the Service's addresses.
    pub port: Parsed<NonZeroU16>,
    /// The port on the node's addresses.
    pub node_port: Option<Parsed<NonZeroU16>>,
}

/// Traffic that a traffic policy of a Service applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyScope {
    /// Traffic to cluster IPs: `internalTrafficPolicy`.
    Internal,
    /// Traffic to all other addresses: `externalTrafficPolicy`.
    External,
}

impl PolicyScope {
    /// Both scopes.
    pub const ALL: [Self; 2] = [Self::Internal, Self::External];

    /// Returns the path of the field in a Service.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Internal => "spec.internalTrafficPolicy",
            Self::External => "spec.externalTrafficPolicy",
        }
    }
}

/// A discovery.k8s.io/v1 EndpointSlice, or one family of a core/v1 Endpoints object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSlice {
    /// Namespace and name of the slice itself. Not part of the serialized form, since the name is
    /// the key of the stored object.
    #[serde(skip)]
    pub name: ObjectName,
    /// Name of the Service that the slice belongs to, in the same namespace: label
    /// `kubernetes.io/service-name`. Empty if the label is missing or empty.
    pub service: Name,
    /// `addressType`; `None` for FQDN slices, which a node cannot use.
    pub family: Option<AddressFamily>,
    /// `endpoints`.
    pub endpoints: Vec<Endpoint>,
    /// `ports`: every endpoint serves all of them.
    pub ports: Vec<EndpointPort>,
    /// Time of the change of a pod or Service that led to this version of the slice: annotation
    /// `endpoints.kubernetes.io/last-change-trigger-time`.
    #[serde(with = "encoded::since_1970")]
    pub triggered: Option<SystemTime>,
    /// `metadata.uid`; absent in manifests, and for Endpoints objects.
    pub uid: Option<Uid>,
    /// Index of the first endpoint with more than one address.
    pub several_addresses: Option<u32>,
}

/// One of `endpoints` of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    /// `addresses[0]`: by KEP-752 consumers ignore the other addresses.
    pub address: Parsed<IpAddr>,
    /// `conditions.ready`; true if absent.
    pub ready: bool,
    /// `conditions.serving`; true if absent.
    pub serving: bool,
    /// `conditions.terminating`; false if absent.
    pub terminating: bool,
    /// `nodeName`.
    pub node: Option<Name>,
    /// `zone`.
    pub zone: Option<Name>,
    /// `hints.forZones[].name`.
    pub zone_hints: Box<[Name]>,
    /// `hints.forNodes[].name` (KEP-3015).
    pub node_hints: Box<[Name]>,
}

impl Endpoint {
    /// Returns a ready endpoint without node and hints.
    #[must_use]
    pub fn ready(address: Parsed<IpAddr>) -> Self {
        Self {
            address,
            ready: true,
            serving: true,
            terminating: false,
            node: None,
            zone: None,
            zone_hints: Box::default(),
            node_hints: Box::default(),
        }
    }
}

/// One of `ports` of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EndpointPort {
    /// The name that a Service port refers to. A port without name matches no Service port.
    pub name: Option<Name>,
    /// The transport protocol.
    pub protocol: Parsed<Protocol>,
    /// The port at which the endpoint listens. Absent means all ports, which a node cannot use.
    pub port: Option<NonZeroU16>,
}

/// A core/v1 Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The node's name.
    pub name: Name,
    /// Label `topology.kubernetes.io/zone`.
    pub zone: Option<Name>,
    /// `status.addresses` of the types InternalIP and ExternalIP, in this order.
    pub addresses: Vec<IpAddr>,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<IpNetwork>,
    /// True if the Node has a `metadata.deletionTimestamp`.
    pub deleting: bool,
    /// True if the Node has the taint `ToBeDeletedByClusterAutoscaler`, by which load balancers
    /// leave it out.
    pub leaving: bool,
}

/// An object of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A Service.
    Service(Service),
    /// An EndpointSlice.
    EndpointSlice(EndpointSlice),
    /// A Node.
    Node(Node),
    /// A VirtualServer.
    VirtualServer(StaticServer),
}

impl Object {
    /// Returns the object's kind.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Service(_) => ObjectKind::Service,
            Self::EndpointSlice(_) => ObjectKind::EndpointSlice,
            Self::Node(_) => ObjectKind::Node,
            Self::VirtualServer(_) => ObjectKind::VirtualServer,
        }
    }

    /// Returns the object's name; that of a Node has an empty namespace.
    #[must_use]
    pub fn name(&self) -> ObjectName {
        match self {
            Self::Service(service) => service.name.clone(),
            Self::EndpointSlice(slice) => slice.name.clone(),
            Self::Node(node) => ObjectName::new("", node.name.clone()),
            Self::VirtualServer(server) => server.name.clone(),
        }
    }
}

/// Kinds of objects that a source delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// VirtualServers, which only files contain. They precede the other kinds: files deliver them
    /// first, so that they are complete once the other lists are.
    VirtualServer,
    /// Services.
    Service,
    /// EndpointSlices, or Endpoints in a cluster without EndpointSlices.
    EndpointSlice,
    /// Nodes.
    Node,
}

impl ObjectKind {
    /// Every kind that all sources deliver. Nothing is deleted before the first list of each kind
    /// is complete.
    pub const ALL: [Self; 3] = [Self::Service, Self::EndpointSlice, Self::Node];

    /// Every kind that files deliver, in the order of delivery.
    pub const OF_FILES: [Self; 4] = [
        Self::VirtualServer,
        Self::Service,
        Self::EndpointSlice,
        Self::Node,
    ];

    /// Returns the kind's name as Kubernetes writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VirtualServer => "VirtualServer",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Node => "Node",
        }
    }
}

/// An event of a source. The events of one kind arrive in this order:
///
/// 1. `ListStarted`.
/// 2. An `Upsert` or `Undecodable` for every existing object.
/// 3. `ListDone`. Objects that the list did not name are deleted now, not earlier.
/// 4. Single changes.
///
/// A source that has to list again sends the whole sequence again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every event is an Upsert, for which a box would be an allocation"
)]
pub enum ClusterEvent {
    /// A complete list of this kind starts.
    ListStarted(ObjectKind),
    /// The object was created or changed.
    Upsert(Object),
    /// The object exists and cannot be decoded. Its last decoded version stays valid.
    Undecodable(ObjectKind, ObjectName, Undecodable),
    /// The object was deleted.
    Delete(ObjectKind, ObjectName),
    /// The list of this kind is complete.
    ListDone(ObjectKind),
}

impl ClusterEvent {
    /// Returns the kind of objects that the event is about.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Upsert(object) => object.kind(),
            Self::ListStarted(kind)
            | Self::ListDone(kind)
            | Self::Undecodable(kind, ..)
            | Self::Delete(kind, _) => *kind,
        }
    }
}

/// Reason why an object cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecodable {
    /// Path of the field, for example `spec.ports[0].port`.
    pub field: SafeText,
    /// The problem with the field's value.
    pub problem: SafeText,
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}
