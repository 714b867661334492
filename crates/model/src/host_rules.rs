//! Rules of other programs that packets to Services traverse: `filter` INPUT, and `raw` PREROUTING
//! and OUTPUT.
//!
//! The rules are evaluated for one packet: the first one of a connection. Its destination is known;
//! its source and interface are not. A condition on an unknown property, or one that is not
//! understood, may hold or not.

mod condition;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipset::{Set, SetName};
use ipvs::Protocol;

use crate::names::Name;
use crate::rules::{ChainKey, Rules, Table};

use self::condition::{Condition, MatchResult};

/// Rules of one family that could drop packets of Services or exempt them from connection tracking.
/// Empty on most nodes: the chains of a hook are kept only if the hook has such a rule or policy,
/// together with all chains that they jump to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRules {
    hooks: BTreeMap<Hook, HookRules>,
}

/// Our chain in `filter` that accepts packets.
const ACCEPTING: &str = "KUBE-NODE-PORT";

/// A built-in chain whose rules are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// `filter` INPUT: a packet dropped here never reaches IPVS.
    Input,
    /// `raw` PREROUTING: packets from pods and from other machines.
    RawPrerouting,
    /// `raw` OUTPUT: packets of the node itself.
    RawOutput,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Self; 3] = [Self::Input, Self::RawPrerouting, Self::RawOutput];

    fn table(self) -> &'static str {
        match self {
            Self::Input => "filter",
            Self::RawPrerouting | Self::RawOutput => "raw",
        }
    }

    fn chain(self) -> &'static str {
        match self {
            Self::Input => "INPUT",
            Self::RawPrerouting => "PREROUTING",
            Self::RawOutput => "OUTPUT",
        }
    }

    /// Returns true if `action` is harmful at this hook: a drop in `filter`, no tracking in `raw`.
    fn is_harm(self, action: &Action) -> bool {
        match self {
            Self::Input => *action == Action::Drop,
            Self::RawPrerouting | Self::RawOutput => *action == Action::NoTrack,
        }
    }
}

/// The chains of one hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct HookRules {
    /// True if the chain's policy is DROP.
    drops: bool,
    chains: BTreeMap<Name, Vec<HostRule>>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HostRule {
    /// The rule as `iptables-save` prints it, `-A INPUT -j DROP`.
    text: Name,
    conditions: Vec<Condition>,
    action: Action,
}

/// Action of a rule, reduced to the cases that the evaluation distinguishes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Accept,
    Drop,
    NoTrack,
    Return,
    Jump(Name),
    Goto(Name),
    /// The packet leaves the chains, and its fate is unknown, as with NFQUEUE.
    Leave,
    /// The packet continues with the next rule.
    Pass,
}

/// The first packet of a connection, with its known properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPacket {
    /// Destination address: a virtual address, or an address of the node.
    pub address: IpAddr,
    /// Destination port.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
}

/// A rule or policy that drops a packet or exempts it from connection tracking.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Harm {
    /// The rule in backquotes, or the policy.
    pub by: String,
    /// The first earlier rule that accepts some of these packets, depending on unknown properties.
    pub unless: Option<Name>,
}

