//! Sets as the union of the entries that many claims request.

use std::collections::{BTreeMap, BTreeSet};

use ipset::{Entry, Set, SetName};
use ipvs::AddressFamily;
use model::sets::SetKind;

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
        if self.put(sets, entry, true) == Some(false) {
            *self.more.entry(entry).or_default() += 1;
        }
    }

    /// Removes one request for `entry`.
    pub(super) fn remove(&mut self, sets: &mut BTreeMap<SetName, Set>, entry: SetEntry) {
        if let Some(more) = self.more.get_mut(&entry) {
            *more -= 1;
            if *more == 0 {
                self.more.remove(&entry);
            }
        } else {
            self.put(sets, entry, false);
        }
    }

    /// Adds or removes `entry` without counting requests. Returns true if the set changed, and
    /// `None` if there is no such set.
    pub(super) fn put(
        &mut self,
        sets: &mut BTreeMap<SetName, Set>,
        entry: SetEntry,
        wanted: bool,
    ) -> Option<bool> {
        let name = self.names.get(&(entry.kind, entry.family))?;
        let set = sets.get_mut(name)?;
        let changed = match wanted {
            true => set.entries.insert(entry.entry),
            false => set.entries.remove(&entry.entry),
        };
        if changed {
            set.header = entry.kind.header(entry.family, set.entries.len());
            self.touched.insert((name.clone(), entry.entry));
        }
        Some(changed)
    }

    /// Returns the entries added or removed since the last call.
    pub(super) fn take_touched(&mut self) -> BTreeSet<(SetName, Entry)> {
        std::mem::take(&mut self.touched)
    }
}
