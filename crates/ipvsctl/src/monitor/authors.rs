//! Finds the changes that kube-ipvsd made.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use ipvs::VirtualServerKey;
use ipvs::text::{Line, parse_line, print_service_selector};

use super::changes::{Place, TableChange};
use crate::schema::{DaemonChange, effect_name};

/// Maximum number of reports that are kept for one reading. kube-ipvsd keeps fewer.
const MOST: usize = 100_000;

/// Changes that kube-ipvsd reported since the reading before the last. A change that is made during
/// a reading may be in the next one only. `K` is the type of the texts by which they are found.
#[derive(Clone, Debug)]
pub struct Authors<K = String> {
    /// Reports before the last reading, then reports since.
    reports: [Reports<K>; 2],
}

#[derive(Clone, Debug)]
struct Reports<K> {
    /// Reports by effect and line, oldest first. A list is never empty.
    lines: BTreeMap<K, VecDeque<DaemonChange>>,
    /// Oldest report of a change that includes other changes, by [`whole`].
    wholes: BTreeMap<K, DaemonChange>,
    /// Number of reports.
    count: usize,
}

impl<K> Default for Reports<K> {
    fn default() -> Self {
        Self {
            lines: BTreeMap::new(),
            wholes: BTreeMap::new(),
            count: 0,
        }
    }
}

impl<K> Default for Authors<K> {
    fn default() -> Self {
        Self {
            reports: Default::default(),
        }
    }
}

impl<K: Ord + From<String>> Authors<K> {
    /// Adds changes that kube-ipvsd reported. Those beyond the maximum number are ignored.
    pub fn report(&mut self, changes: impl IntoIterator<Item = DaemonChange>) {
        let [_, new] = &mut self.reports;
        for change in changes.into_iter().take(MOST - new.count) {
            new.count += 1;
            if let Some(whole) = whole(&change.line) {
                (new.wholes.entry(whole.into())).or_insert_with(|| change.clone());
            }
            let line = with_effect(&change.effect, &change.line);
            new.lines.entry(line.into()).or_default().push_back(change);
        }
    }

    /// Returns the change of kube-ipvsd that caused `change`, if any. The time depends little on the
    /// number of reports.
    ///
    /// The same line causes it once. A whole set, the rules of a family and a deleted virtual
    /// server cause every change within them.
    pub fn of(&mut self, change: &TableChange) -> Option<DaemonChange> {
        let line = with_effect(effect_name(change.effect), &change.line).into();
        if let Some(made) = (self.reports.iter_mut()).find_map(|reports| reports.take(&line)) {
            return Some(made);
        }
        let whole = around(&change.place)?.into();
        let found = (self.reports.iter()).find_map(|reports| reports.wholes.get(&whole));
        found.cloned()
    }

    /// Forgets changes that the last two readings did not show.
    pub fn age(&mut self) {
        self.reports.swap(0, 1);
        self.reports[1] = Reports::default();
    }
}

impl<K: Ord> Reports<K> {
    fn take(&mut self, line: &K) -> Option<DaemonChange> {
        let reported = self.lines.get_mut(line)?;
        let first = reported.pop_front();
        if reported.is_empty() {
            self.lines.remove(line);
        }
        first
    }
}

fn with_effect(effect: &str, line: &str) -> String {
    format!("{effect} {line}")
}

/// Returns what a reported change replaces or deletes with all its parts, if it does: a set, the
/// rules of a family, a virtual server.
fn whole(line: &str) -> Option<String> {
    let (first, rest) = line.split_once(' ')?;
    match first {
        "create" | "replace" | "destroy" => rest.split(' ').next().map(of_set),
        "-D" => Some(line.to_owned()),
        family if rest.starts_with("rules: ") => Some(of_rules(family)),
        _ => None,
    }
}

/// Returns what has the place as a part, in the terms of [`whole`].
fn around(place: &Place) -> Option<String> {
    match place {
        Place::Set(name) => Some(of_set(name)),
        Place::Rules(family) => Some(of_rules(&family.to_string())),
        Place::VirtualServer(key) => Some(format!("-D {}", print_service_selector(key))),
        Place::Other => None,
    }
}

fn of_set(name: impl std::fmt::Display) -> String {
    format!("set {name}")
}

fn of_rules(family: &str) -> String {
    format!("{family} rules")
}

/// Returns the virtual server whose real server the reported line changes, if it does.
#[must_use]
pub fn real_server_of(line: &str) -> Option<VirtualServerKey> {
    let (verb, rest) = line.split_once(' ')?;
    let (selector, _) = rest.split_once(" -r ")?;
    if !matches!(verb, "-a" | "-e" | "-d") {
        return None;
    }
    match parse_line(&format!("-A {selector} -s rr")) {
        Ok(Line::VirtualServer(server)) => Some(server.key),
        _ => None,
    }
}
