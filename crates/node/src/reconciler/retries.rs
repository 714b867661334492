//! Entries that failed, each with its own time to try again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipvs::VirtualServerKey;
use model::tables::TableKeys;

use crate::backoff::Backoff;

#[derive(Clone, Copy, Debug)]
struct Retry {
    failures: u32,
    at: Instant,
}

/// What failed and when to try it again.
#[derive(Debug)]
pub(super) struct Retries {
    backoff: Backoff,
    virtual_servers: BTreeMap<VirtualServerKey, Retry>,
    addresses: BTreeMap<IpAddr, Retry>,
}

impl Retries {
    pub(super) fn new(limit: Duration, seed: u64) -> Self {
        Self {
            backoff: Backoff::new(limit, seed),
            virtual_servers: BTreeMap::new(),
            addresses: BTreeMap::new(),
        }
    }

    /// The wait after so many failures in a row.
    pub(super) fn wait(&mut self, failures: u32) -> Duration {
        self.backoff.wait(failures)
    }

    /// When the first of them is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let retries = self.virtual_servers.values().chain(self.addresses.values());
        retries.map(|retry| retry.at).min()
    }

    /// What is due, none if nothing is. It stays until it has succeeded.
    pub(super) fn due(&self, now: Instant) -> Option<TableKeys> {
        let due = TableKeys {
            virtual_servers: due(&self.virtual_servers, now).collect(),
            addresses: due(&self.addresses, now).collect(),
        };
        (!due.is_empty()).then_some(due)
    }

    /// Whether any of `keys` is to be tried again.
    pub(super) fn touches(&self, keys: &TableKeys) -> bool {
        (keys.virtual_servers.iter()).any(|key| self.virtual_servers.contains_key(key))
            || (keys.addresses.iter()).any(|address| self.addresses.contains_key(address))
    }

    /// `keys` failed once more.
    pub(super) fn failed(&mut self, keys: &TableKeys, now: Instant) {
        let backoff = &mut self.backoff;
        for key in &keys.virtual_servers {
            fail(&mut self.virtual_servers, *key, backoff, now);
        }
        for address in &keys.addresses {
            fail(&mut self.addresses, *address, backoff, now);
        }
    }

    /// `keys` were not tried. They are due with what they wait for, not later each time.
    pub(super) fn skipped(&mut self, keys: &TableKeys, now: Instant) {
        let fresh = TableKeys {
            virtual_servers: (keys.virtual_servers.iter().copied())
                .filter(|key| !self.virtual_servers.contains_key(key))
                .collect(),
            addresses: (keys.addresses.iter().copied())
                .filter(|address| !self.addresses.contains_key(address))
                .collect(),
        };
        self.failed(&fresh, now);
    }

    /// Of `keys`, all but `failures` went well.
    pub(super) fn succeeded(&mut self, keys: &TableKeys, failures: &TableKeys) {
        for key in keys.virtual_servers.difference(&failures.virtual_servers) {
            self.virtual_servers.remove(key);
        }
        for address in keys.addresses.difference(&failures.addresses) {
            self.addresses.remove(address);
        }
    }

    /// Everything was tried: what is not among `failures` went well.
    pub(super) fn keep_only(&mut self, failures: &TableKeys) {
        self.virtual_servers
            .retain(|key, _| failures.virtual_servers.contains(key));
        self.addresses
            .retain(|address, _| failures.addresses.contains(address));
    }
}

fn due<K: Copy>(retries: &BTreeMap<K, Retry>, now: Instant) -> impl Iterator<Item = K> {
    let due = move |(_, retry): &(&K, &Retry)| retry.at <= now;
    retries.iter().filter(due).map(|(key, _)| *key)
}

fn fail<K: Ord>(retries: &mut BTreeMap<K, Retry>, key: K, backoff: &mut Backoff, now: Instant) {
    let retry = retries.entry(key).or_insert(Retry {
        failures: 0,
        at: now,
    });
    retry.failures += 1;
    retry.at = now + backoff.wait(retry.failures);
}
