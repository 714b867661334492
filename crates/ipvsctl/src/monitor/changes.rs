//! Differences of two readings.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipset::{Set, SetName};
use ipvs::{AddressFamily, VirtualServerKey};
use model::rules::Rules;
use model::tables::RealServers;
use model::{NodeTables, Op, OpEffect, Snapshot, VirtualServerEntry};

use crate::output::plan::line;

/// A change between two readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableChange {
    /// Addition, change or deletion.
    pub effect: OpEffect,
    /// The change, as `diff` prints it.
    pub line: String,
    /// The place of the change.
    pub place: Place,
}

/// Place of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A virtual server or one of its real servers.
    VirtualServer(VirtualServerKey),
    /// A set or one of its entries.
    Set(SetName),
    /// Rules of the packet filter.
    Rules(AddressFamily),
    /// An address, the device or a setting.
    Other,
}

/// Returns the changes from the reading `before` to `after`, in the order in which a plan has them:
/// settings, device, sets, rules, addresses, virtual servers.
#[must_use]
pub fn between(before: &Snapshot, after: &Snapshot) -> Vec<TableChange> {
    let (old, new) = (&before.tables, &after.tables);
    let mut changes = Changes::default();
    changes.settings(old, new);
    match (before.device, after.device) {
        (false, true) => changes.op(&Op::EnsureDevice, Place::Other),
        (true, false) => changes.op(&Op::DelDevice, Place::Other),
        _ => {}
    }
    for name in union(&old.sets, &new.sets) {
        changes.set(name, old.sets.get(name), new.sets.get(name));
    }
    for family in union(&old.rules, &new.rules) {
        changes.rules(*family, old.rules.get(family), new.rules.get(family));
    }
    for address in old.addresses.difference(&new.addresses) {
        changes.op(&Op::DelAddress(*address), Place::Other);
    }
    for address in new.addresses.difference(&old.addresses) {
        changes.op(&Op::AddAddress(*address), Place::Other);
    }
    for key in union(&old.virtual_servers, &new.virtual_servers) {
        let (old, new) = (old.virtual_servers.get(key), new.virtual_servers.get(key));
        changes.virtual_server(*key, old, new);
    }
    changes.0
}

/// Returns the keys of both maps in order.
fn union<'a, K: Ord, V>(old: &'a BTreeMap<K, V>, new: &'a BTreeMap<K, V>) -> BTreeSet<&'a K> {
    old.keys().chain(new.keys()).collect()
}

#[derive(Default)]
struct Changes(Vec<TableChange>);

impl Changes {
    fn op(&mut self, op: &Op, place: Place) {
        self.0.push(TableChange {
            effect: op.effect(),
            line: line(op),
            place,
        });
    }

    fn settings(&mut self, old: &NodeTables, new: &NodeTables) {
        for (name, value) in &new.sysctls {
            if old.sysctls.get(name) != Some(value) {
                let op = Op::SetSysctl(name.clone(), value.clone());
                self.op(&op, Place::Other);
            }
        }
        if old.timeouts != new.timeouts {
            self.op(&Op::SetTimeouts(new.timeouts), Place::Other);
        }
    }

    fn set(&mut self, name: &SetName, old: Option<&Set>, new: Option<&Set>) {
        let place = || Place::Set(name.clone());
        match (old, new) {
            (Some(_), None) => self.op(&Op::DestroySet(name.clone()), place()),
            (None, Some(set)) => {
                let op = Op::CreateSet(name.clone(), set.header);
                self.op(&op, place());
            }
            (Some(old), Some(new)) if old.header != new.header => {
                let op = Op::ReplaceSet(name.clone(), Arc::new(new.clone()));
                self.op(&op, place());
            }
            _ => {}
        }
        let Some(new) = new else { return };
        let none = BTreeSet::new();
        let old = old.map_or(&none, |old| &old.entries);
        for entry in old.difference(&new.entries) {
            self.op(&Op::DelEntry(name.clone(), *entry), place());
        }
        for entry in new.entries.difference(old) {
            self.op(&Op::AddEntry(name.clone(), *entry), place());
        }
    }

    fn rules(&mut self, family: AddressFamily, old: Option<&Rules>, new: Option<&Rules>) {
        let lines = |rules: Option<&Rules>| rules.map(rule_lines).unwrap_or_default();
        let (old, new) = (lines(old), lines(new));
        let mut push = |effect, line: &String| {
            self.0.push(TableChange {
                effect,
                line: format!("{family} {line}"),
                place: Place::Rules(family),
            });
        };
        (old.difference(&new)).for_each(|line| push(OpEffect::Delete, line));
        (new.difference(&old)).for_each(|line| push(OpEffect::Add, line));
    }

    fn virtual_server(
        &mut self,
        key: VirtualServerKey,
        old: Option<&Arc<VirtualServerEntry>>,
        new: Option<&Arc<VirtualServerEntry>>,
    ) {
        let place = Place::VirtualServer(key);
        let Some(new) = new else {
            return self.op(&Op::DelVirtualServer(key), place);
        };
        let none = RealServers::default();
        let old_reals = old.map_or(&none, |old| &old.real_servers);
        for real in old_reals.keys() {
            if new.real_servers.get(real).is_none() {
                self.op(&Op::DelRealServer(key, *real), place.clone());
            }
        }
        match old {
            None => self.op(&Op::AddVirtualServer(new.server.clone()), place.clone()),
            Some(old) if old.server != new.server => {
                self.op(&Op::SetVirtualServer(new.server.clone()), place.clone());
            }
            Some(_) => {}
        }
        for (real_key, real) in new.real_servers.iter() {
            match old_reals.get(real_key) {
                None => self.op(&Op::AddRealServer(key, *real), place.clone()),
                Some(old) if old != real => self.op(&Op::SetRealServer(key, *real), place.clone()),
                Some(_) => {}
            }
        }
    }
}

/// Returns each chain and rule as a line with its table: `nat -A KUBE-SERVICES …`.
fn rule_lines(rules: &Rules) -> BTreeSet<String> {
    let text = rules.print();
    let mut table = "";
    let mut lines = BTreeSet::new();
    for line in text.lines() {
        match line.strip_prefix('*') {
            Some(name) => table = name,
            None if line == "COMMIT" || line.is_empty() => {}
            None => {
                lines.insert(format!("{table} {line}"));
            }
        }
    }
    lines
}
