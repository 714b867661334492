//! Rules of other programs that packets to Services traverse: `filter` INPUT, and `raw` PREROUTING
//! and OUTPUT; on request also `filter` FORWARD and OUTPUT.
//!
//! The rules are evaluated for one packet: the first one of a connection. Its destination is known;
//! its path may be. A condition on an unknown property, or one that is not understood, may hold
//! or not.

mod condition;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
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
    /// `filter` FORWARD.
    Forward,
    /// `filter` OUTPUT: packets of the node itself, and packets that IPVS sends.
    Output,
    /// `raw` PREROUTING: packets from pods and from other machines.
    RawPrerouting,
    /// `raw` OUTPUT: packets of the node itself.
    RawOutput,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Self; 5] = [
        Self::Input,
        Self::Forward,
        Self::Output,
        Self::RawPrerouting,
        Self::RawOutput,
    ];

    /// Hooks that [`HostRules::parse`] reads, and findings report.
    pub const REPORTED: [Self; 3] = [Self::Input, Self::RawPrerouting, Self::RawOutput];

    fn is_filter(self) -> bool {
        matches!(self, Self::Input | Self::Forward | Self::Output)
    }

    fn table(self) -> &'static str {
        if self.is_filter() { "filter" } else { "raw" }
    }

    fn chain(self) -> &'static str {
        match self {
            Self::Input => "INPUT",
            Self::Forward => "FORWARD",
            Self::RawPrerouting => "PREROUTING",
            Self::Output | Self::RawOutput => "OUTPUT",
        }
    }

    /// Returns true if `action` is harmful at this hook: a drop in `filter`, no tracking in `raw`.
    fn is_harm(self, action: &Action) -> bool {
        match action {
            Action::Drop | Action::Reject(_) => self.is_filter(),
            Action::NoTrack => !self.is_filter(),
            _ => false,
        }
    }
}

/// Prints as `filter INPUT`.
impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table(), self.chain())
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
    /// Drops the packet and answers as this value of `--reject-with` says.
    Reject(Name),
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

/// The path of a packet, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPath {
    /// Source address.
    pub source: Option<IpAddr>,
    /// Interface by which the packet enters the node. Unknown is any interface except `lo`.
    pub entry: Option<Name>,
    /// Interface by which the packet leaves the node.
    pub exit: Option<Name>,
    /// True for an answer of a tracked connection instead of its first packet.
    pub answer: bool,
}

/// Result of the rules of other programs for a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostVerdict {
    /// No rule or policy is harmful for the packet.
    Unharmed,
    /// A rule or policy is.
    Harmed(HarmfulTarget),
    /// The result depends on this rule, which cannot be evaluated.
    Unknown(String),
}

/// The rule or policy that ends the path of a packet, or exempts it from connection tracking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HarmfulTarget {
    /// The rule in backquotes, or the policy.
    pub by: String,
    /// Value of `--reject-with` of a rule that answers the packet; `None` if nothing is answered.
    pub reject_with: Option<Name>,
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
    /// Returns true if a rule or policy of `hook` may be harmful.
    #[must_use]
    pub fn may_harm(&self, hook: Hook) -> bool {
        self.hooks.contains_key(&hook)
    }

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
        let mut walk = Walk {
            hook,
            rules: self.hooks.get(&hook)?,
            packet,
            path: &HostPath::default(),
            sets,
            steps,
            unless: None,
            doubt: None,
            threat: None,
        };
        let harm = walk.harm()?;
        Some(Harm {
            by: harm.by,
            unless: walk.unless,
        })
    }

    /// Evaluates `packet` on `path` at `hook`. Unlike [`Self::judge`] it reports every doubt.
    ///
    /// `sets` and `steps` are those of `judge`.
    #[must_use]
    pub fn verdict(
        &self,
        hook: Hook,
        packet: HostPacket,
        path: &HostPath,
        sets: &BTreeMap<SetName, Set>,
        steps: &mut usize,
    ) -> HostVerdict {
        let Some(rules) = self.hooks.get(&hook) else {
            return HostVerdict::Unharmed;
        };
        let mut walk = Walk {
            hook,
            rules,
            packet,
            path,
            sets,
            steps,
            unless: None,
            doubt: None,
            threat: None,
        };
        let harm = walk.harm();
        match (harm, walk.doubt, walk.threat) {
            (_, Some(rule), _) | (None, None, Some(rule)) => HostVerdict::Unknown(rule),
            (Some(harm), None, _) => HostVerdict::Harmed(harm),
            (None, None, None) => HostVerdict::Unharmed,
        }
    }
}

