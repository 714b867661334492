//! Indexes the claims of all Services and VirtualServers and resolves clashes.

mod clashes;
mod contests;
mod every_port;
mod health;
mod sets;
mod slow_start;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use ipset::SetName;
use ipvs::{AddressFamily, VirtualServerKey};
use model::cluster::ObjectKind;
use model::compact::pack_map;
use model::finding::{Finding, FindingChanges, FindingIndex};
use model::frontend::{FrontendKind, HealthCheck, LocalEndpoint};
use model::names::{ObjectName, ServicePortName};
use model::policy::ServicePolicy;
use model::tables::{Desired, TableKeys, WithoutLocal, at_address, every_port_of};
use smallvec::SmallVec;

use self::contests::Contests;
use self::every_port::EveryPorts;
use self::health::HealthChecks;
use self::sets::Sets;
pub use self::slow_start::Arrivals;
use self::slow_start::SlowStarts;
use crate::lower::{self, Claim, EveryPort};

/// Claims of one Service or VirtualServer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServiceClaims {
    /// Creation time of the Service, in seconds since 1970.
    pub(crate) created: Option<i64>,
    /// Virtual servers, addresses and set entries that the Service needs.
    pub(crate) claims: Box<[Arc<Claim>]>,
    /// Virtual servers for every port of an address, which replace some of `claims` where no other
    /// object prevents it.
    pub(crate) every_port: Box<[Arc<EveryPort>]>,
    /// Endpoints of the Service on this node.
    pub(crate) local_endpoints: BTreeSet<LocalEndpoint>,
    /// Answer at its health-check node port.
    pub(crate) health_check: Option<Box<HealthCheck>>,
    /// Policies `Local` without an endpoint on this node.
    pub(crate) without_local: WithoutLocal,
}

/// A claim at a key, with its rank.
///
/// The older Service precedes, then the order of names decides (deviation D3), which is the same on
/// every node. A Service port may have several claims at one key, for example if the same address
/// is both its external and its load-balancer address.
#[derive(Clone, Debug)]
struct Ranked {
    created: i64,
    claim: Arc<Claim>,
}

impl Ranked {
    fn new(created: Option<i64>, claim: &Arc<Claim>) -> Self {
        Self {
            created: created.unwrap_or(i64::MAX),
            claim: claim.clone(),
        }
    }

    fn precedence(&self) -> (i64, &ServicePortName) {
        (self.created, &self.claim.owner)
    }

    fn place(&self) -> (i64, &ServicePortName, FrontendKind) {
        (self.created, &self.claim.owner, self.claim.kind)
    }
}

/// Claims at one key, ordered by rank. Nearly every key has one, which needs no allocation.
type ClaimsAtKey = SmallVec<[Ranked; 1]>;

/// Returns the claims at one key that are programmed. They belong to the Service port with the
/// highest precedence.
fn winning(claims: &[Ranked]) -> &[Ranked] {
    let is_beaten = |claim: &Ranked| claim.precedence() != claims[0].precedence();
    let beaten = claims.iter().skip(1).position(is_beaten);
    beaten.map_or(claims, |first| &claims[..=first])
}

/// Returns true if several Service ports claim the key.
fn is_contested(claims: &[Ranked]) -> bool {
    winning(claims).len() < claims.len()
}

/// Claims of one Service at one key, before and after a replacement.
#[derive(Default)]
struct Exchange {
    before: Vec<Ranked>,
    after: Vec<Ranked>,
}

/// Source of findings that are replaced together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum FindingSource {
    /// The node and its Node object.
    Node,
    /// An object that cannot be decoded.
    Undecodable(ObjectKind, ObjectName),
    /// A Service and its slices, or a VirtualServer.
    Service(ObjectName),
    /// A Service port that lost the virtual server it claims.
    Clash(VirtualServerKey, Arc<ServicePortName>),
    /// A Service that lost the health-check node port it requests.
    HealthCheckClash(NonZeroU16, ObjectName),
    /// A Service whose ports cannot share the virtual server with this key.
    EveryPort(VirtualServerKey, ObjectName),
}

