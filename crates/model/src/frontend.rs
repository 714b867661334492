//! The neutral middle: where traffic arrives and where it may go, after Kubernetes' rules and before
//! those of any data plane.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use ipvs::Protocol;

use crate::names::ServicePortName;

/// One address and port at which a Service's port is served on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// The Service port behind it.
    pub owner: ServicePortName,
    /// What kind of address this is.
    pub kind: FrontendKind,
    /// Where traffic arrives.
    pub address: IpAddr,
    /// The port at which it arrives.
    pub port: NonZeroU16,
    /// Its protocol.
    pub protocol: Protocol,
    /// How long a client stays with its backend.
    pub affinity: Option<Duration>,
    /// Where traffic may go: ordered, each once, same family as `address`.
    pub backends: Vec<Backend>,
}

/// How a frontend's address came to the Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrontendKind {
    /// One of `spec.clusterIPs`.
    ClusterIp,
}

/// A place that serves a frontend's traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// The endpoint's address.
    pub address: IpAddr,
    /// The endpoint's port.
    pub port: NonZeroU16,
}
