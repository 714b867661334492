//! Prints and parses the output of `iptables-save`.

use std::collections::BTreeSet;

use super::parse::is_open;
use super::{ChainKey, Rule, Rules, Table, Target};

/// Text that is not an output of `iptables-save`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RulesError {
    /// Line number, starting at 1.
    pub line: usize,
    /// The text that was found and what was expected.
    pub problem: String,
}

impl Rules {
    /// Prints the rules as `iptables-save` does, without counters. For each table with rules: our
    /// chains, the jumps from built-in chains, the rules of our chains, and `COMMIT`.
    #[must_use]
    pub fn print(&self) -> String {
        let lines = Table::ALL.into_iter().flat_map(|table| self.table(table));
        lines.flat_map(|line| [line, "\n".to_owned()]).collect()
    }

    fn table(&self, table: Table) -> Vec<String> {
        let chains = || self.chains.iter().filter(|(key, _)| key.table == table);
        let mut jumps: Vec<_> = self.jumps.iter().collect();
        jumps.retain(|(key, rules)| key.table == table && !rules.is_empty());
        jumps.sort_by_key(|(key, _)| {
            let built_in = table.built_in();
            built_in.iter().position(|name| *name == &*key.chain)
        });
        if jumps.is_empty() && chains().next().is_none() {
            return Vec::new();
        }
        let mut lines = vec![format!("*{table}")];
        lines.extend(chains().map(|(key, _)| format!(":{} -", key.chain)));
        for (key, rules) in jumps.into_iter().chain(chains()) {
            lines.extend(rules.iter().map(|rule| rule_line(key, rule)));
        }
        lines.push("COMMIT".to_owned());
        lines
    }

    /// Parses the output of [`Rules::print`] or `iptables-save`, with or without counters. Keeps
    /// the chains that are [ours](ChainKey::is_ours) and the rules in built-in chains that jump to
    /// one of them. Skips other chains, rules and tables.
    ///
    /// # Errors
    ///
    /// A line outside a table, a table without end, or a line in one of our tables that is neither
    /// a chain nor a rule.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        Self::parse_numbered((1..).zip(text.lines()))
    }

    /// Returns our chains to which chains of other programs jump, according to the output of
    /// `iptables-save`. These chains cannot be deleted.
    #[must_use]
    pub fn held_by_other_programs(text: &str) -> BTreeSet<ChainKey> {
        let mut table = None;
        let mut held = BTreeSet::new();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('*') {
                let mut tables = Table::ALL.into_iter();
                table = tables.find(|table| table.to_string() == name);
            } else if let (Some(table), Some(rule)) =
                (table, without_counters(line).strip_prefix("-A "))
            {
                let (chain, rule) = first_word(rule);
                let others =
                    !ChainKey::new(table, chain).is_ours() && !table.built_in().contains(&chain);
                let target = others.then(|| Rule::parse(rule).target);
                held.extend(target.and_then(|target| chain_of_ours(table, &target)));
            }
        }
        held
    }

    /// Parses lines as [`Rules::parse`] does. The caller gives the line numbers, for a part of a
    /// larger text.
    ///
    /// # Errors
    ///
    /// Fails as [`Rules::parse`] does.
    pub fn parse_numbered<'a>(
        lines: impl IntoIterator<Item = (usize, &'a str)>,
    ) -> Result<Self, RulesError> {
        let mut reader = Reader::default();
        let mut last = 0;
        for (line, text) in lines {
            last = line;
            (reader.line(text.trim())).map_err(|problem| RulesError { line, problem })?;
        }
        match reader.table {
            None => Ok(reader.rules),
            Some((name, _)) => Err(RulesError {
                line: last,
                problem: format!("the text ends without COMMIT of table {name}"),
            }),
        }
    }
}

/// Returns the line `-A CHAIN …`.
fn rule_line(key: &ChainKey, rule: &Rule) -> String {
    let line = format!("-A {} {rule}", key.chain);
    line.trim_end().to_owned()
}

#[derive(Default)]
struct Reader<'a> {
    rules: Rules,
    /// The table that was started: its name, and its `Table` if it is one of ours.
    table: Option<(&'a str, Option<Table>)>,
    /// True if the last rule has an unterminated quote. iptables prints a comment with its line
    /// breaks, so that its rest may follow.
    open: bool,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        match self.table {
            None => {
                let name = line.strip_prefix('*').ok_or_else(|| {
                    format!("`{line}` is outside a table; expected `*nat` or `*filter` before it")
                })?;
                let known = Table::ALL
                    .into_iter()
                    .find(|table| table.to_string() == name);
                self.table = Some((name, known));
            }
            Some(_) if line == "COMMIT" => self.table = None,
            Some((name, _)) if line.starts_with('*') => {
                return Err(format!("expected COMMIT of table {name}, found `{line}`"));
            }
            Some((_, None)) => {}
            Some((_, Some(table))) => self.line_of(table, line)?,
        }
        Ok(())
    }

    fn line_of(&mut self, table: Table, line: &str) -> Result<(), String> {
        if let Some(chain) = line.strip_prefix(':') {
            let key = ChainKey::new(table, first_word(chain).0);
            if key.is_ours() {
                self.rules.chains.entry(key).or_default();
            }
        } else if let Some(rule) = without_counters(line).strip_prefix("-A ") {
            self.open = is_open(rule);
            self.rule(table, rule);
        } else if !self.open {
            return Err(format!("`{line}` is not `:CHAIN`, `-A CHAIN` or COMMIT"));
        }
        Ok(())
    }

    fn rule(&mut self, table: Table, line: &str) {
        let (chain, rule) = first_word(line);
        let key = ChainKey::new(table, chain);
        if key.is_ours() {
            let rules = self.rules.chains.entry(key).or_default();
            rules.push(Rule::parse(rule));
        } else if table.built_in().contains(&chain) {
            let rule = Rule::parse(rule);
            if chain_of_ours(table, &rule.target).is_some() {
                self.rules.jumps.entry(key).or_default().push(rule);
            }
        }
    }
}

fn first_word(text: &str) -> (&str, &str) {
    text.split_once(|c: char| c.is_ascii_whitespace())
        .unwrap_or((text, ""))
}

/// Returns the line without the `[packets:bytes]` of `iptables-save -c`.
fn without_counters(line: &str) -> &str {
    match line.strip_prefix('[').and_then(|line| line.split_once(']')) {
        Some((_, line)) => line.trim_start(),
        None => line,
    }
}

/// Returns the chain of ours that `target` jumps to, if any.
fn chain_of_ours(table: Table, target: &Target) -> Option<ChainKey> {
    let chain = match target {
        Target::Jump(chain) => chain,
        Target::Other(text) => text.strip_prefix("-g ")?,
        _ => return None,
    };
    Some(ChainKey::new(table, chain)).filter(ChainKey::is_ours)
}
