//! The packet oracle: given a node's tables, where does a packet go, and whose address does it carry
//! when it is there?
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
//! IPVS stands at `NF_IP_PRI_NAT_SRC - 1` in LOCAL_IN, behind the filter, and at `NF_IP_PRI_NAT_DST + 2` in
//! LOCAL_OUT, before it (`ip_vs_ops4`, net/netfilter/ipvs/ip_vs_core.c). What it sends to a real server
//! elsewhere goes through LOCAL_OUT and POST_ROUTING (`ip_vs_nat_send_or_cont`, ip_vs_xmit.c); what it
//! sends to the node itself goes on in the hook where it was. It interprets rules as they are: on
//! kube-proxy's tables it gives kube-proxy's answers.
//!
//! Taken as given: `net.ipv4.vs.conntrack` is 1, without which nothing that IPVS sends is masqueraded;
//! forwarding is on and `rp_filter` off; built-in chains hold no rules of others and have the policy
//! ACCEPT; no connection is known yet, so that persistence and thresholds choose nothing. Packets to a
//! real server elsewhere are answered by way of the node, besides those between two places behind the
//! same other node or, without `bridgeCallsIptables`, on the same bridge.

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
