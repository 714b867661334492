//! UDP flows that the kernel tracks, and the test for stale ones.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// A flow of the connection tracker: the fields that decide whether it is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Destination of the flow's first packet.
    pub destination: SocketAddr,
    /// Source of the answers.
    pub answered_by: SocketAddr,
}

/// Real servers that may answer at each UDP virtual server. Flows to a virtual server that is not
/// in the map are never stale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UdpFlows {
    /// Addresses of the real servers, by address and port of the virtual server.
    pub served: BTreeMap<SocketAddr, BTreeSet<SocketAddr>>,
}

impl UdpFlows {
    /// Returns true if `flow` is stale: its destination is a virtual server, but the answers come
    /// from an address that is not one of its real servers. This happens when
    ///
    /// - the real server was removed, or
    /// - the flow is older than the virtual server, so that its packets bypass IPVS.
    #[must_use]
    pub fn is_stale(&self, flow: &Flow) -> bool {
        (self.served.get(&flow.destination))
            .is_some_and(|servers| !servers.contains(&flow.answered_by))
    }
}
