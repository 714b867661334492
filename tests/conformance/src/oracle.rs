//! The packet oracle. It computes where a packet goes by a node's tables, and its source address on
//! arrival.
//!
//! It walks the first packet of a connection through the hooks of Linux 6.1 in their order:
//!
//! ```text
//! from outside or a pod   nat PREROUTING ─ routing ─ filter INPUT ─ IPVS ─┐
//! from the node itself    nat OUTPUT ─ IPVS ──────────────────────────────┤
//!                                                                         ▼
//!                                        real server: filter OUTPUT ─ nat POSTROUTING
//! ```
//!
//! IPVS is at `NF_IP_PRI_NAT_SRC - 1` in LOCAL_IN, behind the filter, and at
//! `NF_IP_PRI_NAT_DST + 2` in LOCAL_OUT, before it (`ip_vs_ops4`, net/netfilter/ipvs/ip_vs_core.c).
//! A packet that it sends to a remote real server passes LOCAL_OUT and POST_ROUTING
//! (`ip_vs_nat_send_or_cont`, ip_vs_xmit.c). A packet that it sends to the node itself continues in
//! the same hook. The oracle interprets the given rules: on kube-proxy's tables it gives
//! kube-proxy's results.
//!
//! Assumptions:
//! - `net.ipv4.vs.conntrack` is 1, without which no packet that IPVS sends is masqueraded.
//! - Forwarding is on and `rp_filter` off.
//! - Built-in chains have no rules of other programs and the policy ACCEPT.
//! - No connection is known yet, so persistence and thresholds have no effect.
//! - Answers of a remote real server pass the node, except those between two places behind the same
//!   other node or, without `bridgeCallsIptables`, on the same bridge.

mod filter;
mod outcome;
mod path;
mod probe;
#[cfg(test)]
mod tests;
mod world;

pub use filter::Unjudged;
pub use outcome::{Outcome, Verdict};
pub use path::trace;
pub use probe::Probe;
pub use world::{At, Place, World};
