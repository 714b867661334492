//! The cluster's wishes: Services, EndpointSlices and Nodes in compact form.
//!
//! These types hold what a node needs and nothing else. They can hold every mistake an object can
//! hold: text that should have been an address is kept as [`Parsed::Invalid`], so that the decision
//! what to do about it, and the words to say it in, are the planner's.

mod encoded;
mod interner;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::{Duration, SystemTime};

use ipnetwork::IpNetwork;
use ipvs::{AddressFamily, Protocol};
use serde::{Deserialize, Serialize};

pub use self::state::{Changed, ClusterState};
use crate::names::{Name, ObjectName, Uid};
use crate::safe_text::SafeText;

/// A value that was read from text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Parsed<T> {
    /// The text made sense.
    Valid(T),
    /// The text that was found.
    Invalid(SafeText),
}

impl<T> Parsed<T> {
    /// The value, or the text that is none.
    ///
    /// # Errors
    ///
    /// The text that was found.
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
    /// Namespace and name. Not part of the serialized form: it is kept by its name.
    #[serde(skip)]
    pub name: ObjectName,
    /// `metadata.creationTimestamp`, seconds since 1970; absent in manifests. The older Service wins
    /// a clash (deviation D3); without a time it counts as younger than any with one.
    pub created: Option<i64>,
    /// `metadata.uid`; absent in manifests.
    pub uid: Option<Uid>,
    /// `spec.type`.
    pub kind: ServiceKind,
    /// `spec.clusterIPs`, else `spec.clusterIP`; empty for a headless Service.
    pub cluster_ips: Vec<Parsed<IpAddr>>,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// `spec.sessionAffinity: ClientIP` and how long a client stays with its endpoint.
    pub affinity: Option<Duration>,
    /// `spec.internalTrafficPolicy`.
    pub internal_policy: TrafficPolicy,
    /// `spec.externalTrafficPolicy`.
    pub external_policy: TrafficPolicy,
    /// `spec.externalIPs`.
    pub external_ips: Vec<Parsed<IpAddr>>,
    /// `status.loadBalancer.ingress[].ip` where `ipMode` is absent or `VIP`.
    pub load_balancer_ips: Vec<Parsed<IpAddr>>,
    /// `spec.loadBalancerSourceRanges`; empty means every source.
    pub source_ranges: Vec<Parsed<IpNetwork>>,
    /// `spec.healthCheckNodePort`.
    pub health_check_node_port: Option<Parsed<NonZeroU16>>,
    /// True if `spec.selector` has an entry: then the control plane makes its slices.
    pub has_selector: bool,
    /// Annotation `kube-ipvs.io/scheduler`: the scheduler that the Service asks for, whether it may have it or not.
    pub scheduler: Option<SafeText>,
}

impl Service {
    /// A ClusterIP Service without addresses and ports; all else as the API server would default it.
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
            scheduler: None,
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
    /// `ExternalName`: nothing to do on a node.
    ExternalName,
}

/// The endpoints that traffic may go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrafficPolicy {
    /// All of them.
    #[default]
    Cluster,
    /// The endpoints on this node.
    Local,
}

/// One of `spec.ports` of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// The port's name, empty where there is none.
    pub name: Name,
    /// The transport protocol.
    pub protocol: Parsed<Protocol>,
    /// The port on the Service's addresses.
    pub port: Parsed<NonZeroU16>,
    /// The port on the node's addresses.
    pub node_port: Option<Parsed<NonZeroU16>>,
}

/// The traffic that a policy of a Service is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyScope {
    /// To cluster IPs: `internalTrafficPolicy`.
    Internal,
    /// To all other addresses: `externalTrafficPolicy`.
    External,
}

