//! Entries that failed, each with its own time to try again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipset::SetName;
use ipvs::{AddressFamily, VirtualServerKey};
use model::names::Name;
use model::tables::TableKeys;

use crate::backoff::Backoff;

#[derive(Clone, Copy, Debug)]
struct Retry {
    failures: u32,
    at: Instant,
}

/// What is tried again as one. A set is, whichever of its entries failed: reading it again costs little.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    VirtualServer(VirtualServerKey),
    Address(IpAddr),
    Set(SetName),
    Rules(AddressFamily),
    Sysctl(Name),
    Timeouts,
}

/// What failed and when to try it again.
#[derive(Debug)]
pub(super) struct Retries {
    backoff: Backoff,
    waiting: BTreeMap<Subject, Retry>,
}

impl Retries {
    pub(super) fn new(limit: Duration, seed: u64) -> Self {
        Self {
            backoff: Backoff::new(limit, seed),
            waiting: BTreeMap::new(),
        }
    }

    /// Waits up to `limit` from now on; what waits already, as it was told.
    pub(super) fn limit(&mut self, limit: Duration) {
        self.backoff.limit(limit);
    }

    /// The wait after so many failures in a row.
    pub(super) fn wait(&mut self, failures: u32) -> Duration {
        self.backoff.wait(failures)
    }

    /// When the first of them is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.values().map(|retry| retry.at).min()
    }

    /// What is due, none if nothing is. It stays until it has succeeded.
    pub(super) fn due(&self, now: Instant) -> Option<TableKeys> {
        let mut keys = TableKeys::default();
        for (subject, _) in self.waiting.iter().filter(|(_, retry)| retry.at <= now) {
            subject.add_to(&mut keys);
        }
        (!keys.is_empty()).then_some(keys)
    }

    /// Sets and rules that are to be tried again. Until they are as they should be, what needs them waits.
    pub(super) fn companions(&self) -> TableKeys {
        let mut keys = TableKeys::default();
        for subject in self.waiting.keys() {
            if matches!(subject, Subject::Set(_) | Subject::Rules(_)) {
                subject.add_to(&mut keys);
            }
        }
        keys
    }

    /// Whether any of `keys` is to be tried again.
    pub(super) fn touches(&self, keys: &TableKeys) -> bool {
        !self.waiting.is_empty() && subjects(keys).any(|key| self.waiting.contains_key(&key))
    }

    /// `keys` failed once more.
    pub(super) fn failed(&mut self, keys: &TableKeys, now: Instant) {
        for subject in subjects(keys) {
            self.fail(subject, now);
        }
    }

    /// `keys` were not tried. They are due with what they wait for, not later each time.
    pub(super) fn skipped(&mut self, keys: &TableKeys, now: Instant) {
        for subject in subjects(keys) {
            match self.waiting.get_mut(&subject) {
                Some(retry) if retry.at <= now => {
                    retry.at = now + self.backoff.wait(retry.failures);
                }
                Some(_) => {}
                None => self.fail(subject, now),
            }
        }
    }

    /// Of `keys`, all but `failures` went well.
    pub(super) fn succeeded(&mut self, keys: &TableKeys, failures: &TableKeys) {
        if self.waiting.is_empty() {
            return;
        }
        let failures: BTreeSet<Subject> = subjects(failures).collect();
        for subject in subjects(keys).filter(|subject| !failures.contains(subject)) {
            self.waiting.remove(&subject);
        }
    }

    /// Everything was tried: what is not among `failures` went well.
    pub(super) fn keep_only(&mut self, failures: &TableKeys) {
        let failures: BTreeSet<Subject> = subjects(failures).collect();
        self.waiting.retain(|subject, _| failures.contains(subject));
    }

    fn fail(&mut self, subject: Subject, now: Instant) {
        let first = Retry {
            failures: 0,
            at: now,
        };
        let retry = self.waiting.entry(subject).or_insert(first);
        retry.failures += 1;
        retry.at = now + self.backoff.wait(retry.failures);
    }
}

impl Subject {
    fn add_to(&self, keys: &mut TableKeys) {
        match self {
            Self::VirtualServer(key) => {
                keys.virtual_servers.insert(*key);
            }
            Self::Address(address) => {
                keys.addresses.insert(*address);
            }
            Self::Set(name) => {
                keys.sets.insert(name.clone());
            }
            Self::Rules(family) => {
                keys.rules.insert(*family);
            }
            Self::Sysctl(name) => {
                keys.sysctls.insert(name.clone());
            }
            Self::Timeouts => keys.timeouts = true,
        }
    }
}

/// What `keys` are tried again as, each once.
fn subjects(keys: &TableKeys) -> impl Iterator<Item = Subject> {
    let sets: BTreeSet<&SetName> = (keys.entries.iter().map(|(set, _)| set))
        .chain(&keys.sets)
        .collect();
    let servers = keys.virtual_servers.iter().copied();
    let addresses = keys.addresses.iter().copied();
    (servers.map(Subject::VirtualServer))
        .chain(addresses.map(Subject::Address))
        .chain(sets.into_iter().cloned().map(Subject::Set))
        .chain(keys.rules.iter().copied().map(Subject::Rules))
        .chain(keys.sysctls.iter().cloned().map(Subject::Sysctl))
        .chain(keys.timeouts.then_some(Subject::Timeouts))
}