/// Claims of all Services and the tables that follow from them. The cost of a replacement depends
/// on the claims of one Service, not on the number of Services.
#[derive(Debug, Default)]
pub(crate) struct ClaimIndex {
    parts: BTreeMap<ObjectName, Arc<ServiceClaims>>,
    /// Claims at each key, ordered by rank.
    claims: BTreeMap<VirtualServerKey, ClaimsAtKey>,
    contests: Contests<VirtualServerKey, Arc<ServicePortName>>,
    health_checks: HealthChecks,
    every_port: EveryPorts,
    sets: Sets,
    slow_starts: SlowStarts,
    findings: FindingIndex<FindingSource>,
    desired: Desired,
}

impl ClaimIndex {
    /// Returns the tables that follow from all claims.
    pub(crate) fn desired(&self) -> &Desired {
        &self.desired
    }

    /// Returns the desired tables for the addition of rules and settings, which no Service claims.
    pub(crate) fn desired_mut(&mut self) -> &mut Desired {
        &mut self.desired
    }

    /// Creates all sets of `families`, so that rules can refer to them, and removes the other sets.
    /// Returns the sets that were created or removed.
    pub(crate) fn create_sets(&mut self, families: &[AddressFamily]) -> BTreeSet<SetName> {
        (self.sets).create(&mut self.desired.tables.sets, families)
    }

    /// Releases unused memory of the maps after a full compilation.
    pub(crate) fn pack(&mut self) {
        pack_map(&mut self.parts);
        pack_map(&mut self.claims);
        self.desired.tables.pack();
        pack_map(&mut self.desired.owners.virtual_servers);
        pack_map(&mut self.desired.owners.addresses);
    }

    /// Returns the claims that are programmed.
    pub(crate) fn winning_claims(&self) -> impl Iterator<Item = &Claim> {
        (self.claims.values())
            .flat_map(|claims| winning(claims))
            .map(|ranked| ranked.claim.as_ref())
    }

