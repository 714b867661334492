//! Parses the output of `iptables-save`.

use std::collections::BTreeMap;

use super::{Action, Condition, Hook, HookRules, HostRule, HostRules};
use crate::names::Name;
use crate::rules::{ChainKey, Rule, Table, Target};

/// Maximum number of rules of one hook. A hook with more rules is not evaluated.
const MAX_RULES: usize = 4096;

/// Answer of a REJECT without options, which `iptables-save` never prints
/// (`REJECT_init`, extensions/libipt_REJECT.c, iptables 1.8.9).
const DEFAULT_REJECT: &str = "icmp-port-unreachable";

/// Maximum length of a rule's text in messages, characters.
const MAX_TEXT: usize = 300;

impl HostRules {
    /// Parses the output of `iptables-save` or `ip6tables-save`, for the hooks that findings report.
    /// Lines that do not parse are skipped.
    #[must_use]
    pub fn parse(saved: &str) -> Self {
        Self::parse_hooks(saved, &Hook::REPORTED)
    }

    /// Parses the rules of `hooks` in the output of `iptables-save` or `ip6tables-save`. Lines that
    /// do not parse are skipped.
    #[must_use]
    pub fn parse_hooks(saved: &str, hooks: &[Hook]) -> Self {
        let lines: Vec<(&str, &str)> = lines_of_tables(saved).collect();
        let hooks = hooks.iter().copied();
        Self {
            hooks: hooks
                .filter_map(|hook| Some((hook, read(hook, &lines)?)))
                .collect(),
        }
    }
}

/// Returns the lines of the tables `filter` and `raw`, each with the name of its table.
fn lines_of_tables(saved: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut table = "";
    saved.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('*') {
            table = name;
            return None;
        }
        matches!(table, "filter" | "raw").then_some((table, line))
    })
}

/// Returns the rules of `hook`; `None` if they cannot be harmful, or are too many.
fn read(hook: Hook, lines: &[(&str, &str)]) -> Option<HookRules> {
    let lines = || (lines.iter()).filter(|(table, _)| *table == hook.table());
    let texts = lines().map(|(_, line)| *line);
    let policy = format!(":{} DROP", hook.chain());
    let drops = hook.is_filter() && texts.clone().any(|line| line.starts_with(&policy));
    if !drops && !texts.clone().any(|line| may_harm(hook, line)) {
        return None;
    }
    let mut chains: BTreeMap<Name, Vec<&str>> = BTreeMap::new();
    for line in texts {
        if let Some(chain) = line.strip_prefix(':') {
            let chain = chain.split_ascii_whitespace().next().unwrap_or_default();
            chains.entry(chain.into()).or_default();
        } else if let Some((chain, rule)) = rule_of(line) {
            chains.entry(chain.into()).or_default().push(rule);
        }
    }
    let known = |name: &str| chains.contains_key(name);
    let mut count = 0;
    let mut parsed = BTreeMap::new();
    let mut next: Vec<Name> = vec![hook.chain().into()];
    while let Some(chain) = next.pop() {
        if parsed.contains_key(&chain) {
            continue;
        }
        let texts = match is_exempt(hook, &chain) {
            true => &[][..],
            false => chains.get(&chain).map_or(&[][..], Vec::as_slice),
        };
        count += texts.len();
        if count > MAX_RULES {
            return None;
        }
        let rules: Vec<HostRule> = (texts.iter())
            .map(|text| HostRule::convert(&chain, text, &Rule::parse(text), known))
            .collect();
        next.extend(rules.iter().filter_map(|rule| match &rule.action {
            Action::Jump(target) | Action::Goto(target) => Some(target.clone()),
            _ => None,
        }));
        parsed.insert(chain, rules);
    }
    let harms = (parsed.values().flatten()).any(|rule| hook.is_harm(&rule.action));
    (drops || harms).then_some(HookRules {
        drops,
        chains: parsed,
    })
}

/// Returns true if the line is a rule that could be harmful, by its text alone. This check is
/// cheap, and on most nodes it is the only one.
fn may_harm(hook: Hook, line: &str) -> bool {
    let Some((chain, rule)) = rule_of(line) else {
        return false;
    };
    if is_exempt(hook, chain) {
        return false;
    }
    match hook.is_filter() {
        true => rule.contains("-j DROP") || rule.contains("-j REJECT"),
        false => rule.contains("-j NOTRACK") || rule.contains("--notrack"),
    }
}

/// Returns the chain and the rule of `-A CHAIN RULE`, with or without counters before it.
fn rule_of(line: &str) -> Option<(&str, &str)> {
    let line = match line.strip_prefix('[').and_then(|line| line.split_once(']')) {
        Some((_, line)) => line.trim_start(),
        None => line,
    };
    let rule = line.strip_prefix("-A ")?;
    Some(rule.split_once(' ').unwrap_or((rule, "")))
}

/// Returns true if `chain` is ours and not evaluated: packets that our own chains drop are dropped
/// on purpose.
fn is_exempt(hook: Hook, chain: &str) -> bool {
    hook.is_filter() && ChainKey::new(Table::Filter, chain).is_ours()
}

impl HostRule {
    /// Converts `rule` of `chain`. The rule must not jump to another chain.
    pub(super) fn of(chain: &str, rule: &Rule) -> Self {
        Self::convert(chain, &rule.to_string(), rule, |_| false)
    }

    fn convert(chain: &str, text: &str, rule: &Rule, known: impl Fn(&str) -> bool) -> Self {
        let text = format!("-A {chain} {text}");
        Self {
            text: text.chars().take(MAX_TEXT).collect::<String>().into(),
            conditions: rule.matches.iter().map(Condition::of).collect(),
            action: action(&rule.target, known),
        }
    }
}

fn action(target: &Target, known: impl Fn(&str) -> bool) -> Action {
    match target {
        Target::Accept => Action::Accept,
        Target::Drop => Action::Drop,
        Target::Reject(with) => Action::Reject(with.clone()),
        Target::Return => Action::Return,
        Target::Jump(chain) if known(chain) => Action::Jump(chain.clone()),
        Target::Jump(extension) => of_extension(extension),
        Target::Nothing | Target::Mark { .. } | Target::Masquerade { .. } => Action::Pass,
        Target::Other(text) => match text.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
            ["-g", chain] if known(chain) => Action::Goto((*chain).into()),
            ["-j", "CT", options @ ..] if options.contains(&"--notrack") => Action::NoTrack,
            ["-j", extension, ..] => of_extension(extension),
            _ => Action::Pass,
        },
    }
}

fn of_extension(name: &str) -> Action {
    match name {
        "NOTRACK" => Action::NoTrack,
        "REJECT" => Action::Reject(DEFAULT_REJECT.into()),
        "QUEUE" | "NFQUEUE" | "TPROXY" | "SYNPROXY" => Action::Leave,
        _ => Action::Pass,
    }
}
