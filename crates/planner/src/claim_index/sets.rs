//! Sets as the union of what many ask for.

use std::collections::{BTreeMap, BTreeSet};

use ipset::{Entry, Set, SetName};
use ipvs::AddressFamily;
use model::sets::SetKind;
use model::tables::TableKeys;

use crate::lower::SetEntry;

/// Number of requests for each entry, and the names of the sets.
#[derive(Debug, Default)]
pub(super) struct Sets {
    /// Empty until the sets are created: then nothing is kept.
    names: BTreeMap<(SetKind, AddressFamily), SetName>,
    /// Of entries asked for more than once: how often beyond the first time.
    more: BTreeMap<SetEntry, usize>,
    /// The entries that came or went since they were last asked for.
    touched: BTreeSet<(SetName, Entry)>,
}

impl Sets {
    /// Creates every set of `families` in `sets`, empty, where it is not there. Removes those of other families with
    /// their entries. Returns the sets that came or went.
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

    /// Takes one request for `entry` back.
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

    /// The entries that came or went since this was asked last.
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
