//! Sets as the union of the entries that many claims request.

use std::collections::{BTreeMap, BTreeSet};

use ipset::{Entry, Set, SetName};
use ipvs::AddressFamily;
use model::sets::SetKind;
use model::tables::TableKeys;

use crate::lower::SetEntry;

/// Names of the sets, and the number of requests for each entry.
#[derive(Debug, Default)]
pub(super) struct Sets {
    /// Names of the created sets. While it is empty, requests are ignored.
    names: BTreeMap<(SetKind, AddressFamily), SetName>,
    /// Number of requests beyond the first, for entries with more than one.
    more: BTreeMap<SetEntry, usize>,
    /// Entries added or removed since the last [`Sets::take_touched`].
    touched: BTreeSet<(SetName, Entry)>,
}

impl Sets {
    /// Creates the missing sets of `families`, empty, and removes the sets of other families.
    /// Returns the sets that were created or removed.
    pub(super) fn create(
        &mut self,
        sets: &mut BTreeMap<SetName, Set>,
        families: &[AddressFamily],
    ) -> BTreeSet<SetName> {
        let mut changed = BTreeSet::new();
        for kind in SetKind::ALL {
            for family in AddressFamily::ALL {
                let name = kind.name(family);
                if !families.contains(&family) {
                    if self.names.remove(&(kind, family)).is_some() {
                        sets.remove(&name);
                        changed.insert(name);
                    }
                } else if self.names.insert((kind, family), name.clone()).is_none() {
                    let set = Set {
                        header: kind.header(family, 0),
                        entries: BTreeSet::new(),
                    };
                    sets.insert(name.clone(), set);
                    changed.insert(name);
                }
            }
        }
        changed
    }

    /// Adds one request for `entry`.
    pub(super) fn add(&mut self, sets: &mut BTreeMap<SetName, Set>, entry: SetEntry) {
        if let Some(set) = self.set(sets, entry) {
            if set.entries.insert(entry.entry) {
                set.header = entry.kind.header(entry.family, set.entries.len());
                self.touch(entry);
            } else {
                *self.more.entry(entry).or_default() += 1;
            }
        }
    }

    /// Removes one request for `entry`.
    pub(super) fn remove(&mut self, sets: &mut BTreeMap<SetName, Set>, entry: SetEntry) {
        if let Some(more) = self.more.get_mut(&entry) {
            *more -= 1;
            if *more == 0 {
                self.more.remove(&entry);
            }
        } else if let Some(set) = self.set(sets, entry) {
            set.entries.remove(&entry.entry);
            set.header = entry.kind.header(entry.family, set.entries.len());
            self.touch(entry);
        }
    }

    /// Returns true if `entry` is in its set.
    pub(super) fn contains(&self, sets: &BTreeMap<SetName, Set>, entry: SetEntry) -> bool {
        let name = self.names.get(&(entry.kind, entry.family));
        name.and_then(|name| sets.get(name))
            .is_some_and(|set| set.entries.contains(&entry.entry))
    }

    /// Returns the entries added or removed since the last call.
    pub(super) fn take_touched(&mut self) -> TableKeys {
        TableKeys {
            entries: std::mem::take(&mut self.touched),
            ..TableKeys::default()
        }
    }

    fn touch(&mut self, entry: SetEntry) {
        if let Some(name) = self.names.get(&(entry.kind, entry.family)) {
            self.touched.insert((name.clone(), entry.entry));
        }
    }

    fn set<'a>(
        &self,
        sets: &'a mut BTreeMap<SetName, Set>,
        entry: SetEntry,
    ) -> Option<&'a mut Set> {
        sets.get_mut(self.names.get(&(entry.kind, entry.family))?)
    }
}
