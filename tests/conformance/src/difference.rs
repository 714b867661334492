//! Differences between two tables, line by line.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

use crate::section::{Lines, Section};

/// The table that has a line that the other one lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Our table.
    Ours,
    /// kube-proxy's table.
    Theirs,
}

/// A line that only one side has, or that has another position.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Section of the line.
    pub section: Section,
    /// Table that has the line.
    pub side: Side,
    /// The line.
    pub line: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Ours => "kube-ipvs ",
            Side::Theirs => "kube-proxy",
        };
        write!(f, "{side} {:12} {}", self.section.name(), self.line)
    }
}

/// Returns every line that only one side has. Only settings that we write count: a recording has
/// others too.
#[must_use]
pub fn between(ours: &Lines, theirs: &Lines) -> Vec<Difference> {
    let mut found = Vec::new();
    for section in Section::ALL {
        let (ours_here, theirs_here) = (here(ours, section), here(theirs, section));
        for line in &ours_here {
            if !theirs_here.contains(line) && !matches_nothing(section, line, ours) {
                found.push(difference(section, Side::Ours, line));
            }
        }
        for line in &theirs_here {
            let counts = section != Section::Sysctl || is_set(&ours_here, line);
            if counts && !ours_here.contains(line) {
                found.push(difference(section, Side::Theirs, line));
            }
        }
        if section.is_ordered() {
            found.extend(out_of_order(section, &ours[&section], &theirs[&section]));
        }
    }
    found
}

fn difference(section: Section, side: Side, line: &str) -> Difference {
    Difference {
        section,
        side,
        line: line.to_owned(),
    }
}

fn here(lines: &Lines, section: Section) -> BTreeSet<&str> {
    lines
        .get(&section)
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect()
}

/// Returns true if `ours` writes the setting in `line`, a `NAME = VALUE`.
fn is_set(ours: &BTreeSet<&str>, line: &str) -> bool {
    let name = |line: &str| line.split(" = ").next().map(str::to_owned);
    ours.iter().any(|own| name(own) == name(line))
}

/// Returns true if `line` is a rule that matches a set that is empty now. kube-proxy writes such a
/// rule only while the set has entries; ours is always present (deviation D20).
fn matches_nothing(section: Section, line: &str, ours: &Lines) -> bool {
    static MATCH: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"-m set (! )?--match-set (\S+)").ok());
    if !section.is_ordered() {
        return false;
    }
    let entries = here(ours, Section::Ipset);
    let is_empty = |set: &str| {
        let beginning = format!("add {set} ");
        !entries.iter().any(|entry| entry.starts_with(&beginning))
    };
    (MATCH.iter())
        .flat_map(|regex| regex.captures_iter(line))
        .any(|found| found.get(1).is_none() && is_empty(&found[2]))
}

/// Returns the first difference of order in each chain, among the rules that both have.
fn out_of_order(section: Section, ours: &[String], theirs: &[String]) -> Vec<Difference> {
    let (ours, theirs) = (by_chain(ours, theirs), by_chain(theirs, ours));
    let mut found = Vec::new();
    for (chain, ours) in &ours {
        let theirs = theirs.get(chain).map(Vec::as_slice).unwrap_or_default();
        for (our, their) in ours.iter().zip(theirs) {
            if our != their {
                let line = format!("order of {chain}: {our} stands where kube-proxy has {their}");
                found.push(difference(section, Side::Ours, &line));
                break;
            }
        }
    }
    found
}

/// Returns the rules of `lines` that `others` has too, by table and chain.
fn by_chain<'a>(lines: &'a [String], others: &[String]) -> BTreeMap<String, Vec<&'a str>> {
    let others: BTreeSet<&str> = others.iter().map(String::as_str).collect();
    let mut chains: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for line in lines.iter().filter(|line| others.contains(line.as_str())) {
        let mut words = line.split(' ');
        if let (Some(table), Some("-A"), Some(chain)) = (words.next(), words.next(), words.next()) {
            chains
                .entry(format!("{table} {chain}"))
                .or_default()
                .push(line);
        }
    }
    chains
}
