//! Rules of other programs that packets to Services pass: `filter` INPUT, and `raw` PREROUTING and OUTPUT.
//!
//! The rules are judged for one packet at a time: the first one of a connection, whose destination is known and whose source and
//! interface are not. A condition that depends on these, or that is not understood, may hold or not.

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

use self::condition::{Condition, Holds};

/// Rules of one family that could take packets of Services away from IPVS or from the connection tracker. Empty on most nodes:
/// kept are the chains of a hook that has a rule or a policy of that kind, with all chains that they lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRules {
    hooks: BTreeMap<Hook, HookRules>,
}

/// The chain of ours in `filter` that accepts packets.
const ACCEPTING: &str = "KUBE-NODE-PORT";

/// A built-in chain that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// `filter` INPUT: a packet that it drops never reaches IPVS.
    Input,
    /// `raw` PREROUTING: packets from pods and other machines.
    RawPrerouting,
    /// `raw` OUTPUT: packets of the node itself.
    RawOutput,
}

impl Hook {
    /// All of them.
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

    /// Returns true if `action` is what this hook is looked at for.
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
    /// True if packets that no rule decides are dropped.
    drops: bool,
    chains: BTreeMap<Name, Vec<HostRule>>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HostRule {
    /// As `iptables-save` prints it, `-A INPUT -j DROP`.
    text: Name,
    conditions: Vec<Condition>,
    action: Action,
}

/// The action of a rule, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Accept,
    Drop,
    NoTrack,
    Return,
    Jump(Name),
    Goto(Name),
    /// The packet leaves the chains in a way that is not understood, as with NFQUEUE.
    Leave,
    /// The next rule follows.
    Pass,
}

/// The first packet of a connection, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPacket {
    /// Its destination: a virtual address, or an address of the node.
    pub address: IpAddr,
    /// Its destination port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

/// The rule or policy that takes a packet away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Harm {
    /// The rule in quotes, or the policy.
    pub by: String,
    /// The first rule before it that accepts some of these packets, by properties that are not known.
    pub unless: Option<Name>,
}

impl HostRules {
    /// Returns true if no packet can be taken away.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hooks.is_empty()
    }

    /// Returns these rules with our accepting chain as `ours` has it now, which may be newer than this reading. Where no rule of INPUT
    /// leads there, it comes first: kube-ipvsd inserts its jumps at the head.
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

    /// Judges `packet` at `hook`. Rules look into `sets`; sets that are not among them may hold the packet or not. `steps` is the
    /// number of rules that may still be looked at.
    ///
    /// Returns the harm that is certain, at least for packets that [`Harm::unless`] leaves; none where there is none, or where that
    /// cannot be known.
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

/// Chains that jump to each other no deeper than this are looked at.
const DEPTH: usize = 16;

/// The way of one packet through the chains of a hook.
struct Walk<'a> {
    hook: Hook,
    rules: &'a HookRules,
    packet: HostPacket,
    sets: &'a BTreeMap<SetName, Set>,
    steps: &'a mut usize,
    unless: Option<Name>,
}

/// Where a packet is after a chain.
enum Flow {
    /// Behind the rule that led there.
    Next,
    /// Out of reach of further rules, or it is not known where.
    Safe,
    /// Taken away by this rule.
    Harmed(Name),
}

impl Walk<'_> {
    /// Goes through `chain`. Without `certain` it is not known if the packet comes there: nothing there is then certain either.
    fn chain(&mut self, chain: &str, mut certain: bool, depth: usize) -> Flow {
        if depth > DEPTH {
            return Flow::Safe;
        }
        let rules = self.rules;
        for rule in rules.chains.get(chain).into_iter().flatten() {
            let Some(left) = self.steps.checked_sub(1) else {
                return Flow::Safe;
            };
            *self.steps = left;
            let sure = match self.holds(rule) {
                Holds::No => continue,
                Holds::Yes => certain,
                Holds::Maybe => false,
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

    fn holds(&self, rule: &HostRule) -> Holds {
        let mut all = Holds::Yes;
        for condition in &rule.conditions {
            match condition.holds(self.packet, self.sets) {
                Holds::No => return Holds::No,
                Holds::Maybe => all = Holds::Maybe,
                Holds::Yes => {}
            }
        }
        all
    }
}
