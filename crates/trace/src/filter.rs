//! The way of a packet through chains.

use std::net::IpAddr;

use ipvs::{AddressFamily, Protocol};
use model::NodeTables;
use model::rules::{ChainKey, Rule, Rules, Table, Target};

use crate::condition::Condition;
use crate::{RuleStep, Traversal, Unjudged, World};

/// The first packet of a connection on its path.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    pub(crate) mark: u32,
    pub(crate) entered: Entered,
    pub(crate) from_bridge_port: bool,
    /// Address and port of the virtual server by which IPVS sent the packet.
    pub(crate) sent_by: Option<(IpAddr, u16)>,
    /// False if connection tracking ignores the packet.
    pub(crate) tracked: bool,
    /// True for an answer to the first packet.
    pub(crate) answer: bool,
}

/// The interface by which a packet entered the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// No interface: the node or IPVS sends the packet.
    No,
    /// This interface.
    By(String),
    /// An unknown interface.
    Unknown,
}

/// Maximum depth of nested jumps. iptables refuses loops, but saved tables may contain them.
const MAX_DEPTH: usize = 16;

/// The rules of one family, and the sets that they use.
pub(crate) struct Filter<'a> {
    pub(crate) tables: &'a NodeTables,
    pub(crate) world: &'a World,
    rules: Option<&'a Rules>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(tables: &'a NodeTables, world: &'a World, family: AddressFamily) -> Self {
        Self {
            tables,
            world,
            rules: tables.rules.get(&family),
        }
    }

    /// Passes `packet` through our rules of a built-in chain. The traversal is complete up to the
    /// part that cannot be judged.
    pub(crate) fn traverse(
        &self,
        table: Table,
        chain: &'static str,
        packet: &mut Packet,
    ) -> (Traversal<'a>, Result<(), Unjudged>) {
        let mut walk = ChainWalk {
            filter: self,
            table,
            packet,
            rules: Vec::new(),
        };
        let jumps = self
            .rules
            .and_then(|rules| rules.jumps.get(&ChainKey::new(table, chain)));
        let decision = walk.chain(chain, jumps.map_or(&[], Vec::as_slice), 0);
        let rules = walk.rules;
        let (decision, judged) = match decision {
            Ok(decision) => (decision, Ok(())),
            Err(unjudged) => (None, Err(unjudged)),
        };
        let traversal = Traversal {
            table,
            chain,
            rules,
            decision,
            mark: packet.mark,
        };
        (traversal, judged)
    }
}

/// The traversal of one built-in chain.
struct ChainWalk<'a, 'b> {
    filter: &'b Filter<'a>,
    table: Table,
    packet: &'b mut Packet,
    rules: Vec<RuleStep<'a>>,
}

impl<'a> ChainWalk<'a, '_> {
    /// Returns `None` if the packet reaches the end of the chain or RETURN.
    fn chain(
        &mut self,
        chain: &'a str,
        rules: &'a [Rule],
        depth: usize,
    ) -> Result<Option<&'a Target>, Unjudged> {
        if depth > MAX_DEPTH {
            return Err(Unjudged(format!("more than {MAX_DEPTH} nested jumps")));
        }
        for rule in rules {
            if !self.matches(chain, rule)? {
                continue;
            }
            match &rule.target {
                Target::Accept | Target::Drop | Target::Reject(_) | Target::Masquerade { .. } => {
                    return Ok(Some(&rule.target));
                }
                Target::Return => return Ok(None),
                Target::Mark { value, mask } => {
                    self.packet.mark = (self.packet.mark & !mask) ^ value;
                }
                Target::Nothing => {}
                Target::Jump(chain) => {
                    let decision = self.jump(chain, depth)?;
                    if decision.is_some() {
                        return Ok(decision);
                    }
                }
                Target::Other(text) => return Err(Unjudged(format!("the target {text}"))),
            }
        }
        Ok(None)
    }

    fn jump(&mut self, chain: &'a str, depth: usize) -> Result<Option<&'a Target>, Unjudged> {
        let key = ChainKey::new(self.table, chain);
        let rules = (self.filter.rules).and_then(|rules| rules.chains.get(&key));
        let rules =
            rules.ok_or_else(|| Unjudged(format!("a jump to {chain}, which does not exist")))?;
        self.chain(chain, rules, depth + 1)
    }

    fn matches(&mut self, chain: &'a str, rule: &'a Rule) -> Result<bool, Unjudged> {
        let mut step = RuleStep {
            chain,
            rule,
            failed: None,
            sets: Vec::new(),
        };
        let condition = Condition {
            filter: self.filter,
            packet: self.packet,
        };
        for of_rule in &rule.matches {
            if !condition.holds(of_rule, &mut step.sets)? {
                step.failed = Some(of_rule);
                break;
            }
        }
        let matched = step.matched();
        self.rules.push(step);
        Ok(matched)
    }
}