/// Maximum depth of nested jumps. Deeper chains are not evaluated.
const MAX_DEPTH: usize = 16;

/// Evaluation of one packet in the chains of a hook.
struct Walk<'a> {
    hook: Hook,
    rules: &'a HookRules,
    packet: HostPacket,
    path: &'a HostPath,
    sets: &'a BTreeMap<SetName, Set>,
    steps: &'a mut usize,
    unless: Option<Name>,
    /// The first rule in backquotes that may save the packet and cannot be evaluated, or the limit
    /// that ended the evaluation.
    doubt: Option<String>,
    /// The first rule in backquotes that may harm the packet and cannot be evaluated.
    threat: Option<String>,
}

/// State of a packet at the end of a chain.
enum Flow<'a> {
    /// The packet continues after the rule that jumped to the chain.
    Next,
    /// The packet left all chains unharmed, or its fate is unknown.
    Safe,
    /// The packet was dropped or exempted from tracking by this rule.
    Harmed(&'a HostRule),
}

impl<'a> Walk<'a> {
    /// Evaluates the hook, and returns the rule or policy that is harmful.
    fn harm(&mut self) -> Option<HarmfulTarget> {
        let chain = self.hook.chain();
        match self.chain(chain, true, 0) {
            Flow::Next if self.rules.drops => Some(HarmfulTarget {
                by: format!("policy DROP of chain {chain}"),
                reject_with: None,
            }),
            Flow::Harmed(rule) => Some(HarmfulTarget {
                by: format!("rule `{}`", rule.text),
                reject_with: match &rule.action {
                    Action::Reject(with) => Some(with.clone()),
                    _ => None,
                },
            }),
            Flow::Next | Flow::Safe => None,
        }
    }

    /// Notes a rule whose effect is not certain.
    fn note(&mut self, rule: &HostRule, sure: bool) {
        let note = match &rule.action {
            action if self.hook.is_harm(action) => (!sure).then_some(&mut self.threat),
            Action::Leave => Some(&mut self.doubt),
            Action::Pass | Action::NoTrack | Action::Jump(_) => None,
            Action::Accept
            | Action::Drop
            | Action::Reject(_)
            | Action::Return
            | Action::Goto(_) => (!sure).then_some(&mut self.doubt),
        };
        if let Some(note) = note {
            note.get_or_insert_with(|| format!("`{}`", rule.text));
        }
    }

    /// Evaluates `chain`. If `certain` is false, the packet may not reach the chain, and nothing
    /// found there is certain.
    fn chain(&mut self, chain: &str, mut certain: bool, depth: usize) -> Flow<'a> {
        if depth > MAX_DEPTH {
            let limit = || format!("more than {MAX_DEPTH} nested jumps");
            self.doubt.get_or_insert_with(limit);
            return Flow::Safe;
        }
        let rules = self.rules;
        for rule in rules.chains.get(chain).into_iter().flatten() {
            let Some(left) = self.steps.checked_sub(1) else {
                self.doubt
                    .get_or_insert_with(|| "too many rules".to_owned());
                return Flow::Safe;
            };
            *self.steps = left;
            let sure = match self.holds(rule) {
                MatchResult::No => continue,
                MatchResult::Yes => certain,
                MatchResult::Maybe => false,
            };
            self.note(rule, sure);
            match &rule.action {
                action if self.hook.is_harm(action) => {
                    if sure {
                        return Flow::Harmed(rule);
                    }
                }
                Action::Accept | Action::Drop | Action::Reject(_) | Action::Leave => {
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
            match condition.holds(self.packet, self.path, self.sets) {
                MatchResult::No => return MatchResult::No,
                MatchResult::Maybe => all = MatchResult::Maybe,
                MatchResult::Yes => {}
            }
        }
        all
    }
}
