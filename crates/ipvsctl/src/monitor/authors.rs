//! Finds the changes that kube-ipvsd made.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use ipvs::text::print_service_selector;

use super::changes::{Place, TableChange};
use crate::schema::{DaemonChange, effect_name};

/// Number of readings for which a change of kube-ipvsd is kept. A change that is made during a
/// reading may be in the next one only.
const KEPT: u32 = 2;

/// Maximum number of changes that are kept.
const MOST: usize = 100_000;

/// Changes that kube-ipvsd reported and that were not seen yet, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Authors {
    reported: VecDeque<Reported>,
}

#[derive(Clone, Debug)]
struct Reported {
    change: DaemonChange,
    /// Number of readings since it was reported.
    age: u32,
}

impl Authors {
    /// Adds changes that kube-ipvsd reported.
    pub fn report(&mut self, changes: impl IntoIterator<Item = DaemonChange>) {
        let reported = changes.into_iter();
        (self.reported).extend(reported.map(|change| Reported { change, age: 0 }));
        let excess = self.reported.len().saturating_sub(MOST);
        self.reported.drain(..excess);
    }

    /// Returns the change of kube-ipvsd that caused `change`, if any.
    ///
    /// The same line causes it once. A whole set, the rules of a family and a deleted virtual
    /// server cause every change within them.
    pub fn of(&mut self, change: &TableChange) -> Option<DaemonChange> {
        let effect = effect_name(change.effect);
        let is_same = |reported: &Reported| {
            reported.change.line == change.line && reported.change.effect == effect
        };
        if let Some(index) = self.reported.iter().position(is_same) {
            return self.reported.remove(index).map(|reported| reported.change);
        }
        let prefixes: Vec<String> = match &change.place {
            Place::Set(name) => ["create", "replace", "destroy"]
                .map(|verb| format!("{verb} {name}"))
                .into(),
            Place::Rules(family) => vec![format!("{family} rules: ")],
            Place::VirtualServer(key) => vec![format!("-D {}", print_service_selector(key))],
            Place::Other => Vec::new(),
        };
        let causes = |line: &str| {
            prefixes.iter().any(|prefix| {
                let rest = line.strip_prefix(prefix.as_str());
                rest.is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with(' ') || prefix.ends_with(' ')
                })
            })
        };
        let mut reported = self.reported.iter();
        let found = reported.find(|reported| causes(&reported.change.line));
        found.map(|reported| reported.change.clone())
    }

    /// Drops changes that were not seen in the last readings.
    pub fn age(&mut self) {
        for reported in &mut self.reported {
            reported.age += 1;
        }
        self.reported.retain(|reported| reported.age < KEPT);
    }
}
