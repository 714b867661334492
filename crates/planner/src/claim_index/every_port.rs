//! Virtual servers for every port of an address: which Service gets one, and the virtual servers
//! of single ports that it replaces.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipvs::VirtualServerKey;
use model::finding::Finding;
use model::names::ObjectName;
use model::tables::MergedPort;

use super::{ClaimIndex, ClaimsAtKey};
use crate::lower::EveryPort;

/// Requests at one key, ordered by precedence (deviation D3).
type Requests = BTreeMap<(i64, ObjectName), Arc<EveryPort>>;

/// Requests for virtual servers with port 0, by their key, and those that are in the tables.
#[derive(Debug, Default)]
pub(super) struct EveryPorts {
    requests: BTreeMap<VirtualServerKey, Requests>,
    served: BTreeMap<VirtualServerKey, Arc<EveryPort>>,
    /// Services with a finding that they do not get the key.
    losers: BTreeMap<VirtualServerKey, BTreeSet<ObjectName>>,
    /// Keys whose findings may have changed.
    changed: BTreeSet<VirtualServerKey>,
}

type Claims = BTreeMap<VirtualServerKey, ClaimsAtKey>;

impl EveryPorts {
    /// Returns true if a Service asks for `key`.
    pub(super) fn concerns(&self, key: &VirtualServerKey) -> bool {
        self.requests.contains_key(key)
    }

    /// Adds or removes the requests of `service`.
    pub(super) fn exchange(
        &mut self,
        service: &ObjectName,
        (created, asked): (Option<i64>, &[Arc<EveryPort>]),
        asks: bool,
    ) {
        let place = (created.unwrap_or(i64::MAX), service.clone());
        for every in asked {
            let key = every.key();
            let requests = self.requests.entry(key).or_default();
            if asks {
                requests.insert(place.clone(), every.clone());
            } else {
                requests.remove(&place);
            }
            if requests.is_empty() {
                self.requests.remove(&key);
            }
        }
    }

    /// Returns the findings that may have changed since the last call, by key and Service. `None`
    /// clears the finding of a Service.
    pub(super) fn take_findings(
        &mut self,
        claims: &Claims,
    ) -> Vec<(VirtualServerKey, ObjectName, Option<Finding>)> {
        let mut findings = Vec::new();
        for key in std::mem::take(&mut self.changed) {
            let mut before = self.losers.remove(&key).unwrap_or_default();
            let winner = self.served.get(&key);
            let mut losers = BTreeSet::new();
            for ((_, service), every) in self.requests.get(&key).into_iter().flatten() {
                if winner == Some(every) {
                    continue;
                }
                let reason = obstacle(every, claims).unwrap_or_else(|| {
                    let winner = winner.map_or_else(String::new, |other| other.owner.to_string());
                    format!("{winner}, which is older, already has the other ports")
                });
                before.remove(service);
                losers.insert(service.clone());
                findings.push((key, service.clone(), Some(every.lost_to(&reason))));
            }
            findings.extend(before.into_iter().map(|service| (key, service, None)));
            if !losers.is_empty() {
                self.losers.insert(key, losers);
            }
        }
        findings
    }
}

/// Returns the reason why another object keeps `every` from its key; `None` without one.
///
/// A virtual server with port 0 only gets packets to ports without a virtual server of their own.
/// So the Service must have won each of its ports, and no VirtualServer may have port 0.
fn obstacle(every: &EveryPort, claims: &Claims) -> Option<String> {
    if let Some(other) = claims.get(&every.key()).and_then(|claims| claims.first()) {
        return Some(format!("{} has every port", other.claim.owner));
    }
    let service = &every.owner.service;
    every.ports.iter().find_map(|key| {
        let winner = &claims.get(key)?.first()?.claim.owner;
        (winner.service != *service).then(|| format!("{winner} is served at {key}"))
    })
}

impl ClaimIndex {
    /// Replaces the virtual servers `keys`, which have port 0, by those of the single ports.
    /// Returns the keys of all of them.
    pub(super) fn split(&mut self, keys: &BTreeSet<VirtualServerKey>) -> Vec<VirtualServerKey> {
        let mut changed = Vec::new();
        for key in keys {
            let Some(every) = self.every_port.served.remove(key) else {
                continue;
            };
            let desired = &mut self.desired;
            desired.tables.virtual_servers.remove(key);
            desired.owners.virtual_servers.remove(key);
            desired.finishing.remove(key);
            self.sets.remove(&mut desired.tables.sets, every.mark());
            for port in &every.ports {
                if let Some(MergedPort { entry, owner }) = desired.merged_ports.remove(port) {
                    desired.tables.virtual_servers.insert(*port, entry);
                    desired.owners.virtual_servers.insert(*port, owner);
                }
            }
            changed.push(*key);
            changed.extend(&every.ports);
        }
        changed
    }

    /// Replaces the virtual servers of single ports by the requested ones of `keys`, which have
    /// port 0. Returns the keys of all of them.
    ///
    /// The oldest Service gets the key whose ports no other object prevents. The others are served
    /// as without the request. The result depends on the claims alone, not on their order.
    pub(super) fn merge(&mut self, keys: &BTreeSet<VirtualServerKey>) -> Vec<VirtualServerKey> {
        let mut changed = Vec::new();
        for key in keys {
            self.every_port.changed.insert(*key);
            let requests = self.every_port.requests.get(key);
            let mut able = (requests.into_iter().flat_map(BTreeMap::values))
                .filter(|every| obstacle(every, &self.claims).is_none());
            let Some(every) = able.next().cloned() else {
                continue;
            };
            let desired = &mut self.desired;
            for port in &every.ports {
                let entry = desired.tables.virtual_servers.remove(port);
                let owner = desired.owners.virtual_servers.remove(port);
                if let (Some(entry), Some(owner)) = (entry, owner) {
                    (desired.merged_ports).insert(*port, MergedPort { entry, owner });
                }
            }
            let entry = every.entry.clone();
            desired.tables.virtual_servers.insert(*key, entry);
            (desired.owners.virtual_servers).insert(*key, every.owner.clone());
            if !every.finishing.is_empty() {
                desired.finishing.insert(*key, every.finishing.clone());
            }
            self.sets.add(&mut desired.tables.sets, every.mark());
            changed.push(*key);
            changed.extend(&every.ports);
            self.every_port.served.insert(*key, every);
        }
        changed
    }
}
