//! Everything that is known of one entry, in one row.
//!
//! Each fact has one owner: the compiler holds what is desired, the cache what is live, the agenda which entries failed,
//! [`Drains`](crate::drains::Drains) which drain. A row brings them together; it is not stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ipvs::{Connections, RealServerKey};
use model::names::ServicePortName;

use crate::Reconciler;
use crate::agenda::{Due, Failure, Task};
use crate::entry::EntryKey;

/// One entry of the kernel's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The entry.
    pub entry: EntryKey,
    /// The Service port that asks for it; `None` if none does, or if it belongs to no Service.
    pub owner: Option<Arc<ServicePortName>>,
    /// True if it is desired.
    pub desired: bool,
    /// True if the kernel has it, as far as is known.
    pub live: bool,
    /// True if it is another program's.
    pub foreign: bool,
    /// Its distance from the desired state.
    pub state: EntryState,
}

/// The distance of an entry from its desired state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryState {
    /// It is as desired.
    Settled,
    /// It differs and is about to be written.
    Pending,
    /// A change of it failed.
    Failed {
        /// Attempts in a row that failed.
        failures: u32,
        /// When the first of them failed.
        since: Instant,
        /// When it is tried again; `None` while it is being tried, or if only another configuration can help.
        next: Option<Instant>,
        /// Why the last attempt failed.
        failure: Failure,
    },
    /// Real servers of it drain.
    Draining(Vec<Draining>),
}

/// A real server that drains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draining {
    /// The real server.
    pub real: RealServerKey,
    /// When it was first seen to drain.
    pub since: Instant,
    /// When it is deleted at the latest; `None` is never.
    pub deadline: Option<Instant>,
    /// Its connections when they were counted last.
    pub connections: Connections,
}

impl Reconciler {
    /// The row of `entry`.
    #[must_use]
    pub fn row(&self, entry: EntryKey) -> Row {
        let desired = self.compiler.desired();
        let (tables, live) = (&desired.tables, &self.cache.tables);
        let owners = &desired.owners;
        let mut owner = None;
        let mut foreign = false;
        let (wanted, exists, equal) = match &entry {
            EntryKey::VirtualServer(key) => {
                owner = owners.virtual_servers.get(key).cloned();
                let (wanted, exists) = (
                    tables.virtual_servers.get(key),
                    live.virtual_servers.get(key),
                );
                foreign = exists.is_some() && !self.is_ours(*key);
                (wanted.is_some(), exists.is_some(), wanted == exists)
            }
            EntryKey::Address(address) => {
                owner = owners.addresses.get(address).cloned();
                let (wanted, exists) = (
                    tables.addresses.contains(address),
                    live.addresses.contains(address),
                );
                (wanted, exists, wanted == exists)
            }
            EntryKey::Device => {
                let wanted = !tables.addresses.is_empty();
                (wanted, self.cache.device, !wanted || self.cache.device)
            }
            EntryKey::Set(name) => {
                let (wanted, exists) = (tables.sets.get(name), live.sets.get(name));
                (wanted.is_some(), exists.is_some(), wanted == exists)
            }
            EntryKey::Rules(family) => {
                let (wanted, exists) = (tables.rules.get(family), live.rules.get(family));
                (wanted.is_some(), exists.is_some(), wanted == exists)
            }
            EntryKey::Sysctl(name) => {
                let (wanted, exists) = (tables.sysctls.get(name), live.sysctls.get(name));
                (wanted.is_some(), exists.is_some(), wanted == exists)
            }
            EntryKey::Timeouts => (true, true, tables.timeouts == live.timeouts),
        };
        let task = Task::Retry(entry.clone());
        let state = match self.agenda.get(&task) {
            Some(due) => failed(due),
            None => {
                let draining = self.draining_at(&entry);
                match draining.is_empty() {
                    false => EntryState::Draining(draining),
                    true if equal || foreign => EntryState::Settled,
                    true => EntryState::Pending,
                }
            }
        };
        Row {
            entry,
            owner,
            desired: wanted,
            live: exists,
            foreign,
            state,
        }
    }

    /// Rows that are not settled: failed entries first, then those with draining real servers; `limit` at most of each.
    #[must_use]
    pub fn unsettled(&self, limit: usize) -> Vec<Row> {
        let mut draining: Vec<EntryKey> = (self.drains.all().keys())
            .map(|(server, _)| EntryKey::VirtualServer(*server))
            .collect();
        draining.dedup();
        let mut rows = self.failed(limit);
        rows.extend(
            draining
                .into_iter()
                .take(limit)
                .map(|entry| self.row(entry)),
        );
        rows
    }

    /// Rows of failed entries, `limit` at most.
    #[must_use]
    pub fn failed(&self, limit: usize) -> Vec<Row> {
        let entries = self.agenda.retries().map(|(entry, _)| entry.clone());
        entries.take(limit).map(|entry| self.row(entry)).collect()
    }

    /// The number of entries of which a change failed, by [`EntryKey::kind`]. Kinds without one are left out.
    #[must_use]
    pub fn failing_kinds(&self) -> BTreeMap<&'static str, usize> {
        let mut kinds = BTreeMap::new();
        for (entry, _) in self.agenda.retries() {
            *kinds.entry(entry.kind()).or_default() += 1;
        }
        kinds
    }

    /// The number of entries of which a change failed.
    #[must_use]
    pub fn failing(&self) -> usize {
        self.agenda.retries().count()
    }

    fn draining_at(&self, entry: &EntryKey) -> Vec<Draining> {
        let EntryKey::VirtualServer(server) = entry else {
            return Vec::new();
        };
        (self.drains.of(*server))
            .map(|((_, real), drain)| Draining {
                real: *real,
                since: drain.since,
                deadline: drain.deadline,
                connections: drain.connections,
            })
            .collect()
    }
}

fn failed(due: &Due) -> EntryState {
    match (&due.failure, due.failing_since) {
        (Some(failure), Some(since)) => EntryState::Failed {
            failures: due.failures,
            since,
            next: due.at,
            failure: failure.clone(),
        },
        _ => EntryState::Pending,
    }
}
