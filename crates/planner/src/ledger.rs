//! Who claims what: the union of all Services' parts, with clashes settled.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipvs::VirtualServerKey;
use model::finding::{Code, Finding};
use model::names::{ObjectName, ServicePortName};
use model::tables::{Desired, TableKeys, VirtualServerEntry};

use crate::lower::Claim;

/// What one Service contributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// When the Service was created, seconds since 1970.
    pub(crate) created: Option<i64>,
    /// What it needs in the kernel.
    pub(crate) claims: Vec<Claim>,
}

/// Who comes first where two claim the same: the older Service, then the order of names
/// (deviation D3). The same on every node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Precedence {
    created: i64,
    owner: ServicePortName,
}

/// The parts of all Services and what they amount to. A part is exchanged at a cost that depends on
/// that part alone, not on how many others there are.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    parts: BTreeMap<ObjectName, Part>,
    claims: BTreeMap<VirtualServerKey, BTreeMap<Precedence, Arc<VirtualServerEntry>>>,
    contested: BTreeSet<VirtualServerKey>,
    /// Of the Services that have any.
    findings: BTreeMap<ObjectName, Vec<Finding>>,
    desired: Desired,
}

impl Ledger {
    /// What all parts amount to.
    pub(crate) fn desired(&self) -> &Desired {
        &self.desired
    }

    /// The Services that have a part.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ObjectName> {
        self.parts.keys()
    }

    /// What is wrong with any part, or between parts, ordered.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let own = self.findings.values().flatten().cloned();
        let clashes = self.contested.iter().flat_map(|key| self.clashes(key));
        let mut findings: Vec<Finding> = own.chain(clashes).collect();
        findings.sort();
        findings
    }

    /// Exchanges the part of `service`, none for a Service that is gone, and names the entries that
    /// are different now.
    pub(crate) fn replace(&mut self, service: &ObjectName, part: Option<Part>) -> TableKeys {
        let before = self.parts.remove(service).unwrap_or_default();
        let after = part.as_ref();
        let mut touched = TableKeys::default();
        for claim in before
            .claims
            .iter()
            .chain(after.iter().flat_map(|part| &part.claims))
        {
            touched.virtual_servers.insert(claim.entry.server.key);
            touched.addresses.extend(bound_address(claim));
        }
        for claim in &before.claims {
            self.withdraw(before.created, claim);
        }
        if let Some(part) = part {
            for claim in &part.claims {
                self.enter(part.created, claim);
            }
            self.parts.insert(service.clone(), part);
        }
        self.settle(touched)
    }

    /// Exchanges what is wrong with `service`.
    pub(crate) fn remark(&mut self, service: &ObjectName, findings: Vec<Finding>) {
        if findings.is_empty() {
            self.findings.remove(service);
        } else {
            self.findings.insert(service.clone(), findings);
        }
    }

    fn enter(&mut self, created: Option<i64>, claim: &Claim) {
        self.claims
            .entry(claim.entry.server.key)
            .or_default()
            .insert(precedence(created, claim), claim.entry.clone());
        if let Some(address) = bound_address(claim) {
            let owners = self.desired.owners.addresses.entry(address).or_default();
            owners.insert(claim.owner.clone());
        }
    }

    fn withdraw(&mut self, created: Option<i64>, claim: &Claim) {
        let key = claim.entry.server.key;
        if let Some(claims) = self.claims.get_mut(&key) {
            claims.remove(&precedence(created, claim));
            if claims.is_empty() {
                self.claims.remove(&key);
            }
        }
        if let Some(address) = bound_address(claim)
            && let Some(owners) = self.desired.owners.addresses.get_mut(&address)
        {
            owners.remove(&claim.owner);
            if owners.is_empty() {
                self.desired.owners.addresses.remove(&address);
            }
        }
    }

    /// Brings the desired tables in line with the claims on `touched`, and keeps of these keys the
    /// ones that changed.
    fn settle(&mut self, mut touched: TableKeys) -> TableKeys {
        touched.virtual_servers.retain(|key| {
            let claims = self.claims.get(key);
            if claims.is_some_and(|claims| claims.len() > 1) {
                self.contested.insert(*key);
            } else {
                self.contested.remove(key);
            }
            let winner = claims.and_then(BTreeMap::first_key_value);
            let tables = &mut self.desired.tables.virtual_servers;
            let owners = &mut self.desired.owners.virtual_servers;
            match winner {
                Some((precedence, entry)) => {
                    owners.insert(*key, precedence.owner.clone());
                    tables.insert(*key, entry.clone()).as_ref() != Some(entry)
                }
                None => {
                    owners.remove(key);
                    tables.remove(key).is_some()
                }
            }
        });
        touched.addresses.retain(|address| {
            let addresses = &mut self.desired.tables.addresses;
            if self.desired.owners.addresses.contains_key(address) {
                addresses.insert(*address)
            } else {
                addresses.remove(address)
            }
        });
        touched
    }

    fn clashes(&self, key: &VirtualServerKey) -> impl Iterator<Item = Finding> {
        let mut owners = (self.claims.get(key).into_iter())
            .flat_map(BTreeMap::keys)
            .map(|precedence| &precedence.owner);
        let winner = owners.next();
        owners.filter_map(move |loser| {
            Some(Finding {
                code: Code::ServiceClash,
                kind: "Service",
                object: loser.service.clone(),
                field: "spec.ports".to_owned(),
                problem: format!("{key} is also claimed by {}, which is older", winner?),
                consequence: format!("{loser} is not served there"),
            })
        })
    }
}

fn precedence(created: Option<i64>, claim: &Claim) -> Precedence {
    Precedence {
        created: created.unwrap_or(i64::MAX),
        owner: claim.owner.clone(),
    }
}

fn bound_address(claim: &Claim) -> Option<IpAddr> {
    match claim.entry.server.key {
        VirtualServerKey::Address { address, .. } if claim.bind => Some(address),
        _ => None,
    }
}
