//! Text output of a plan.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use ipvs::{RealServerKey, VirtualServerKey};
use model::{Name, ObjectName, Op, Plan, PlannedOp};

use crate::style;

#[cfg(test)]
mod tests;

/// Maximum width of the column of changes. Longer lines do not move the column of reasons.
const WIDEST: usize = 72;

/// Group of changes by their Service port. Prints as a heading of a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Changes for all Services.
    Node,
    /// Changes for a port of a Service, in all protocols.
    Service(ObjectName, Name),
    /// Changes of entries that no Service needs.
    NoService,
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Node => f.write_str("(node)"),
            Self::NoService => f.write_str("(no Service)"),
            Self::Service(service, port) if port.is_empty() => write!(f, "{service}"),
            Self::Service(service, port) => write!(f, "{service}:{port}"),
        }
    }
}

/// Returns the changes of `plan` by group, ordered by address within a group.
#[must_use]
pub fn groups(plan: &Plan) -> BTreeMap<Group, Vec<&PlannedOp>> {
    let mut groups: BTreeMap<Group, Vec<&PlannedOp>> = BTreeMap::new();
    for planned in plan.ops() {
        groups.entry(group(planned)).or_default().push(planned);
    }
    for changes in groups.values_mut() {
        changes.sort_by_cached_key(|planned| (address(&planned.op), place(&planned.op)));
    }
    groups
}

/// Returns the changes by group, and a line with their numbers. Contains escape sequences for
/// colours.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let groups = groups(plan);
    let width = (plan.ops().map(|planned| line(&planned.op).len()))
        .filter(|width| *width <= WIDEST)
        .max()
        .unwrap_or(0);
    let (heading, quiet) = (style::HEADING, style::QUIET);
    let mut text = String::new();
    for (group, changes) in &groups {
        let _ = writeln!(text, "{heading}{group}{heading:#}");
        for planned in changes {
            let effect = planned.op.effect();
            let (mark, style) = (effect.mark(), style::of_effect(effect));
            let (line, reason) = (line(&planned.op), &planned.reason);
            let _ = writeln!(
                text,
                "{style}{mark} {line:width$}{style:#}    {quiet}{reason}{quiet:#}"
            );
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{heading}{}{heading:#}", plan.summary());
    text
}

/// Returns the change in the syntax of `ipvsadm`, `ip`, `ipset`, `iptables` or `sysctl`.
#[must_use]
pub fn line(op: &Op) -> String {
    op.line()
}

/// Returns `10.96.0.10/32` or `fd00::10/128`.
#[must_use]
pub fn host_address(address: IpAddr) -> String {
    IpNetwork::from(address).to_string()
}

fn group(planned: &PlannedOp) -> Group {
    match (&planned.owner, &planned.op) {
        (Some(owner), _) => Group::Service(owner.service.clone(), owner.port.clone()),
        (
            None,
            Op::EnsureDevice
            | Op::DelDevice
            | Op::SetSysctl(..)
            | Op::SetTimeouts(_)
            | Op::CreateSet(..)
            | Op::ReplaceSet(..)
            | Op::DestroySet(_)
            | Op::PatchRules(..),
        ) => Group::Node,
        (None, _) => Group::NoService,
    }
}

fn address(op: &Op) -> Option<IpAddr> {
    let key = match op {
        Op::EnsureDevice
        | Op::DelDevice
        | Op::SetSysctl(..)
        | Op::SetTimeouts(_)
        | Op::CreateSet(..)
        | Op::ReplaceSet(..)
        | Op::DestroySet(_)
        | Op::PatchRules(..) => return None,
        Op::AddEntry(_, entry) | Op::DelEntry(_, entry) => return entry.address(),
        Op::AddAddress(address) | Op::DelAddress(address) => return Some(*address),
        Op::AddVirtualServer(server) | Op::SetVirtualServer(server) => &server.key,
        Op::DelVirtualServer(key)
        | Op::AddRealServer(key, _)
        | Op::SetRealServer(key, _)
        | Op::DelRealServer(key, _) => key,
    };
    match key {
        VirtualServerKey::Address { address, .. } => Some(*address),
        VirtualServerKey::Fwmark { .. } => None,
    }
}

/// Sort key of a change among those of its address: the order of a plan, then the entry's keys.
fn place(op: &Op) -> (u8, Option<VirtualServerKey>, Option<RealServerKey>) {
    match op {
        Op::SetSysctl(..) | Op::SetTimeouts(_) => (0, None, None),
        Op::EnsureDevice => (1, None, None),
        Op::CreateSet(..) | Op::ReplaceSet(..) => (2, None, None),
        Op::AddEntry(..) => (3, None, None),
        Op::PatchRules(..) => (4, None, None),
        Op::AddAddress(_) => (5, None, None),
        Op::AddVirtualServer(server) => (6, Some(server.key), None),
        Op::SetVirtualServer(server) => (7, Some(server.key), None),
        Op::AddRealServer(key, real) => (8, Some(*key), Some(real.key)),
        Op::SetRealServer(key, real) => (9, Some(*key), Some(real.key)),
        Op::DelRealServer(key, real) => (10, Some(*key), Some(*real)),
        Op::DelVirtualServer(key) => (11, Some(*key), None),
        Op::DelAddress(_) => (12, None, None),
        Op::DelEntry(..) => (13, None, None),
        Op::DestroySet(_) => (14, None, None),
        Op::DelDevice => (15, None, None),
    }
}
