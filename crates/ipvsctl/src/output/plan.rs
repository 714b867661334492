//! A plan as people read it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use ipvs::VirtualServerKey;
use ipvs::text::{print_real_server, print_service_selector, print_virtual_server};
use model::{Name, ObjectName, Op, Plan, PlannedOp};

use super::style;

#[cfg(test)]
mod tests;

/// The widest line that still moves the column of reasons.
const WIDEST: usize = 72;

/// On whose behalf changes are made. Prints as a heading of a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// What all Services need.
    Node,
    /// A Service's port, in all its protocols.
    Service(ObjectName, Name),
    /// Nobody asks for it any more.
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

/// The changes of `plan` by group, and within a group address by address.
#[must_use]
pub fn groups(plan: &Plan) -> BTreeMap<Group, Vec<&PlannedOp>> {
    let mut groups: BTreeMap<Group, Vec<&PlannedOp>> = BTreeMap::new();
    for planned in plan.ops() {
        groups.entry(group(planned)).or_default().push(planned);
    }
    for changes in groups.values_mut() {
        changes.sort_by_cached_key(|planned| (address(&planned.op), planned.op.clone()));
    }
    groups
}

/// The changes by Service and, last, how many there are. With escape sequences for colours.
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

/// What is changed, in `ipvsadm`'s words or as an address of the dummy device.
#[must_use]
pub fn line(op: &Op) -> String {
    match op {
        Op::EnsureDevice | Op::DelDevice => format!("device {}", model::DEVICE),
        Op::AddAddress(address) | Op::DelAddress(address) => host_address(*address),
        Op::AddVirtualServer(server) => print_virtual_server(server),
        Op::SetVirtualServer(server) => edit(&print_virtual_server(server), "-A", "-E"),
        Op::DelVirtualServer(key) => format!("-D {}", print_service_selector(key)),
        Op::AddRealServer(key, real) => print_real_server(key, real),
        Op::SetRealServer(key, real) => edit(&print_real_server(key, real), "-a", "-e"),
        Op::DelRealServer(key, real) => format!("-d {} -r {real}", print_service_selector(key)),
    }
}

/// `10.96.0.10/32`, `fd00::10/128`.
#[must_use]
pub fn host_address(address: IpAddr) -> String {
    IpNetwork::from(address).to_string()
}

fn group(planned: &PlannedOp) -> Group {
    match (&planned.owner, &planned.op) {
        (Some(owner), _) => Group::Service(owner.service.clone(), owner.port.clone()),
        (None, Op::EnsureDevice | Op::DelDevice) => Group::Node,
        (None, _) => Group::NoService,
    }
}

fn address(op: &Op) -> Option<IpAddr> {
    let key = match op {
        Op::EnsureDevice | Op::DelDevice => return None,
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

/// The line that edits what `line` would add.
fn edit(line: &str, add: &str, edit: &str) -> String {
    match line.strip_prefix(add) {
        Some(rest) => format!("{edit}{rest}"),
        None => line.to_owned(),
    }
}
