//! Differences of two readings.

#[cfg(test)]
mod tests;

use ipset::SetName;
use ipvs::{AddressFamily, VirtualServerKey};
use model::rules::Rules;
use model::{Op, OpEffect, Snapshot};

use crate::output::plan::{ChainChange, RuleHunk, RuleLine, line};

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

/// Returns the changes from the reading `before` to `after`: the device, the changes in the order
/// of a plan, and the rules line by line.
#[must_use]
pub fn between(before: &Snapshot, after: &Snapshot) -> Vec<TableChange> {
    let device = match (before.device, after.device) {
        (false, true) => Some(Op::EnsureDevice),
        (true, false) => Some(Op::DelDevice),
        _ => None,
    };
    let plan = planner::between(&before.tables, &after.tables);
    let planned = plan.ops().map(|planned| &planned.op);
    let ops = (device.iter().chain(planned)).filter(|op| !matches!(op, Op::PatchRules(..)));
    let mut changes: Vec<TableChange> = ops.map(TableChange::of).collect();
    for family in AddressFamily::ALL {
        let [before, after] = [before, after].map(|read| read.tables.rules.get(&family));
        changes.extend(rules(family, before, after));
    }
    changes
}

impl TableChange {
    fn of(op: &Op) -> Self {
        Self {
            effect: op.effect(),
            line: line(op),
            place: Place::of(op),
        }
    }
}

impl Place {
    fn of(op: &Op) -> Self {
        match op {
            Op::AddVirtualServer(server) | Op::SetVirtualServer(server) => {
                Self::VirtualServer(server.key)
            }
            Op::DelVirtualServer(key)
            | Op::AddRealServer(key, _)
            | Op::SetRealServer(key, _)
            | Op::DelRealServer(key, _) => Self::VirtualServer(*key),
            Op::CreateSet(name, _)
            | Op::ReplaceSet(name, _)
            | Op::AddEntry(name, _)
            | Op::DelEntry(name, _)
            | Op::DestroySet(name) => Self::Set(name.clone()),
            Op::PatchRules(family, _) => Self::Rules(*family),
            Op::SetSysctl(..)
            | Op::SetTimeouts(_)
            | Op::StopSyncDaemon(_)
            | Op::StartSyncDaemon(_)
            | Op::EnsureDevice
            | Op::DelDevice
            | Op::AddAddress(_)
            | Op::DelAddress(_) => Self::Other,
        }
    }
}

/// Returns each new or deleted chain and rule with its table: `IPv4 nat -A KUBE-SERVICES …`.
fn rules(family: AddressFamily, before: Option<&Rules>, after: Option<&Rules>) -> Vec<TableChange> {
    let none = Rules::default();
    let hunks = RuleHunk::between(family, before.unwrap_or(&none), after.unwrap_or(&none));
    let change = |hunk: &RuleHunk, effect, rule: &str| TableChange {
        effect,
        line: format!("{family} {} {rule}", hunk.chain.table),
        place: Place::Rules(family),
    };
    let mut changes = Vec::new();
    for hunk in &hunks {
        let name = &hunk.chain.chain;
        if hunk.change == ChainChange::Created {
            changes.push(change(hunk, OpEffect::Add, &format!("-N {name}")));
        }
        changes.extend(hunk.lines.iter().filter_map(|line| match line {
            RuleLine::Same(_) => None,
            RuleLine::Added(rule) => Some(change(hunk, OpEffect::Add, rule)),
            RuleLine::Deleted(rule) => Some(change(hunk, OpEffect::Delete, rule)),
        }));
        if hunk.change == ChainChange::Deleted {
            changes.push(change(hunk, OpEffect::Delete, &format!("-X {name}")));
        }
    }
    changes
}
