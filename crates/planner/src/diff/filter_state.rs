//! Compares filter state and settings: sets, rules and sysctls.

mod node_ports;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipset::{Entry, Header, Set, SetName};
use ipvs::{AddressFamily, Protocol, SyncRole, Timeouts, VirtualServerKey};
use model::missing_family::FamilyGap;
use model::names::{Name, ServicePortName};
use model::plan::{Difference, Op, PlannedOp, Reason};
use model::sets::{Destination, SetKind, entries_served_by};
use model::tables::TableKeys;

use super::plan_builder::PlanBuilder;
use super::{Differ, HandOver, address_of};
use super::{rules, sync_daemons};
use crate::settings::is_met;

pub(super) use self::node_ports::{NodePort, is_recorded};

impl Differ<'_> {
    /// Compares all keys except virtual servers and addresses.
    pub(super) fn filter_state(&self, keys: &TableKeys, plan: &mut PlanBuilder) {
        for name in &keys.sysctls {
            self.sysctl(name, plan);
        }
        if keys.timeouts {
            self.timeouts(plan);
        }
        for role in &keys.sync_daemons {
            self.sync_daemon(*role, plan);
        }
        for name in &keys.sets {
            self.set(name, plan);
        }
        let mut needed = BTreeSet::new();
        let sets = &self.desired.tables.sets;
        if !sets.keys().all(|name| keys.sets.contains(name)) {
            needed = self.entries_needed(keys);
            needed.extend(self.stand_ins_compared(keys));
        }
        for (name, entry) in keys.entries.union(&needed) {
            if !keys.sets.contains(name) {
                self.entry_of(name, *entry, plan);
            }
        }
        let loosened = plan.loosened();
        for family in keys.rules.union(&loosened) {
            self.rules(*family, loosened.contains(family), plan);
        }
    }

    /// Returns the missing entries that virtual servers and addresses added by this plan need. An
    /// earlier sync may have failed to add them. Sets in `keys` are skipped, since all their
    /// entries are compared anyway.
    fn entries_needed(&self, keys: &TableKeys) -> BTreeSet<(SetName, Entry)> {
        let (desired, live) = (&self.desired.tables, &self.live.tables);
        let mut needed = BTreeSet::new();
        let servers: Vec<_> = (keys.virtual_servers.iter())
            .filter(|key| !live.virtual_servers.contains_key(key))
            .filter(|key| desired.virtual_servers.contains_key(key))
            .collect();
        let at_servers = keys
            .virtual_servers
            .iter()
            .filter_map(|key| address_of(*key));
        let addresses: BTreeSet<IpAddr> = (keys.addresses.iter().copied().chain(at_servers))
            .filter(|at| !live.addresses.contains(at) && desired.addresses.contains(at))
            .collect();
        if servers.is_empty() && addresses.is_empty() {
            return needed;
        }
        let sets = desired.sets.iter();
        for (name, set) in sets.filter(|(name, _)| !keys.sets.contains(*name)) {
            let there = live.sets.get(name).map(|set| &set.entries);
            let of_servers =
                (servers.iter()).flat_map(|key| entries_served_by(&set.entries, **key));
            let of_addresses = addresses.iter().map(|at| Entry::Ip(*at));
            let of_addresses = of_addresses.filter(|entry| set.entries.contains(entry));
            let missing = (of_servers.copied().chain(of_addresses))
                .filter(|entry| !there.is_some_and(|there| there.contains(entry)));
            needed.extend(missing.map(|entry| (name.clone(), entry)));
        }
        needed
    }

    fn sysctl(&self, name: &Name, plan: &mut PlanBuilder) {
        let Some(wanted) = self.desired.tables.sysctls.get(name) else {
            return;
        };
        let live = self.live.tables.sysctls.get(name);
        if live.is_some_and(|live| is_met(name, live, wanted)) {
            return;
        }
        let reason = differs(
            "value",
            live.map_or("unknown", AsRef::as_ref),
            wanted.as_ref(),
        );
        plan.push(unowned(Op::SetSysctl(name.clone(), wanted.clone()), reason));
    }

    fn timeouts(&self, plan: &mut PlanBuilder) {
        let (live, wanted) = (self.live.tables.timeouts, self.desired.tables.timeouts);
        let each = |of: Timeouts| [("tcp", of.tcp), ("tcpfin", of.tcp_fin), ("udp", of.udp)];
        let differences: Vec<Difference> = (each(live).into_iter())
            .zip(each(wanted))
            .filter(|((_, live), (_, wanted))| !wanted.is_zero() && live != wanted)
            .map(|((field, live), (_, wanted))| Difference {
                field,
                live: format!("{} s", live.as_secs()),
                desired: format!("{} s", wanted.as_secs()),
            })
            .collect();
        if !differences.is_empty() {
            plan.push(unowned(
                Op::SetTimeouts(wanted),
                Reason::Differs(differences),
            ));
        }
    }

    /// Compares the daemon of a role. Roles without desired daemon belong to other programs.
    fn sync_daemon(&self, role: SyncRole, plan: &mut PlanBuilder) {
        let Some(wanted) = self.desired.tables.sync_daemons.get(&role) else {
            return;
        };
        let live = self.live.tables.sync_daemons.get(&role);
        let interfaces = &self.live.node.interfaces;
        for (op, reason) in sync_daemons::changes(live, wanted, interfaces) {
            plan.push(unowned(op, reason));
        }
    }

    /// Returns true if rules that no available program can delete may refer to the set.
    fn is_out_of_reach(&self, name: &SetName) -> bool {
        let missing = self.live.node.missing.as_ref();
        missing.is_some_and(|missing| {
            let mut kinds = SetKind::ALL.into_iter();
            missing.gap == FamilyGap::NoProgram
                && kinds.any(|kind| kind.name(missing.family) == *name)
        })
    }

    /// Compares a set with all its entries.
    fn set(&self, name: &SetName, plan: &mut PlanBuilder) {
        let live = self.live.tables.sets.get(name);
        let Some(desired) = self.desired.tables.sets.get(name) else {
            if live.is_some() && !self.is_out_of_reach(name) {
                plan.push(unowned(Op::DestroySet(name.clone()), Reason::Unwanted));
            }
            return;
        };
        let wanted = self.wanted(name, desired);
        match live {
            None => {
                let create = Op::CreateSet(name.clone(), desired.header);
                plan.push(unowned(create, Reason::Missing));
                for entry in wanted.iter() {
                    self.add(name, *entry, plan);
                }
            }
            Some(live) if is_roomy(live.header, desired.header) => {
                for entry in wanted.difference(&live.entries) {
                    self.add(name, *entry, plan);
                }
                for entry in live.entries.difference(&wanted) {
                    if !self.is_stand_in(name, *entry) {
                        self.delete(name, *entry, plan);
                    }
                }
            }
            Some(live) => self.replace(name, desired, live, plan),
        }
    }

    fn entry_of(&self, name: &SetName, entry: Entry, plan: &mut PlanBuilder) {
        let (Some(desired), Some(live)) = (
            self.desired.tables.sets.get(name),
            self.live.tables.sets.get(name),
        ) else {
            if !plan.writes_set(name) {
                self.set(name, plan);
            }
            return;
        };
        if !is_roomy(live.header, desired.header) {
            if !plan.writes_set(name) {
                self.replace(name, desired, live, plan);
            }
            return;
        }
        match (
            self.is_wanted(name, desired, entry),
            live.entries.contains(&entry),
        ) {
            (true, false) => self.add(name, entry, plan),
            (false, true) => self.delete(name, entry, plan),
            (true, true) | (false, false) => {}
        }
    }

    /// Returns true if `entry` belongs in the set `name`. `desired` is the set of the compiler.
    fn is_wanted(&self, name: &SetName, desired: &Set, entry: Entry) -> bool {
        match desired.entries.contains(&entry) {
            true => self.is_usable(name, entry),
            false => self.is_stand_in(name, entry),
        }
    }

    fn add(&self, name: &SetName, entry: Entry, plan: &mut PlanBuilder) {
        if self.claims_foreign(name, entry) {
            return;
        }
        plan.push(PlannedOp {
            op: Op::AddEntry(name.clone(), entry),
            owner: self.owner_of(&entry),
            reason: Reason::Missing,
        });
    }

    fn delete(&self, name: &SetName, entry: Entry, plan: &mut PlanBuilder) {
        let address = Destination::of(entry).address();
        let excluded = address.is_some_and(|at| self.own.excludes(at));
        if !excluded {
            self.delete_marked_by(entry, plan);
            plan.push(unowned(Op::DelEntry(name.clone(), entry), Reason::Unwanted));
        }
    }

    /// Deletes the undesired virtual servers that `entry` marks as ours. Without the entry they
    /// would look foreign and stay forever.
    fn delete_marked_by(&self, entry: Entry, plan: &mut PlanBuilder) {
        let keys: Vec<VirtualServerKey> = match Destination::of(entry) {
            Destination::Address(_) => Vec::new(),
            Destination::VirtualServer(key) => vec![key],
            Destination::Port(port) => (self.live.node.addresses())
                .flat_map(|address| {
                    let protocols = [Protocol::Tcp, Protocol::Udp];
                    protocols.map(|protocol| VirtualServerKey::Address {
                        address,
                        port,
                        protocol,
                    })
                })
                .collect(),
        };
        for key in keys {
            // A virtual server that another one replaces has been compared, and may stay: its address
            // marks it too.
            let unwanted = !self.desired.tables.virtual_servers.contains_key(&key)
                && HandOver::of(self.desired, self.live, key).is_none();
            if unwanted && !plan.deletes_server(&key) {
                self.virtual_server(key, plan);
            }
        }
    }

    /// Returns the Service port whose virtual server needs `entry`.
    fn owner_of(&self, entry: &Entry) -> Option<Arc<ServicePortName>> {
        let owners = &self.desired.owners;
        match Destination::of(*entry) {
            Destination::Address(address) => owners.addresses.get(&address).cloned(),
            Destination::VirtualServer(key) => self.desired.owner(key).cloned(),
            Destination::Port(_) => None,
        }
    }

    /// Replaces a set that has another type or is too small. The new set keeps the old entries that
    /// are still desired. While deletions are not allowed, it keeps every old entry that fits.
    fn replace(&self, name: &SetName, desired: &Set, live: &Set, plan: &mut PlanBuilder) {
        let mut set = Set {
            header: desired.header,
            entries: (self.wanted(name, desired).iter())
                .filter(|entry| live.entries.contains(entry) || !self.claims_foreign(name, **entry))
                .copied()
                .collect(),
        };
        if !plan.deletes() {
            let kept = (live.entries.iter()).filter_map(|entry| desired.header.fit(*entry).ok());
            set.entries.extend(kept);
        }
        let reason = differs(
            "header",
            &live.header.to_string(),
            &desired.header.to_string(),
        );
        if !live.header.is_like(desired.header) {
            self.empty_chains_of(name, plan);
        }
        plan.push(unowned(Op::ReplaceSet(name.clone(), set.into()), reason));
    }

    /// Empties the chains that refer to the set `name`, because a set of another type cannot be
    /// swapped in while they do. A later op writes the chains again.
    fn empty_chains_of(&self, name: &SetName, plan: &mut PlanBuilder) {
        for (family, rules) in &self.live.tables.rules {
            let emptied: BTreeMap<_, _> = (rules.chains.iter())
                .filter(|(_, rules)| rules.iter().any(|rule| rule.uses_set(name)))
                .map(|(key, _)| (key.clone(), Vec::new()))
                .collect();
            if !emptied.is_empty() {
                plan.loosen(*family, emptied);
            }
        }
    }

    /// Returns true if `entry` in the set `name` would make a foreign virtual server look like
    /// ours.
    fn claims_foreign(&self, name: &SetName, entry: Entry) -> bool {
        match Destination::of(entry) {
            // The rules reject packets to such an address that no virtual server of ours serves.
            Destination::Address(address) => {
                !self.live.tables.addresses.contains(&address) && self.foreign_at(address).is_some()
            }
            Destination::VirtualServer(key) => self.is_foreign(key),
            Destination::Port(_) => !self.is_usable(name, entry),
        }
    }

    pub(super) fn is_foreign(&self, key: VirtualServerKey) -> bool {
        self.live.tables.virtual_servers.contains_key(&key) && !self.is_ours(key)
    }

    fn rules(&self, family: AddressFamily, loosened: bool, plan: &mut PlanBuilder) {
        let wanted = self.desired.tables.rules.get(&family);
        let mut live = self.live.tables.rules.get(&family).cloned();
        if let Some(live) = live.as_mut().filter(|_| loosened) {
            plan.loose(family).apply(live);
        }
        let held = self.live.held_chains.get(&family);
        let Some((patch, reason)) = rules::compare(wanted, live.as_ref(), held) else {
            return;
        };
        plan.push(unowned(Op::PatchRules(family, patch.into()), reason));
    }
}

/// Returns true if a set with the header `live` can be kept: it has the wanted type and is large
/// enough.
fn is_roomy(live: Header, wanted: Header) -> bool {
    match (live, wanted) {
        (
            Header::Hash {
                hash_type,
                family,
                max_elements,
            },
            Header::Hash {
                hash_type: wanted_type,
                family: wanted_family,
                max_elements: least,
            },
        ) => hash_type == wanted_type && family == wanted_family && max_elements >= least,
        _ => live == wanted,
    }
}

fn differs(field: &'static str, live: &str, desired: &str) -> Reason {
    Reason::Differs(vec![Difference {
        field,
        live: live.to_owned(),
        desired: desired.to_owned(),
    }])
}

fn unowned(op: Op, reason: Reason) -> PlannedOp {
    PlannedOp {
        op,
        owner: None,
        reason,
    }
}