impl HostRules {
    /// Returns true if no rule or policy can be harmful.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hooks.is_empty()
    }

    /// Returns these rules with the current contents of our accepting chain, taken from `ours`,
    /// which may be newer than this reading. If no rule of INPUT jumps to the chain, a jump is
    /// added at the head, where kube-ipvsd inserts its jumps.
    #[must_use]
    pub fn beside(&self, ours: &Rules) -> Self {
        let mut all = self.clone();
        let key = ChainKey::new(Table::Filter, ACCEPTING);
        if let (Some(input), Some(rules)) = (all.hooks.get_mut(&Hook::Input), ours.chains.get(&key))
        {
            let rules = rules.iter().map(|rule| HostRule::of(ACCEPTING, rule));
            input.chains.insert(ACCEPTING.into(), rules.collect());
            let jump = Action::Jump(ACCEPTING.into());
            let first = input.chains.entry(Hook::Input.chain().into()).or_default();
            if !first.iter().any(|rule| rule.action == jump) {
                let jump = HostRule {
                    text: format!("-A INPUT -j {ACCEPTING}").into(),
                    conditions: Vec::new(),
                    action: jump,
                };
                first.insert(0, jump);
            }
        }
        all
    }

    /// Evaluates `packet` at `hook`.
    ///
    /// - `sets` has the contents of our sets. Any other set may contain the packet or not.
    /// - `steps` is the number of rules that may still be evaluated, over several calls.
    ///
    /// Returns the harm that is certain for all packets that no [`Harm::unless`] accepts; `None` if
    /// there is no harm, or none that is certain.
    #[must_use]
    pub fn judge(
        &self,
        hook: Hook,
        packet: HostPacket,
        sets: &BTreeMap<SetName, Set>,
        steps: &mut usize,
    ) -> Option<Harm> {
        let rules = self.hooks.get(&hook)?;
        let mut walk = Walk {
            hook,
            rules,
            packet,
            sets,
            steps,
            unless: None,
        };
        let by = match walk.chain(hook.chain(), true, 0) {
            Flow::Next if rules.drops => format!("policy DROP of chain {}", hook.chain()),
            Flow::Harmed(rule) => format!("rule `{rule}`"),
            Flow::Next | Flow::Safe => return None,
        };
        Some(Harm {
            by,
            unless: walk.unless,
        })
    }
}

/// Maximum depth of nested jumps. Deeper chains are not evaluated.
const MAX_DEPTH: usize = 16;

/// Evaluation of one packet in the chains of a hook.
struct Walk<'a> {
    hook: Hook,
    rules: &'a HookRules,
    packet: HostPacket,
    sets: &'a BTreeMap<SetName, Set>,
    steps: &'a mut usize,
    unless: Option<Name>,
}

/// State of a packet at the end of a chain.
enum Flow {
    /// The packet continues after the rule that jumped to the chain.
    Next,
    /// The packet left all chains unharmed, or its fate is unknown.
    Safe,
    /// The packet was dropped or exempted from tracking by this rule.
    Harmed(Name),
}

impl Walk<'_> {
    /// Evaluates `chain`. If `certain` is false, the packet may not reach the chain, and nothing
    /// found there is certain.
    fn chain(&mut self, chain: &str, mut certain: bool, depth: usize) -> Flow {
        if depth > MAX_DEPTH {
            return Flow::Safe;
        }
        let rules = self.rules;
        for rule in rules.chains.get(chain).into_iter().flatten() {
            let Some(left) = self.steps.checked_sub(1) else {
                return Flow::Safe;
            };
            *self.steps = left;
            let sure = match self.holds(rule) {
                MatchResult::No => continue,
                MatchResult::Yes => certain,
                MatchResult::Maybe => false,
            };
            match &rule.action {
                action if self.hook.is_harm(action) => {
                    if sure {
                        return Flow::Harmed(rule.text.clone());
                    }
                }
                Action::Accept | Action::Drop | Action::Leave => {
                    if sure {
                        return Flow::Safe;
                    }
                    self.unless.get_or_insert_with(|| rule.text.clone());
                }
                Action::Return if sure => return Flow::Next,
                Action::Return => certain = false,
                Action::Jump(target) => match self.chain(target, sure, depth + 1) {
                    Flow::Next => {}
                    flow => return flow,
                },
                Action::Goto(target) => match self.chain(target, sure, depth + 1) {
                    Flow::Next if !sure => certain = false,
                    flow => return flow,
                },
                Action::NoTrack | Action::Pass => {}
            }
        }
        Flow::Next
    }

    fn holds(&self, rule: &HostRule) -> MatchResult {
        let mut all = MatchResult::Yes;
        for condition in &rule.conditions {
            match condition.holds(self.packet, self.sets) {
                MatchResult::No => return MatchResult::No,
                MatchResult::Maybe => all = MatchResult::Maybe,
                MatchResult::Yes => {}
            }
        }
        all
    }
}