    /// Returns the claims of each Service.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&ObjectName, &ServiceClaims)> {
        (self.parts.iter()).map(|(service, part)| (service, part.as_ref()))
    }

    /// Returns the Services with claims.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ObjectName> {
        self.parts.keys()
    }

    /// Returns the number of virtual servers and real servers that `service` claims.
    pub(crate) fn size(&self, service: &ObjectName) -> usize {
        let part = self.parts.get(service);
        let claims = part.into_iter().flat_map(|part| &part.claims);
        claims.map(|claim| 1 + claim.entry.real_servers.len()).sum()
    }

    /// Returns the ports claimed at `address` with the claiming Services, including Services that
    /// lost the claim.
    pub(crate) fn services_at(&self, address: IpAddr) -> impl Iterator<Item = (u16, &ObjectName)> {
        at_address(&self.claims, address).flat_map(|(key, claims)| {
            let port = match key {
                VirtualServerKey::Address { port, .. } => *port,
                VirtualServerKey::Fwmark { .. } => 0,
            };
            (claims.iter()).map(move |ranked| (port, &ranked.claim.owner.service))
        })
    }

    /// Returns all findings, each once, in order. [`ClaimIndex::settle_findings`] must have been
    /// called after the last change.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter()
    }

    /// Returns the findings raised and cleared since the last call.
    pub(crate) fn take_finding_changes(&mut self) -> FindingChanges {
        self.findings.take_changes()
    }

    /// Replaces the findings about the node.
    pub(crate) fn set_node_findings(&mut self, findings: Vec<Finding>) {
        self.findings.set(FindingSource::Node, findings);
    }

    /// Replaces the findings about `service` and its slices.
    pub(crate) fn set_findings(&mut self, service: &ObjectName, findings: Vec<Finding>) {
        let source = FindingSource::Service(service.clone());
        self.findings.set(source, findings);
    }

    /// Replaces the policy of `service`.
    pub(crate) fn set_policy(&mut self, service: &ObjectName, policy: Option<Arc<ServicePolicy>>) {
        let slow_start = policy.as_ref().and_then(|policy| policy.slow_start);
        let before = match policy {
            Some(policy) => self.desired.policies.insert(service.clone(), policy),
            None => self.desired.policies.remove(service),
        };
        if before.and_then(|policy| policy.slow_start) != slow_start {
            let owners = &self.desired.owners.virtual_servers;
            let is_its = |owner: &Arc<ServicePortName>| owner.service == *service;
            (self.slow_starts).touch(|key| owners.get(key).is_some_and(is_its));
        }
    }

    /// Replaces the findings about an object that cannot be decoded.
    pub(crate) fn set_undecodable(
        &mut self,
        kind: ObjectKind,
        name: &ObjectName,
        findings: Vec<Finding>,
    ) {
        let source = FindingSource::Undecodable(kind, name.clone());
        self.findings.set(source, findings);
    }

    /// Updates the findings about clashes.
    pub(crate) fn settle_findings(&mut self) {
        for (key, contest) in self.contests.take() {
            let claims: &[Ranked] = self.claims.get(&key).map_or(&[], |claims| claims);
            let winner = claims.first().map(|ranked| &ranked.claim.owner);
            let claimants = claims.iter().map(|ranked| &ranked.claim.owner);
            for (owner, lost) in contest.outcomes(claimants) {
                let lost_to = winner.filter(|_| lost);
                let finding = lost_to.map(|winner| clashes::finding(key, winner, &owner));
                let source = FindingSource::Clash(key, owner);
                self.findings.set(source, finding.into_iter().collect());
            }
        }
        for (key, service, finding) in self.every_port.take_findings(&self.claims) {
            let source = FindingSource::EveryPort(key, service);
            self.findings.set(source, finding.into_iter().collect());
        }
        for (port, service, finding) in self.health_checks.take_findings() {
            let source = FindingSource::HealthCheckClash(port, service);
            self.findings.set(source, finding.into_iter().collect());
        }
    }

    /// Replaces the claims of `service`, and returns the keys that changed. `part` is `None` for a
    /// deleted Service.
    pub(crate) fn replace(
        &mut self,
        service: &ObjectName,
        part: Option<ServiceClaims>,
    ) -> TableKeys {
        if self.parts.get(service).map(Arc::as_ref) == part.as_ref() {
            return TableKeys::default();
        }
        let after = part.map(Arc::new);
        let before = match &after {
            Some(part) => self.parts.insert(service.clone(), part.clone()),
            None => self.parts.remove(service),
        };
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        self.replace_filter_state(service, &before, &after);
        let without_local = &mut self.desired.without_local_endpoints;
        if after.without_local.is_empty() {
            without_local.remove(service);
        } else {
            without_local.insert(service.clone(), after.without_local.clone());
        }
        let mut exchanges: BTreeMap<VirtualServerKey, Exchange> = BTreeMap::new();
        for claim in &before.claims {
            let exchange = exchanges.entry(claim.entry.server.key).or_default();
            exchange.before.push(Ranked::new(before.created, claim));
        }
        for claim in &after.claims {
            let exchange = exchanges.entry(claim.entry.server.key).or_default();
            exchange.after.push(Ranked::new(after.created, claim));
        }
        let asked = [&before, &after].map(|part| part.every_port.iter());
        let mut shared: BTreeSet<VirtualServerKey> = asked
            .into_iter()
            .flatten()
            .map(|every| every.key())
            .collect();
        let touched = exchanges.keys().filter_map(|key| every_port_of(*key));
        shared.extend(touched.filter(|key| self.every_port.concerns(key)));
        let mut changed = self.split(&shared);
        (self.every_port).exchange(service, (before.created, &before.every_port), false);
        (self.every_port).exchange(service, (after.created, &after.every_port), true);
        let mut keys = self.settle(exchanges);
        changed.extend(self.merge(&shared));
        keys.virtual_servers.extend(changed);
        keys.entries.append(&mut self.sets.take_touched());
        keys
    }

    /// Replaces the set entries and the health check of a Service, which belong to no virtual
    /// server.
    fn replace_filter_state(
        &mut self,
        service: &ObjectName,
        before: &ServiceClaims,
        after: &ServiceClaims,
    ) {
        let sets = &mut self.desired.tables.sets;
        for endpoint in after.local_endpoints.difference(&before.local_endpoints) {
            self.sets.add(sets, lower::loop_back(*endpoint));
        }
        for endpoint in before.local_endpoints.difference(&after.local_endpoints) {
            self.sets.remove(sets, lower::loop_back(*endpoint));
        }
        let checks = [before, after].map(|part| part.health_check.as_deref());
        let holders: BTreeMap<NonZeroU16, Option<ObjectName>> = (checks.into_iter().flatten())
            .map(|check| (check.port, self.health_checks.winner(check.port).cloned()))
            .collect();
        for (part, is_new) in [(before, false), (after, true)] {
            let Some(check) = &part.health_check else {
                continue;
            };
            let created = part.created.unwrap_or(i64::MAX);
            for entry in lower::health_check(check) {
                if is_new {
                    self.sets.add(sets, entry);
                } else {
                    self.sets.remove(sets, entry);
                }
            }
            (self.health_checks).exchange(check.port, created, service, is_new);
        }
        for (port, holder) in holders {
            self.settle_health_check(port, holder.as_ref());
        }
    }

    /// Assigns the health check at `port` to the winning Service. `holder` is the previous winner.
    fn settle_health_check(&mut self, port: NonZeroU16, holder: Option<&ObjectName>) {
        let answered = &mut self.desired.health_checks;
        let winner = self.health_checks.winner(port);
        if let Some(holder) = holder.filter(|holder| Some(*holder) != winner)
            && answered.get(holder).is_some_and(|check| check.port == port)
        {
            answered.remove(holder);
        }
        if let Some(winner) = winner
            && let Some(check) = self
                .parts
                .get(winner)
                .and_then(|part| part.health_check.clone())
        {
            answered.insert(winner.clone(), *check);
        }
    }

    /// Replaces claims, updates the desired tables, and returns the keys that changed.
    fn settle(&mut self, exchanges: BTreeMap<VirtualServerKey, Exchange>) -> TableKeys {
        let mut virtual_servers = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        for (key, exchange) in exchanges {
            let [before, winners] = self.exchange(key, &exchange);
            if self.set_winner(key, &before, &winners) {
                virtual_servers.insert(key);
            }
            for Ranked { claim, .. } in before.iter().chain(&winners) {
                addresses.extend(claim.bound().or_else(|| claim.address_with_every_port()));
            }
        }
        addresses.retain(|address| self.settle_address(*address));
        TableKeys {
            virtual_servers,
            addresses,
            entries: self.sets.take_touched(),
            ..TableKeys::default()
        }
    }

    /// Replaces claims at `key`, and records them if the key is or was contested. Returns the
    /// winning claims before and after.
    fn exchange(&mut self, key: VirtualServerKey, exchange: &Exchange) -> [Vec<Ranked>; 2] {
        let claims = self.claims.entry(key).or_default();
        let winners_before = winning(claims).to_vec();
        let was_contested = is_contested(claims);
        for claim in &exchange.before {
            if let Ok(at) = claims.binary_search_by(|other| other.place().cmp(&claim.place())) {
                claims.remove(at);
            }
        }
        for claim in &exchange.after {
            match claims.binary_search_by(|other| other.place().cmp(&claim.place())) {
                Ok(at) => claims[at] = claim.clone(),
                Err(at) => claims.insert(at, claim.clone()),
            }
        }
        let winners = winning(claims).to_vec();
        let is_contested = was_contested || is_contested(claims);
        if claims.is_empty() {
            self.claims.remove(&key);
        }
        let winner = winners_before.first().map(|ranked| &ranked.claim.owner);
        for (claims, exist) in [(&exchange.before, false), (&exchange.after, true)] {
            for Ranked { claim, .. } in claims {
                (self.contests).record(key, is_contested, winner, &claim.owner, exist);
            }
        }
        [winners_before, winners]
    }

    /// Replaces the claims `before` at `key` with the winning claims. Returns true if the virtual
    /// server changed.
    fn set_winner(&mut self, key: VirtualServerKey, before: &[Ranked], winners: &[Ranked]) -> bool {
        let tables = &mut self.desired.tables;
        let owners = &mut self.desired.owners;
        let added = entries(winners);
        let removed = entries(before);
        for entry in added.difference(&removed) {
            self.sets.add(&mut tables.sets, *entry);
        }
        for entry in removed.difference(&added) {
            self.sets.remove(&mut tables.sets, *entry);
        }
        let winner = winners.first();
        let finishing = winner.and_then(|ranked| ranked.claim.finishing.as_ref());
        let finished = match finishing {
            Some(finishing) => self.desired.finishing.insert(key, finishing.clone()),
            None => self.desired.finishing.remove(&key),
        };
        let finishes_as_before = finished.as_ref() == finishing;
        let same = match winner {
            Some(Ranked { claim, .. }) => {
                let owner = owners.virtual_servers.insert(key, claim.owner.clone());
                let entry = self.slow_starts.replaced(key, &claim.entry);
                let before = tables.virtual_servers.insert(key, entry.clone());
                let same = before.as_ref() == Some(&entry);
                let is_its = owner.is_some_and(|owner| owner.service == claim.owner.service);
                if let Some(before) = before.filter(|_| is_its && !same)
                    && self.desired.slow_start(key).is_some()
                {
                    self.slow_starts.arrived(key, &before, &claim.entry);
                }
                same
            }
            None => {
                owners.virtual_servers.remove(&key);
                self.slow_starts.forget(key);
                tables.virtual_servers.remove(&key).is_none()
            }
        };
        !(same && finishes_as_before)
    }

    /// Binds `address` if a winning claim needs it. Returns true if the desired addresses changed.
    fn settle_address(&mut self, address: IpAddr) -> bool {
        let claims = at_address(&self.claims, address).flat_map(|(_, claims)| winning(claims));
        let winners: Vec<&Claim> = claims.map(|ranked| &*ranked.claim).collect();
        let wanted_by = (winners.iter())
            .filter(|claim| claim.bound() == Some(address))
            .map(|claim| &claim.owner);
        // An address shared with the API server's Service is added as early as that Service.
        let owner = wanted_by.min_by_key(|owner| (!owner.service.is_api_server(), *owner));
        let owner = owner.cloned();
        let wanted = owner.is_some();
        // The rules refuse packets to an address of this set at ports that no other set has.
        let in_set =
            wanted && (winners.iter()).all(|claim| claim.address_with_every_port().is_none());
        match owner {
            Some(owner) => self.desired.owners.addresses.insert(address, owner),
            None => self.desired.owners.addresses.remove(&address),
        };
        let tables = &mut self.desired.tables;
        (self.sets).put(&mut tables.sets, lower::bound(address), in_set);
        match wanted {
            true => tables.addresses.insert(address),
            false => tables.addresses.remove(&address),
        }
    }
}

fn entries(claims: &[Ranked]) -> BTreeSet<lower::SetEntry> {
    (claims.iter())
        .flat_map(|ranked| ranked.claim.set_entries.iter().copied())
        .collect()
}
