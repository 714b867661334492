//! VirtualServers: entries of the IPVS table that a file describes directly.

use ipvs::{RealServer, VirtualServer};

use crate::names::ObjectName;

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
}
