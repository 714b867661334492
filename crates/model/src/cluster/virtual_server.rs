//! VirtualServers: entries of the IPVS table that a file describes directly.

use std::sync::Arc;

use ipvs::{RealServer, VirtualServer};

use crate::names::ObjectName;
use crate::policy::{PolicyField, ServicePolicy};

/// A kube-ipvs.io VirtualServer. It needs no Service, EndpointSlice or Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticServer {
    /// Namespace and name; [`ObjectName::is_virtual_server`] is true.
    pub name: ObjectName,
    /// The virtual server. Settings that the kernel refuses are kept; the planner reports them.
    pub server: VirtualServer,
    /// The real servers in the order of the file. A key may be repeated.
    pub real_servers: Vec<RealServer>,
    /// True if the address is added to the dummy device. Without effect for a firewall mark.
    pub bind: bool,
    /// True if the node's address replaces the client's address in masqueraded packets.
    pub masquerade_source: bool,
    /// Drain times and health check; `None` if it has none of them. Only fields of
    /// [`StaticServer::POLICY_FIELDS`] are set.
    pub policy: Option<Arc<ServicePolicy>>,
}

impl StaticServer {
    /// Fields of a policy that a VirtualServer has under the same names. Its other settings are
    /// part of the virtual server and of the real servers.
    pub const POLICY_FIELDS: [PolicyField; 3] = [
        PolicyField::DrainTimeout,
        PolicyField::UdpDrainTimeout,
        PolicyField::HealthCheck,
    ];
}
