//! Compares two tables, whoever owns their entries.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use ipset::{Set, SetName};
use ipvs::{AddressFamily, Timeouts, VirtualServerKey};
use model::plan::{Difference, Op, Plan, PlannedOp, Reason};
use model::tables::{NodeTables, VirtualServerEntry};

use super::plan_builder::PlanBuilder;
use super::{fields, rules, sync_daemons};

/// Returns the changes that turn the tables `from` into `to`.
///
/// Unlike [`diff`](super::diff), it knows no owners, drains and limits: every difference is a
/// change, and no change has an owner. A setting that `to` lacks cannot be unset and is not
/// compared; the same holds for timeouts.
#[must_use]
pub fn between(from: &NodeTables, to: &NodeTables) -> Plan {
    let mut plan = PlanBuilder::new(true, false);
    let mut push = |op, reason| {
        plan.push(PlannedOp {
            op,
            owner: None,
            reason,
        });
    };
    let keys: BTreeSet<_> = both(from.virtual_servers.keys(), to.virtual_servers.keys());
    for key in keys {
        let [before, after] = [from, to].map(|tables| tables.virtual_servers.get(key));
        match (before, after) {
            (Some(before), Some(after)) if before == after => {}
            (before, Some(after)) => server(*key, before.map(AsRef::as_ref), after, &mut push),
            (_, None) => push(Op::DelVirtualServer(*key), Reason::Unwanted),
        }
    }
    for address in to.addresses.difference(&from.addresses) {
        push(Op::AddAddress(*address), Reason::Missing);
    }
    for address in from.addresses.difference(&to.addresses) {
        push(Op::DelAddress(*address), Reason::Unwanted);
    }
    for name in both(from.sets.keys(), to.sets.keys()) {
        set(name, from.sets.get(name), to.sets.get(name), &mut push);
    }
    for family in AddressFamily::ALL {
        let [before, after] = [from, to].map(|tables| tables.rules.get(&family));
        if let Some((patch, reason)) = rules::compare(after, before, None) {
            push(Op::PatchRules(family, patch.into()), reason);
        }
    }
    for (name, value) in &to.sysctls {
        let before = from.sysctls.get(name);
        if before != Some(value) {
            let before = before.map_or("unknown", AsRef::as_ref);
            let reason = differs("value", before.to_owned(), value.to_string());
            push(Op::SetSysctl(name.clone(), value.clone()), reason);
        }
    }
    timeouts(from.timeouts, to.timeouts, &mut push);
    for role in both(from.sync_daemons.keys(), to.sync_daemons.keys()) {
        match (from.sync_daemons.get(role), to.sync_daemons.get(role)) {
            (Some(_), None) => push(Op::StopSyncDaemon(*role), Reason::Unwanted),
            (before, Some(after)) => {
                for (op, reason) in sync_daemons::changes(before, after, &[]) {
                    push(op, reason);
                }
            }
            (None, None) => {}
        }
    }
    plan.into_plan()
}

fn server(
    key: VirtualServerKey,
    before: Option<&VirtualServerEntry>,
    after: &VirtualServerEntry,
    push: &mut impl FnMut(Op, Reason),
) {
    let Some(before) = before else {
        push(Op::AddVirtualServer(after.server.clone()), Reason::Missing);
        for real in after.real_servers.values() {
            push(Op::AddRealServer(key, *real), Reason::Missing);
        }
        return;
    };
    let differences = fields::of_virtual_server(&before.server, &after.server);
    if !differences.is_empty() {
        let reason = Reason::Differs(differences);
        push(Op::SetVirtualServer(after.server.clone()), reason);
    }
    for real in after.real_servers.values() {
        match before.real_servers.get(&real.key) {
            None => push(Op::AddRealServer(key, *real), Reason::Missing),
            Some(before) => {
                let differences = fields::of_real_server(before, real);
                if !differences.is_empty() {
                    push(Op::SetRealServer(key, *real), Reason::Differs(differences));
                }
            }
        }
    }
    for real in before.real_servers.keys() {
        if !after.real_servers.contains_key(real) {
            push(Op::DelRealServer(key, *real), Reason::Unwanted);
        }
    }
}

fn set(
    name: &SetName,
    before: Option<&Set>,
    after: Option<&Set>,
    push: &mut impl FnMut(Op, Reason),
) {
    match (before, after) {
        (None, None) => {}
        (Some(_), None) => push(Op::DestroySet(name.clone()), Reason::Unwanted),
        (None, Some(after)) => {
            push(Op::CreateSet(name.clone(), after.header), Reason::Missing);
            for entry in &after.entries {
                push(Op::AddEntry(name.clone(), *entry), Reason::Missing);
            }
        }
        (Some(before), Some(after)) if before.header != after.header => {
            let [live, desired] = [before, after].map(|set| set.header.to_string());
            let reason = differs("header", live, desired);
            push(Op::ReplaceSet(name.clone(), after.clone().into()), reason);
        }
        (Some(before), Some(after)) => {
            for entry in after.entries.difference(&before.entries) {
                push(Op::AddEntry(name.clone(), *entry), Reason::Missing);
            }
            for entry in before.entries.difference(&after.entries) {
                push(Op::DelEntry(name.clone(), *entry), Reason::Unwanted);
            }
        }
    }
}

fn timeouts(before: Timeouts, after: Timeouts, push: &mut impl FnMut(Op, Reason)) {
    if after == Timeouts::default() || before == after {
        return;
    }
    let each = |of: Timeouts| [("tcp", of.tcp), ("tcpfin", of.tcp_fin), ("udp", of.udp)];
    let seconds = |time: std::time::Duration| format!("{} s", time.as_secs());
    let differences = (each(before).into_iter())
        .zip(each(after))
        .filter(|(before, after)| before != after)
        .map(|((field, before), (_, after))| Difference {
            field,
            live: seconds(before),
            desired: seconds(after),
        });
    let reason = Reason::Differs(differences.collect());
    push(Op::SetTimeouts(after), reason);
}

fn differs(field: &'static str, live: String, desired: String) -> Reason {
    Reason::Differs(vec![Difference {
        field,
        live,
        desired,
    }])
}

fn both<'a, T: Ord>(
    one: impl Iterator<Item = &'a T>,
    other: impl Iterator<Item = &'a T>,
) -> BTreeSet<&'a T> {
    one.chain(other).collect()
}
