//! Compares the rules of one family.

use std::collections::BTreeSet;

use model::plan::{Difference, Reason};
use model::rules::{ChainKey, OURS, Rule, Rules, RulesPatch, Target};

use crate::rules::JUMPS;

/// Returns the patch that turns `live` into `wanted` and its reason, or `None` if nothing changes.
/// Chains in `held` cannot be deleted, since rules of other programs jump to them.
pub(super) fn compare(
    wanted: Option<&Rules>,
    live: Option<&Rules>,
    held: Option<&BTreeSet<ChainKey>>,
) -> Option<(RulesPatch, Reason)> {
    let none = Rules::default();
    let (is_wanted, was_there) = (wanted.is_some(), live.is_some_and(|live| *live != none));
    let (wanted, live) = (wanted.unwrap_or(&none), live.unwrap_or(&none));
    let mut patch = RulesPatch {
        chains: (wanted.chains.iter())
            .filter(|(key, rules)| live.chains.get(*key) != Some(*rules))
            .map(|(key, rules)| (key.clone(), rules.clone()))
            .collect(),
        ..RulesPatch::default()
    };
    for (key, rules) in &wanted.jumps {
        let there = live.jumps.get(key);
        // Jumps are inserted at the start of a chain, so the last one is inserted first.
        let missing = (rules.iter().rev())
            .filter(|rule| !there.is_some_and(|there| there.contains(rule)))
            .map(|rule| (key.clone(), rule.clone()));
        patch.insert_jumps.extend(missing);
    }
    patch.delete_jumps = (live.jumps.iter())
        .flat_map(|(key, rules)| rules.iter().map(move |rule| (key, rule)))
        .filter(|(key, rule)| {
            let kept = wanted.jumps.get(*key);
            is_our_jump(key, rule) && !kept.is_some_and(|kept| kept.contains(rule))
        })
        .map(|(key, rule)| (key.clone(), rule.clone()))
        .collect();
    patch.delete_chains = removable(wanted, live, held);
    let reason = match (is_wanted, was_there) {
        (false, _) => Reason::Unwanted,
        (true, false) => Reason::Missing,
        (true, true) => Reason::Differs(differences(&patch, live)),
    };
    (!patch.is_empty()).then_some((patch, reason))
}

/// Returns true for a jump that kube-proxy or kube-ipvs inserted into a built-in chain. Other
/// programs may also jump to our chains.
fn is_our_jump(key: &ChainKey, rule: &Rule) -> bool {
    (JUMPS.iter()).any(|(table, from, _, to)| {
        key.table == *table
            && &*key.chain == *from
            && matches!(&rule.target, Target::Jump(chain) if &**chain == *to)
    })
}

/// Returns the unwanted chains that can be deleted, because no remaining rule jumps to them.
fn removable(
    wanted: &Rules,
    live: &Rules,
    held: Option<&BTreeSet<ChainKey>>,
) -> BTreeSet<ChainKey> {
    let mut gone: BTreeSet<ChainKey> = (live.chains.keys())
        .filter(|key| !wanted.chains.contains_key(*key))
        .cloned()
        .collect();
    let mut kept: Vec<ChainKey> = held.into_iter().flatten().cloned().collect();
    for (key, rules) in &live.jumps {
        let others = rules.iter().filter(|rule| !is_our_jump(key, rule));
        kept.extend(others.filter_map(|rule| goes_to(key, rule)));
    }
    // The target of a remaining chain remains too.
    while let Some(key) = kept.pop() {
        if gone.remove(&key) {
            let rules = live.chains.get(&key).into_iter().flatten();
            kept.extend(rules.filter_map(|rule| goes_to(&key, rule)));
        }
    }
    gone
}

fn goes_to(from: &ChainKey, rule: &Rule) -> Option<ChainKey> {
    match &rule.target {
        Target::Jump(chain) => Some(ChainKey::new(from.table, chain.clone())),
        _ => None,
    }
}

/// Returns the first rule that differs in each chain of the patch.
fn differences(patch: &RulesPatch, live: &Rules) -> Vec<Difference> {
    let text = |rule: Option<&Rule>| rule.map_or_else(|| "none".to_owned(), Rule::to_string);
    let mut differences = Vec::new();
    for (key, wanted) in &patch.chains {
        let empty = Vec::new();
        let live = live.chains.get(key).unwrap_or(&empty);
        let same = (wanted.iter().zip(live)).take_while(|(a, b)| a == b);
        let place = same.count();
        differences.push(Difference {
            field: name_of(key),
            live: text(live.get(place)),
            desired: text(wanted.get(place)),
        });
    }
    for (_, rule) in &patch.insert_jumps {
        differences.push(Difference {
            field: "jump",
            live: "none".to_owned(),
            desired: rule.to_string(),
        });
    }
    for (_, rule) in &patch.delete_jumps {
        differences.push(Difference {
            field: "jump",
            live: rule.to_string(),
            desired: "none".to_owned(),
        });
    }
    for key in &patch.delete_chains {
        differences.push(Difference {
            field: name_of(key),
            live: "there".to_owned(),
            desired: "none".to_owned(),
        });
    }
    differences
}

fn name_of(key: &ChainKey) -> &'static str {
    let mut ours = OURS.iter();
    ours.find(|(table, chain)| key.table == *table && &*key.chain == *chain)
        .map_or("chain", |(_, chain)| chain)
}
