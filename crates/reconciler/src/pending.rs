//! Changes of the cluster that wait: first to be compiled, then to be written.
//!
//! One sync does a bounded number of ops. Services are compiled in the order in which they changed, except that one which is too
//! large for a sync stands in a line of its own, so that no other waits for it. See docs/adr/0022-bounded-syncs.md.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};

use ipvs::VirtualServerKey;
use model::cluster::Changed;
use model::names::ObjectName;
use model::tables::TableKeys;

/// Ops of one sync at most; the first sync of a process has no limit. A change that comes meanwhile waits for them.
const OPS_AT_ONCE: usize = 1_024;

/// Services that are compiled for one sync at most.
const SERVICES_AT_ONCE: usize = 1_024;

/// Changes that wait.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Ops of one sync at most.
    pub(crate) ops_at_once: usize,
    /// Services that changed, in the order of their first change.
    services: Line,
    /// Services that changed and are too large for one sync.
    large: Line,
    /// Changes of other objects.
    others: Changed,
    /// Entries that are compiled and not written. Each part is about one Service, or is the rest of one sync.
    entries: VecDeque<TableKeys>,
}

/// Names in the order in which they came, each once.
#[derive(Debug, Default)]
struct Line {
    order: VecDeque<ObjectName>,
    names: BTreeSet<ObjectName>,
}

impl Line {
    fn push(&mut self, name: ObjectName) {
        if self.names.insert(name.clone()) {
            self.order.push_back(name);
        }
    }

    fn pop(&mut self) -> Option<ObjectName> {
        let name = self.order.pop_front()?;
        self.names.remove(&name);
        Some(name)
    }
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            ops_at_once: OPS_AT_ONCE,
            services: Line::default(),
            large: Line::default(),
            others: Changed::default(),
            entries: VecDeque::new(),
        }
    }
}

impl Pending {
    /// Adds changes after those that wait.
    pub(crate) fn add(&mut self, mut changed: Changed) {
        for name in std::mem::take(&mut changed.services) {
            self.services.push(name);
        }
        self.others.merge(changed);
    }

    /// Adds entries that a sync left unwritten, before all others that wait.
    pub(crate) fn add_left(&mut self, keys: TableKeys) {
        if !keys.is_empty() {
            self.entries.push_front(keys);
        }
    }

    /// Adds entries that were compiled, after all others that wait.
    pub(crate) fn add_compiled(&mut self, keys: TableKeys) {
        if !keys.is_empty() {
            self.entries.push_back(keys);
        }
    }

    /// Forgets changes, because everything is compiled anew.
    pub(crate) fn clear_changes(&mut self) {
        self.services = Line::default();
        self.large = Line::default();
        self.others = Changed::default();
    }

    /// Takes the next changes to compile together. A Service of which `cost` says that it needs more ops than one sync has goes to the
    /// end of its own line.
    pub(crate) fn take_changed(&mut self, cost: impl Fn(&ObjectName) -> usize) -> Changed {
        let mut changed = std::mem::take(&mut self.others);
        let mut left = self.ops_at_once;
        while left > 0
            && changed.services.len() < SERVICES_AT_ONCE
            && let Some(name) = self.services.pop()
        {
            let cost = cost(&name);
            if cost > self.ops_at_once {
                self.large.push(name);
            } else {
                left = left.saturating_sub(cost);
                changed.services.insert(name);
            }
        }
        changed
    }

    /// Takes the first Service that is too large for one sync, once no compiled entries wait.
    pub(crate) fn take_large(&mut self) -> Option<ObjectName> {
        match self.entries.is_empty() {
            true => self.large.pop(),
            false => None,
        }
    }

    /// Takes the next entries to write: about as many as need the ops of one sync, where `cost` is the ops that a virtual server needs
    /// at most.
    pub(crate) fn take_entries(&mut self, cost: impl Fn(&VirtualServerKey) -> usize) -> TableKeys {
        let mut left = self.ops_at_once;
        let Some(part) = self.entries.front_mut() else {
            return TableKeys::default();
        };
        let taken = TableKeys {
            virtual_servers: take(&mut part.virtual_servers, &mut left, cost),
            addresses: take(&mut part.addresses, &mut left, |_| 1),
            entries: take(&mut part.entries, &mut left, |_| 1),
            sets: std::mem::take(&mut part.sets),
            rules: std::mem::take(&mut part.rules),
            sysctls: std::mem::take(&mut part.sysctls),
            timeouts: std::mem::take(&mut part.timeouts),
            device: std::mem::take(&mut part.device),
        };
        if part.is_empty() {
            self.entries.pop_front();
        }
        taken
    }

    /// Takes all compiled entries, for a sync that compares everything.
    pub(crate) fn take_all_entries(&mut self) -> TableKeys {
        let mut keys = TableKeys::default();
        for part in std::mem::take(&mut self.entries) {
            keys.merge(part);
        }
        keys
    }

    /// Returns true if one of `keys` waits to be written.
    pub(crate) fn touches(&self, keys: &TableKeys) -> bool {
        self.entries.iter().any(|part| part.touches(keys))
    }

    /// Returns true if changes wait that fit into one sync, or were not looked at.
    pub(crate) fn has_changes(&self) -> bool {
        !self.services.order.is_empty() || !self.others.is_empty()
    }

    /// Returns true if there is work that is too much for one sync.
    pub(crate) fn has_large(&self) -> bool {
        !self.large.order.is_empty() || !self.entries.is_empty()
    }

    /// The number of Services that are too large for one sync and wait to be compiled.
    pub(crate) fn large(&self) -> usize {
        self.large.order.len()
    }

    /// The number of entries that are compiled and wait to be written.
    pub(crate) fn entries(&self) -> usize {
        let parts = self.entries.iter();
        parts
            .map(|part| part.virtual_servers.len() + part.addresses.len() + part.entries.len())
            .sum()
    }
}

/// Takes the first keys of `keys` until their costs use up what is `left`.
fn take<T: Ord>(
    keys: &mut BTreeSet<T>,
    left: &mut usize,
    cost: impl Fn(&T) -> usize,
) -> BTreeSet<T> {
    let mut taken = BTreeSet::new();
    while *left > 0
        && let Some(key) = keys.pop_first()
    {
        *left = left.saturating_sub(cost(&key));
        taken.insert(key);
    }
    taken
}
