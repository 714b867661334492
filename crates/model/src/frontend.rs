//! Frontends: the addresses at which traffic arrives and the endpoints that may receive it. They
//! follow from Kubernetes' rules and do not depend on a data plane.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use ipnetwork::IpNetwork;
use ipvs::{AddressFamily, Forwarding, Protocol};

use crate::cluster::TrafficPolicy;
use crate::names::ServicePortName;
use crate::policy::ServicePolicy;

/// One address and port at which this node serves a Service port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// The Service port that the frontend belongs to.
    pub owner: Arc<ServicePortName>,
    /// The kind of address.
    pub kind: FrontendKind,
    /// The address at which traffic arrives.
    pub address: IpAddr,
    /// The port at which it arrives.
    pub port: NonZeroU16,
    /// The transport protocol.
    pub protocol: Protocol,
    /// Time for which a client stays with its backend; `None` without session affinity.
    pub affinity: Option<Duration>,
    /// The Service's policy; `None` if it sets nothing.
    pub service_policy: Option<Arc<ServicePolicy>>,
    /// True if the address must be added to the dummy device; false if the node has it already.
    pub bind: bool,
    /// The traffic policy for this kind of address. `Local` preserves the client's address.
    pub policy: TrafficPolicy,
    /// True if the policy is `Local` and no backend is on this node. `backends` then has those of
    /// the whole cluster.
    pub lacks_local: bool,
    /// Clients that may connect.
    pub sources: Sources,
    /// Backends that may receive traffic: ordered, without duplicates, of the same family as
    /// `address`.
    pub backends: Vec<Backend>,
    /// Weights of `backends`, in their order; `None` if every weight is 1.
    pub weights: Option<Vec<u32>>,
    /// Forwarding methods of `backends`, in their order; `None` if all are masqueraded by the traffic
    /// policy. Otherwise packets keep the client's address.
    pub forwarding: Option<Vec<Forwarding>>,
    /// Endpoints of a UDP port that terminate and still serve, in the same order. They keep their
    /// existing flows; they get new ones only if they are among `backends` too.
    pub finishing: Arc<[Backend]>,
}

/// Field of the Service or Node that a frontend's address was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrontendKind {
    /// One of `spec.clusterIPs`.
    ClusterIp,
    /// One of `spec.externalIPs`.
    ExternalIp,
    /// One of `status.loadBalancer.ingress[].ip`.
    LoadBalancerIp,
    /// An address of this node, at `spec.ports[].nodePort`.
    NodePort,
}

/// Clients that may connect to a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// Every client.
    Any,
    /// Clients in `ranges`; no client if `ranges` is empty.
    Only {
        /// Networks of the clients, of the frontend's family. No network has length 0: such a range
        /// restricts nothing, and a set `hash:ip,port,net` cannot hold it.
        ranges: BTreeSet<IpNetwork>,
        /// True if this node's own address is in one of the networks.
        node: bool,
    },
}

impl Sources {
    /// Returns the number of networks; 0 if every client may connect.
    #[must_use]
    pub fn ranges(&self) -> usize {
        match self {
            Self::Any => 0,
            Self::Only { ranges, .. } => ranges.len(),
        }
    }
}

/// An endpoint that receives a frontend's traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// The endpoint's address.
    pub address: IpAddr,
    /// The endpoint's port.
    pub port: NonZeroU16,
}

/// An endpoint on this node that receives traffic of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalEndpoint {
    /// The endpoint's address and port.
    pub backend: Backend,
    /// The endpoint's protocol.
    pub protocol: Protocol,
}

/// Answer to a load balancer at a Service's `healthCheckNodePort`: the number of ready endpoints on
/// this node. One listener serves both families (deviation D18).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HealthCheck {
    /// The port on the node's addresses that the load balancer probes.
    pub port: NonZeroU16,
    /// Number of ready endpoints on this node. An endpoint counts once, whatever its ports and
    /// families.
    pub local_endpoints: usize,
    /// Families in which the Service has addresses.
    pub families: BTreeSet<AddressFamily>,
}
