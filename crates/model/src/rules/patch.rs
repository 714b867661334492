//! Changes of the packet filter's rules. A patch leaves unchanged chains alone.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{ChainKey, Rule, Rules, Table};
use crate::plan::OpEffect;

/// Changes that turn the rules of one family into others. `iptables-restore` commits the changes of
/// a table atomically: no packet sees only some of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulesPatch {
    /// Chains of ours that are created or rewritten, with all their rules.
    pub chains: BTreeMap<ChainKey, Vec<Rule>>,
    /// Chains of ours that are deleted. After the patch no rule may jump to them.
    pub delete_chains: BTreeSet<ChainKey>,
    /// Rules that are inserted at the head of built-in chains, one after the other. The last one
    /// inserted into a chain ends up first.
    pub insert_jumps: Vec<(ChainKey, Rule)>,
    /// Rules that are deleted from built-in chains, each once.
    pub delete_jumps: Vec<(ChainKey, Rule)>,
}

impl RulesPatch {
    /// Returns true if the patch changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the effect of the patch as a whole: delete if it only deletes, otherwise change.
    #[must_use]
    pub fn effect(&self) -> OpEffect {
        if self.chains.is_empty() && self.insert_jumps.is_empty() {
            OpEffect::Delete
        } else {
            OpEffect::Change
        }
    }

    /// Returns the input of `iptables-restore --noflush`. For each table it has a line that creates
    /// or empties each affected chain, then the rules, then `COMMIT`.
    #[must_use]
    pub fn to_restore(&self) -> String {
        let lines = Table::ALL.into_iter().flat_map(|table| self.table(table));
        lines.flat_map(|line| [line, "\n".to_owned()]).collect()
    }

    fn table(&self, table: Table) -> Vec<String> {
        let chains = || self.chains.iter().filter(|(key, _)| key.table == table);
        let deleted = || (self.delete_chains.iter()).filter(|key| key.table == table);
        let mut lines: Vec<String> = (chains().map(|(key, _)| key))
            .chain(deleted())
            .map(|key| format!(":{} - [0:0]", key.chain))
            .collect();
        let rules = |verb: &'static str, rules: &[(ChainKey, Rule)]| -> Vec<String> {
            (rules.iter())
                .filter(|(key, _)| key.table == table)
                .map(|(key, rule)| format!("{verb} {} {rule}", key.chain))
                .collect()
        };
        lines.extend(rules("-D", &self.delete_jumps));
        lines.extend(chains().flat_map(|(key, rules)| {
            (rules.iter()).map(move |rule| format!("-A {} {rule}", key.chain))
        }));
        lines.extend(rules("-I", &self.insert_jumps));
        lines.extend(deleted().map(|key| format!("-X {}", key.chain)));
        if !lines.is_empty() {
            lines.insert(0, format!("*{table}"));
            lines.push("COMMIT".to_owned());
        }
        lines
    }

    /// Changes `rules` as the packet filter does when it applies the patch.
    pub fn apply(&self, rules: &mut Rules) {
        for (key, rule) in &self.delete_jumps {
            if let Some(jumps) = rules.jumps.get_mut(key) {
                if let Some(place) = jumps.iter().position(|there| there == rule) {
                    jumps.remove(place);
                }
                if jumps.is_empty() {
                    rules.jumps.remove(key);
                }
            }
        }
        for (key, chain) in &self.chains {
            rules.chains.insert(key.clone(), chain.clone());
        }
        for (key, rule) in &self.insert_jumps {
            let jumps = rules.jumps.entry(key.clone()).or_default();
            jumps.insert(0, rule.clone());
        }
        for key in &self.delete_chains {
            rules.chains.remove(key);
        }
    }
}

/// Prints the changes in one line: "write nat KUBE-SERVICES; insert into nat OUTPUT: -j
/// KUBE-SERVICES".
impl fmt::Display for RulesPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chains = self.chains.keys().map(|key| format!("write {key}"));
        let insert = |(key, rule): &(ChainKey, Rule)| format!("insert into {key}: {}", rule.target);
        let delete = |(key, rule): &(ChainKey, Rule)| format!("delete from {key}: {}", rule.target);
        let gone = (self.delete_chains.iter()).map(|key| format!("delete {key}"));
        let words: Vec<String> = (self.delete_jumps.iter().map(delete))
            .chain(chains)
            .chain(self.insert_jumps.iter().map(insert))
            .chain(gone)
            .collect();
        f.write_str(&words.join("; "))
    }
}

/// Prints as `nat KUBE-SERVICES`.
impl fmt::Display for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table, self.chain)
    }
}
