//! The path of a packet as a value.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use ipset::SetName;
use ipvs::{RealServer, ServiceFlags, VirtualServer};
use model::host_rules::{HarmfulTarget, Hook};
use model::rules::{Match, Rule, Table, Target};

use crate::{At, Outcome, Probe, Unjudged, Verdict};

/// The path of one packet. Borrows rules and virtual servers from the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace<'a> {
    /// The packet.
    pub probe: Probe,
    /// Source address of the packet. `None` if it cannot be determined.
    pub source: Option<IpAddr>,
    /// Steps up to the result, or up to the choice of a real server.
    pub steps: Vec<Step<'a>>,
    /// End of the path.
    pub end: End<'a>,
}

impl Trace<'_> {
    /// Returns all possible results.
    ///
    /// # Errors
    ///
    /// The path, or that to a real server that gets new connections, cannot be judged.
    pub fn verdict(&self) -> Result<Verdict, Unjudged> {
        let outcomes = match &self.end {
            End::Outcome(outcome) => BTreeSet::from([outcome.clone()]),
            End::Unjudged(unjudged) => return Err(unjudged.clone()),
            End::Balanced(balance) => {
                let branches = balance.branches.iter();
                let mut outcomes = branches
                    .filter_map(|branch| branch.outcome.clone())
                    .collect::<Result<BTreeSet<_>, _>>()?;
                if outcomes.is_empty() {
                    // ip_vs_leave: there is no real server.
                    outcomes.insert(Outcome::Unreachable("port".to_owned()));
                }
                outcomes
            }
        };
        Ok(Verdict(outcomes))
    }
}

/// One step of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The packet never leaves the pod that sends it.
    WithinPod,
    /// The packet stays on its bridge, whose packets do not pass iptables.
    WithinBridge,
    /// The packet passes a built-in chain.
    Chain(Traversal<'a>),
    /// The packet skips a built-in chain because it is not tracked.
    NotTracked {
        /// Table of the chain.
        table: Table,
        /// Name of the chain.
        chain: &'static str,
        /// True if IPVS sends its packets untracked (`net.ipv4.vs.conntrack` is 0). Otherwise a
        /// rule of another program exempted the packet.
        by_ipvs: bool,
    },
    /// A rule or policy of another program ends the path, or exempts the packet from connection
    /// tracking.
    HostRule {
        /// Built-in chain in which it stands.
        hook: Hook,
        /// The rule or policy.
        rule: HarmfulTarget,
    },
    /// Routing decides where the packet goes.
    Route(Route),
    /// IPVS finds no virtual server for the packet.
    NoVirtualServer,
    /// The answer of the real server reaches the client without passing this node, and therefore
    /// not from the address that the client sent to. The client ignores it.
    AnswerBypassesNode,
    /// The node does not forward packets.
    NotForwarded,
    /// The answer of the real server needs to be forwarded, and the node does not forward packets.
    AnswerNotForwarded,
    /// The answer of the real server is dropped on its way back through the node.
    AnswerDropped {
        /// Built-in chain of `filter`.
        hook: Hook,
        /// The rule in backquotes, or the policy.
        by: String,
    },
    /// The packet arrives from the address of its receiver, which drops it.
    FromReceiver,
    /// The packet, encapsulated by IPVS, leaves for this address.
    Encapsulated(IpAddr),
    /// The source becomes this address of the node; `None` if it is not known which one.
    Masqueraded(Option<IpAddr>),
}

/// A decision of routing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The destination is on the dummy device.
    Virtual,
    /// The destination is another address of the node.
    Own,
    /// The packet leaves the node.
    To(At),
    /// There is no route.
    Nowhere,
}

/// The way of a packet through a built-in chain and the chains that it jumps to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traversal<'a> {
    /// Table of the chain.
    pub table: Table,
    /// Name of the built-in chain.
    pub chain: &'static str,
    /// Every evaluated rule, in order.
    pub rules: Vec<RuleStep<'a>>,
    /// Target that decided; it is the target of the last rule. `None` if the packet reached the end
    /// of the chain.
    pub decision: Option<&'a Target>,
    /// Mark of the packet at the end.
    pub mark: u32,
}

/// A rule that was evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleStep<'a> {
    /// Name of the chain of the rule.
    pub chain: &'a str,
    /// The rule.
    pub rule: &'a Rule,
    /// The first condition that does not hold; `None` if the rule matched.
    pub failed: Option<&'a Match>,
    /// Sets that were tested.
    pub sets: Vec<SetTest<'a>>,
}

impl RuleStep<'_> {
    /// Returns true if the rule matched.
    #[must_use]
    pub fn matched(&self) -> bool {
        self.failed.is_none()
    }
}

/// Prints the line of `iptables-save`.
impl fmt::Display for RuleStep<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.rule.to_string();
        let space = if rule.is_empty() { "" } else { " " };
        write!(f, "-A {}{space}{rule}", self.chain)
    }
}

/// The test of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetTest<'a> {
    /// Name of the set.
    pub set: &'a SetName,
    /// The entry that matched, or the element that was looked up.
    pub element: String,
    /// True if the set contains it.
    pub found: bool,
}

/// End of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End<'a> {
    /// There is one result.
    Outcome(Outcome),
    /// IPVS chooses a real server.
    Balanced(Balance<'a>),
    /// The path cannot be judged beyond its last step.
    Unjudged(Unjudged),
}

/// The virtual server that a packet matches, and its real servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance<'a> {
    /// The virtual server.
    pub server: &'a VirtualServer,
    /// The real servers, ordered by key. If none gets new connections, IPVS answers with an ICMP
    /// error.
    pub branches: Vec<Branch<'a>>,
}

impl Balance<'_> {
    /// Returns true if a client that has connected before stays with its real server.
    #[must_use]
    pub fn is_persistent(&self) -> bool {
        self.server.flags.contains(ServiceFlags::PERSISTENT)
    }
}

/// The path from IPVS to one real server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch<'a> {
    /// The real server.
    pub real: &'a RealServer,
    /// Steps after the choice.
    pub steps: Vec<Step<'a>>,
    /// Result, or the part that cannot be judged. `None` if the real server gets no new connections:
    /// its weight is 0, or the virtual server has port 0 and no persistence.
    pub outcome: Option<Result<Outcome, Unjudged>>,
}