impl PolicyScope {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Internal, Self::External];

    /// The field of a Service.
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
    /// Namespace and name of the slice itself. Not part of the serialized form: it is kept by its name.
    #[serde(skip)]
    pub name: ObjectName,
    /// The Service it belongs to: label `kubernetes.io/service-name`, same namespace. Empty where the label is missing or empty.
    pub service: Name,
    /// `addressType`; none for FQDN slices, which no node can use.
    pub family: Option<AddressFamily>,
    /// `endpoints`.
    pub endpoints: Vec<Endpoint>,
    /// `ports`: every endpoint serves on all of them.
    pub ports: Vec<EndpointPort>,
    /// When the pod or Service changed that led to this version of the slice: annotation
    /// `endpoints.kubernetes.io/last-change-trigger-time`.
    #[serde(with = "encoded::since_1970")]
    pub triggered: Option<SystemTime>,
    /// `metadata.uid`; absent in manifests, and of Endpoints.
    pub uid: Option<Uid>,
    /// Place of the first endpoint with more than one address.
    pub several_addresses: Option<u32>,
}

/// One of `endpoints` of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    /// `addresses[0]`: by KEP-752 the others are alternatives that nobody uses.
    pub address: Parsed<IpAddr>,
    /// `conditions.ready`, true where absent.
    pub ready: bool,
    /// `conditions.serving`, true where absent.
    pub serving: bool,
    /// `conditions.terminating`, false where absent.
    pub terminating: bool,
    /// `nodeName`.
    pub node: Option<Name>,
    /// `hints.forZones[].name`.
    pub zone_hints: Box<[Name]>,
    /// `hints.forNodes[].name` (KEP-3015).
    pub node_hints: Box<[Name]>,
}

impl Endpoint {
    /// A ready endpoint on no node in particular, without hints.
    #[must_use]
    pub fn ready(address: Parsed<IpAddr>) -> Self {
        Self {
            address,
            ready: true,
            serving: true,
            terminating: false,
            node: None,
            zone_hints: Box::default(),
            node_hints: Box::default(),
        }
    }
}

/// One of `ports` of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EndpointPort {
    /// The name that a Service's port refers to; absent names match nothing.
    pub name: Option<Name>,
    /// The transport protocol.
    pub protocol: Parsed<Protocol>,
    /// Where the endpoint listens; absent means all ports, which no node can use.
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
    /// True if it has a `metadata.deletionTimestamp`.
    pub deleting: bool,
    /// True if it has the taint `ToBeDeletedByClusterAutoscaler`: load balancers are to leave it out.
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
}

impl Object {
    /// Returns its kind.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Service(_) => ObjectKind::Service,
            Self::EndpointSlice(_) => ObjectKind::EndpointSlice,
            Self::Node(_) => ObjectKind::Node,
        }
    }

    /// Its name; a Node's has an empty namespace.
    #[must_use]
    pub fn name(&self) -> ObjectName {
        match self {
            Self::Service(service) => service.name.clone(),
            Self::EndpointSlice(slice) => slice.name.clone(),
            Self::Node(node) => ObjectName::new("", node.name.clone()),
        }
    }
}

/// The kinds of objects that a source delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// Services.
    Service,
    /// EndpointSlices, or Endpoints where a cluster has no slices.
    EndpointSlice,
    /// Nodes.
    Node,
}

impl ObjectKind {
    /// Every kind; a first list of each must be in before anything is deleted.
    pub const ALL: [Self; 3] = [Self::Service, Self::EndpointSlice, Self::Node];

    /// The name as Kubernetes writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Node => "Node",
        }
    }
}

/// An event of a source. For each kind: `ListStarted`, an `Upsert` or `Undecodable` for every object there is, `ListDone`; then changes one by
/// one; and again a list whenever the source had to start anew. What a new list does not name is gone once that list is done, not
/// before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterEvent {
    /// A complete list of this kind begins.
    ListStarted(ObjectKind),
    /// This object is so now.
    Upsert(Object),
    /// This object exists and cannot be decoded. What was known of it before stays true.
    Undecodable(ObjectKind, ObjectName, Undecodable),
    /// This object is gone.
    Delete(ObjectKind, ObjectName),
    /// The list of this kind is complete.
    ListDone(ObjectKind),
}

impl ClusterEvent {
    /// Returns the kind of objects that it is about.
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

/// Why an object cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecodable {
    /// Path of the field: `spec.ports[0].port`.
    pub field: SafeText,
    /// The problem with it.
    pub problem: SafeText,
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}
