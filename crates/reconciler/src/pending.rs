//! Cluster changes that wait to be compiled, and compiled entries that wait to be written.
//!
//! One sync applies a bounded number of ops. Services are compiled in the order of their first
//! change. A Service that is too large for one sync waits in a separate queue, so that it does not
//! delay others. See docs/adr/0022-bounded-syncs.md.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};

use ipvs::VirtualServerKey;
use model::cluster::Changed;
use model::names::ObjectName;
use model::tables::TableKeys;

/// Maximum number of ops in one sync. The first sync of a process has no limit. A change that
/// arrives during a sync waits for these ops.
const OPS_AT_ONCE: usize = 1_024;

/// Maximum number of Services compiled for one sync.
const SERVICES_AT_ONCE: usize = 1_024;

/// Changes that wait.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Maximum number of ops in one sync.
    pub(crate) ops_at_once: usize,
    /// Services that changed, in the order of their first change.
    services: Queue,
    /// Services that changed and are too large for one sync.
    large: Queue,
    /// Changes of other objects.
    others: Changed,
    /// Entries that are compiled and not yet written. Each part belongs to one Service, or is the
    /// rest of one sync.
    entries: VecDeque<TableKeys>,
}

/// A queue that contains each name once.
#[derive(Debug, Default)]
struct Queue {
    order: VecDeque<ObjectName>,
    names: BTreeSet<ObjectName>,
}

impl Queue {
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
            services: Queue::default(),
            large: Queue::default(),
            others: Changed::default(),
            entries: VecDeque::new(),
        }
    }
}

impl Pending {
    /// Appends changes to those that wait.
    pub(crate) fn add(&mut self, mut changed: Changed) {
        for name in std::mem::take(&mut changed.services) {
            self.services.push(name);
        }
        self.others.merge(changed);
    }

    /// Inserts entries that a sync did not write before all other entries.
    pub(crate) fn add_left(&mut self, keys: TableKeys) {
        if !keys.is_empty() {
            self.entries.push_front(keys);
        }
    }

    /// Appends compiled entries to those that wait.
    pub(crate) fn add_compiled(&mut self, keys: TableKeys) {
        if !keys.is_empty() {
            self.entries.push_back(keys);
        }
    }

    /// Discards changes, because everything is compiled again.
    pub(crate) fn clear_changes(&mut self) {
        self.services = Queue::default();
        self.large = Queue::default();
        self.others = Changed::default();
    }

    /// Takes the next changes to compile together. `cost` returns the number of ops that a Service
    /// needs. A Service that needs more ops than one sync has moves to the end of the queue of
    /// large Services.
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

    /// Takes the first Service that is too large for one sync if no compiled entries wait.
    pub(crate) fn take_large(&mut self) -> Option<ObjectName> {
        match self.entries.is_empty() {
            true => self.large.pop(),
            false => None,
        }
    }

    /// Takes the next entries to write, up to about as many as one sync has ops for. `cost` returns
    /// the maximum number of ops that a virtual server needs.
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
            sync_daemons: std::mem::take(&mut part.sync_daemons),
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

    /// Returns true if changes wait that fit into one sync or whose size is not known yet.
    pub(crate) fn has_changes(&self) -> bool {
        !self.services.order.is_empty() || !self.others.is_empty()
    }

    /// Returns true if work waits that is too large for one sync.
    pub(crate) fn has_large(&self) -> bool {
        !self.large.order.is_empty() || !self.entries.is_empty()
    }

    /// Returns the number of Services that are too large for one sync and wait to be compiled.
    pub(crate) fn large(&self) -> usize {
        self.large.order.len()
    }

    /// Returns the number of compiled entries that wait to be written.
    pub(crate) fn entries(&self) -> usize {
        let parts = self.entries.iter();
        parts
            .map(|part| part.virtual_servers.len() + part.addresses.len() + part.entries.len())
            .sum()
    }
}

/// Takes keys from the start of `keys` until their costs use up `left`.
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
