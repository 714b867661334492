//! UDP flows that the kernel tracks, and which of them lead to the wrong place.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// A tracked flow, as far as it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Where its first packet was sent to.
    pub destination: SocketAddr,
    /// Where answers come from.
    pub answered_by: SocketAddr,
}

/// The servers that may answer at each virtual server. One that nobody serves is not in it: its flows are left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UdpFlows {
    /// The servers that may answer, by the virtual server's address and port.
    pub served: BTreeMap<SocketAddr, BTreeSet<SocketAddr>>,
}

impl UdpFlows {
    /// Returns true if `flow` leads to the wrong place: a virtual server that others serve, or one that was not there when the
    /// flow began, so that its packets pass it by.
    #[must_use]
    pub fn is_stale(&self, flow: &Flow) -> bool {
        (self.served.get(&flow.destination))
            .is_some_and(|servers| !servers.contains(&flow.answered_by))
    }
}
