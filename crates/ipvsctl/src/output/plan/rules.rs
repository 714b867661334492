//! Changes of rules as a unified diff of each chain.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use ipvs::AddressFamily;
use model::escaped;
use model::rules::{ChainKey, Rule, Rules, RulesPatch};
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};

/// Number of unchanged rules shown before and after a change.
const CONTEXT: usize = 1;

/// Time for the shortest diff of one chain. A longer search gives a longer diff.
const SEARCH: Duration = Duration::from_millis(200);

/// Rules of each family before a plan.
pub type LiveRules = BTreeMap<AddressFamily, Rules>;

/// Changed rules of one chain that are near each other. Prints as the heading `nat KUBE-SERVICES
/// (IPv4)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleHunk {
    /// Family of the rules.
    pub family: AddressFamily,
    /// The chain.
    pub chain: ChainKey,
    /// Change of the chain itself.
    pub change: ChainChange,
    /// Rules, in the order of the chain. Deleted rules precede the ones that replace them.
    pub lines: Vec<RuleLine>,
}

/// Change of a chain itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainChange {
    /// The chain stays.
    None,
    /// The chain is created.
    Created,
    /// The chain is deleted.
    Deleted,
}

/// One rule of a diff. Prints with its mark, as `+ -A KUBE-SERVICES -j …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleLine {
    /// The rule stays.
    Same(String),
    /// The rule is added.
    Added(String),
    /// The rule is deleted.
    Deleted(String),
}

impl fmt::Display for RuleHunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = match self.change {
            ChainChange::None => "",
            ChainChange::Created => ", new chain",
            ChainChange::Deleted => ", deleted chain",
        };
        write!(f, "{} ({}{change})", self.chain, self.family)
    }
}

impl fmt::Display for RuleLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, rule) = match self {
            Self::Same(rule) => (' ', rule),
            Self::Added(rule) => ('+', rule),
            Self::Deleted(rule) => ('-', rule),
        };
        write!(f, "{mark} {rule}")
    }
}

/// Rules while the patches of a plan are applied one after the other.
#[derive(Debug)]
pub struct RuleLines {
    rules: LiveRules,
}

impl RuleLines {
    /// Starts with the rules `live`.
    #[must_use]
    pub fn new(live: &LiveRules) -> Self {
        Self {
            rules: live.clone(),
        }
    }

    /// Applies `patch` and returns the changes of each chain, by table and chain.
    pub fn apply(&mut self, family: AddressFamily, patch: &RulesPatch) -> Vec<RuleHunk> {
        let rules = self.rules.entry(family).or_default();
        let before = rules.clone();
        patch.apply(rules);
        RuleHunk::between(family, &before, rules)
    }
}

impl RuleHunk {
    /// Returns the changes of each chain that turn the rules `before` into `after`, by table and
    /// chain.
    #[must_use]
    pub fn between(family: AddressFamily, before: &Rules, after: &Rules) -> Vec<Self> {
        let keys: BTreeSet<&ChainKey> = ([before, after].into_iter())
            .flat_map(|rules| rules.chains.keys().chain(rules.jumps.keys()))
            .collect();
        let hunks = keys.into_iter().flat_map(|key| {
            let [before, after] = [before, after].map(|rules| rules_of(rules, key));
            match before == after {
                true => Vec::new(),
                false => hunks(family, key, before, after),
            }
        });
        hunks.collect()
    }
}

/// Returns the rules of a chain; `None` if the chain does not exist or has no rules of ours.
fn rules_of<'a>(rules: &'a Rules, key: &ChainKey) -> Option<&'a [Rule]> {
    let found = rules.chains.get(key).or_else(|| rules.jumps.get(key));
    found.map(Vec::as_slice)
}

fn hunks(
    family: AddressFamily,
    key: &ChainKey,
    before: Option<&[Rule]>,
    after: Option<&[Rule]>,
) -> Vec<RuleHunk> {
    let change = match (before, after) {
        _ if !key.is_ours() => ChainChange::None,
        (None, Some(_)) => ChainChange::Created,
        (Some(_), None) => ChainChange::Deleted,
        (Some(_), Some(_)) | (None, None) => ChainChange::None,
    };
    let hunk = |lines| RuleHunk {
        family,
        chain: key.clone(),
        change,
        lines,
    };
    let texts = |rules: Option<&[Rule]>| -> Vec<String> {
        let rules = rules.unwrap_or_default().iter();
        let line = |rule| escaped(&format!("-A {} {rule}", key.chain));
        rules.map(line).collect()
    };
    let (before, after) = (texts(before), texts(after));
    let deadline = Instant::now().checked_add(SEARCH);
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &before, &after, deadline);
    let groups = group_diff_ops(ops, CONTEXT);
    if groups.is_empty() && change != ChainChange::None {
        return vec![hunk(Vec::new())];
    }
    let lines = |ops: Vec<DiffOp>| {
        ops.iter()
            .flat_map(|op| lines(op, &before, &after))
            .collect()
    };
    groups.into_iter().map(|ops| hunk(lines(ops))).collect()
}

fn lines(op: &DiffOp, before: &[String], after: &[String]) -> Vec<RuleLine> {
    let old = before
        .get(op.old_range())
        .unwrap_or_default()
        .iter()
        .cloned();
    let new = after
        .get(op.new_range())
        .unwrap_or_default()
        .iter()
        .cloned();
    match op {
        DiffOp::Equal { .. } => new.map(RuleLine::Same).collect(),
        DiffOp::Delete { .. } => old.map(RuleLine::Deleted).collect(),
        DiffOp::Insert { .. } => new.map(RuleLine::Added).collect(),
        DiffOp::Replace { .. } => (old.map(RuleLine::Deleted))
            .chain(new.map(RuleLine::Added))
            .collect(),
    }
}
