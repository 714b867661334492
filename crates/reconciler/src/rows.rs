//! Combined state of one entry.
//!
//! Each fact has one owner: the compiler owns the desired state, the cache the live state, the
//! agenda the failures, and [`Drains`](crate::drains::Drains) the drains. A row combines these
//! facts and is not stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ipvs::{Connections, RealServerKey};
use model::names::ServicePortName;

use crate::Reconciler;
use crate::agenda::{Due, Failure, Task};
use crate::entry::EntryKey;

/// Combined state of one entry of the kernel's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Identifies the entry.
    pub entry: EntryKey,
    /// The Service port that claims the entry; `None` if no Service port does.
    pub owner: Option<Arc<ServicePortName>>,
    /// True if the entry is desired.
    pub desired: bool,
    /// True if the entry exists in the kernel, as far as is known.
    pub live: bool,
    /// True if another program owns the entry.
    pub foreign: bool,
    /// Progress of the entry towards its desired state.
    pub state: EntryState,
}

/// Progress of an entry towards its desired state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryState {
    /// The entry is in its desired state.
    Settled,
    /// The entry differs and waits to be written.
    Pending,
    /// The last change of the entry failed.
    Failed {
        /// Number of consecutive failures.
        failures: u32,
        /// Time of the first of these failures.
        since: Instant,
        /// Time of the next attempt; `None` during the attempt, or if only another configuration
        /// can help.
        next: Option<Instant>,
        /// Reason of the last failure.
        failure: Failure,
    },
    /// Real servers of the entry drain.
    Draining(Vec<Draining>),
}

/// A draining real server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draining {
    /// Identifies the real server.
    pub real: RealServerKey,
    /// Time when the drain was first seen.
    pub since: Instant,
    /// Latest time of the deletion; `None` if there is no deadline.
    pub deadline: Option<Instant>,
    /// Connections at the last count.
    pub connections: Connections,
}

impl Reconciler {
    /// Returns the combined state of `entry`.
    #[must_use]
    pub fn row(&self, entry: EntryKey) -> Row {
        let desired = self.compiler.desired();
        let (tables, live) = (&desired.tables, &self.cache.tables);
        let owners = &desired.owners;
        let mut owner = None;
        let mut foreign = false;
        let (wanted, exists, equal) = match &entry {
            EntryKey::VirtualServer(key) => {
                owner = desired.owner(*key).cloned();
                let exists = live.virtual_servers.get(key);
                foreign = exists.is_some() && !self.is_ours(*key);
                let wanted = match foreign {
                    true => tables.virtual_servers.get(key).cloned(),
                    false => planner::entry_now(desired, &self.cache, *key),
                };
                (
                    wanted.is_some(),
                    exists.is_some(),
                    wanted.as_ref() == exists,
                )
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
            EntryKey::SyncDaemon(role) => {
                let (wanted, exists) = (tables.sync_daemons.get(role), live.sync_daemons.get(role));
                let equal = wanted
                    .is_none_or(|wanted| planner::sync_daemon_runs(&live.sync_daemons, wanted));
                (wanted.is_some(), exists.is_some(), equal)
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

    /// Returns the rows that are not settled: failed entries first, then entries with draining real
    /// servers, at most `limit` of each.
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

    /// Returns the rows of at most `limit` failed entries.
    #[must_use]
    pub fn failed(&self, limit: usize) -> Vec<Row> {
        let entries = self.agenda.retries().map(|(entry, _)| entry.clone());
        entries.take(limit).map(|entry| self.row(entry)).collect()
    }

    /// Returns the number of entries whose last change failed, by [`EntryKey::kind`]. Kinds without
    /// failures are left out.
    #[must_use]
    pub fn failing_kinds(&self) -> BTreeMap<&'static str, usize> {
        let mut kinds = BTreeMap::new();
        for (entry, _) in self.agenda.retries() {
            *kinds.entry(entry.kind()).or_default() += 1;
        }
        kinds
    }

    /// Returns the number of entries whose last change failed.
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
