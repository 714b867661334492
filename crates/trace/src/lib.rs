//! Traces a packet: computes its path through the tables of a node, and its source address on
//! arrival.
//!
//! [`trace`] walks the first packet of a connection through the hooks of Linux 6.1 in their order:
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
//! the same hook. The rules are interpreted as they are: kube-proxy's tables give kube-proxy's
//! results.
//!
//! The result is a value, [`Trace`]: every evaluated chain with the rules that matched, every set
//! that was tested, the virtual server, and a branch for each real server. A part that cannot be
//! evaluated ends the path with [`Unjudged`]; nothing is guessed.
//!
//! | part | support |
//! |---|---|
//! | rules of kube-ipvs and kube-proxy, their sets and marks | complete |
//! | rules and policies of other programs in `filter` and `raw` | drops of the packet and of the answer of a remote real server, and exclusions from connection tracking, by [`World::host_rules`]; also for the outer packet of a tunnel |
//! | local routes, forwarding | [`World::not_local`], [`World::no_forwarding`] |
//! | rules of other programs in `nat` | assumed to have no effect |
//! | virtual servers by address, by mark, with port 0, of FTP | complete |
//! | forwarding: masquerading, direct routing, tunnels, delivery on the node | the path up to the interface; what the real server does with an unchanged packet is unknown |
//! | `net.ipv4.vs.conntrack` | 0: packets that IPVS sends skip `nat` |
//! | persistence, thresholds, schedulers | no connection is known, so every real server with a weight is possible |
//!
//! Further assumptions:
//! - `rp_filter` is off.
//! - The jumps to our chains stand before the rules of other programs, except in `filter` INPUT if
//!   its rules are given.
//! - Answers of a remote real server pass the node, except those between two places behind the same
//!   other node or, without `bridgeCallsIptables`, on the same bridge, and as
//!   [`World::answers_pass_node`] says.

mod answer;
mod balance;
mod condition;
mod filter;
mod host;
mod outcome;
mod path;
mod probe;
mod step;
#[cfg(test)]
mod tests;
mod walk;
mod world;

pub use outcome::{Outcome, Unjudged, Verdict};
pub use path::trace;
pub use probe::{ICMP, Probe};
pub use step::{Balance, Branch, End, Route, RuleStep, SetTest, Step, Trace, Traversal};
pub use world::{At, Place, World};
