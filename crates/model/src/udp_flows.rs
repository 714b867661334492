//! UDP flows that the kernel tracks, and which of them lead to the wrong place.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

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
    /// By address and port.
    pub served: BTreeMap<SocketAddr, Servers>,
}

/// The servers that may answer at one virtual server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// Its real servers.
    pub real_servers: BTreeSet<SocketAddr>,
    /// Endpoints that serve what they have begun, though they get no new flows: they terminate
    /// (k/k#45976).
    pub finishing: BTreeSet<IpAddr>,
}

impl UdpFlows {
    /// Returns true if `flow` leads to the wrong place: a virtual server that others serve, or one that was not there when the
    /// flow began, so that its packets pass it by.
    #[must_use]
    pub fn is_stale(&self, flow: &Flow) -> bool {
        self.served.get(&flow.destination).is_some_and(|servers| {
            !servers.real_servers.contains(&flow.answered_by)
                && !servers.finishing.contains(&flow.answered_by.ip())
        })
    }
}
