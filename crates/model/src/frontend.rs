//! The neutral middle: where traffic arrives and where it may go, after Kubernetes' rules and before
//! those of any data plane.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use ipnetwork::IpNetwork;
use ipvs::{AddressFamily, Protocol};

use crate::cluster::TrafficPolicy;
use crate::names::{Name, ServicePortName};

/// One address and port at which a Service's port is served on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// The Service port behind it.
    pub owner: Arc<ServicePortName>,
    /// The kind of address.
    pub kind: FrontendKind,
    /// Where traffic arrives.
    pub address: IpAddr,
    /// The port at which it arrives.
    pub port: NonZeroU16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Time for which a client stays with its backend.
    pub affinity: Option<Duration>,
    /// The scheduler that the Service chose, one of [`SCHEDULERS`](crate::config::SCHEDULERS); none leaves it to the configuration.
    pub scheduler: Option<Name>,
    /// True if the address is to be made this node's own; otherwise it is so already.
    pub bind: bool,
    /// The traffic policy of this kind of address. `Local` keeps the client's address.
    pub policy: TrafficPolicy,
    /// True if the policy is `Local` and no backend is on this node: `backends` are then those of the whole cluster, if any.
    pub lacks_local: bool,
    /// The clients that may connect.
    pub sources: Sources,
    /// Where traffic may go: ordered, each once, same family as `address`.
    pub backends: Vec<Backend>,
    /// Endpoints of a UDP port that terminate and still serve, in the same order. They keep the flows that they have unless they are
    /// among `backends`.
    pub finishing: Arc<[Backend]>,
}

/// The way a frontend's address came to the Service.
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

/// The clients that may connect to a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// Everybody.
    Any,
    /// Some; no client where `ranges` is empty.
    Only {
        /// Clients inside these networks, of the frontend's family. None has length 0, which a set `hash:ip,port,net` does not
        /// hold: such a range restricts nothing.
        ranges: BTreeSet<IpNetwork>,
        /// True if this node's own address is in one of them.
        node: bool,
    },
}

impl Sources {
    /// Returns the number of ranges.
    #[must_use]
    pub fn ranges(&self) -> usize {
        match self {
            Self::Any => 0,
            Self::Only { ranges, .. } => ranges.len(),
        }
    }
}

/// A place that serves a frontend's traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// The endpoint's address.
    pub address: IpAddr,
    /// The endpoint's port.
    pub port: NonZeroU16,
}

/// An endpoint on this node that is reached through a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalEndpoint {
    /// Its address and port.
    pub backend: Backend,
    /// Its protocol.
    pub protocol: Protocol,
}

/// The answer to a load balancer at a Service's `healthCheckNodePort`: the number of the Service's ready endpoints that are here.
/// One listener serves both families (deviation D18).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HealthCheck {
    /// Where it is asked, on the node's addresses.
    pub port: NonZeroU16,
    /// Ready endpoints on this node, each once whatever its ports and families.
    pub local_endpoints: usize,
    /// The families that the Service has addresses of.
    pub families: BTreeSet<AddressFamily>,
}
