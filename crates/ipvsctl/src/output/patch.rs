//! A plan as a shell script, for review: commands of ip, ipset, iptables-restore, ipvsadm and
//! sysctl in the order of the plan.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use ipset::{Set, SetName};
use ipvs::AddressFamily;
use model::{Op, Plan, PlannedOp, escaped};

use super::plan::line;
use crate::grouping::Changes;

/// Word that ends the input of a program in the script. No line of an input equals it.
const END: &str = "END";

/// Program that makes a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tool {
    /// Reads lines from standard input.
    Restore(&'static str),
    /// Has a command for each change.
    Command,
}

/// Returns the script for those ops of `plan` that are in `shown`. Changes of one program that
/// follow each other become one run of the program.
#[must_use]
pub fn text(plan: &Plan, shown: &Changes<'_>) -> String {
    let shown: HashSet<*const PlannedOp> = (shown.iter())
        .map(|change| std::ptr::from_ref(change.planned))
        .collect();
    let mut text = "#!/bin/sh\n# Changes of `ipvsctl diff`, for review. `ipvsctl apply` makes them with checks.\nset -e\n"
        .to_owned();
    let mut open: Option<&'static str> = None;
    for planned in plan.ops() {
        if !shown.contains(&std::ptr::from_ref(planned)) {
            continue;
        }
        let tool = tool(&planned.op);
        let wanted = match tool {
            Tool::Restore(command) => Some(command),
            Tool::Command => None,
        };
        if open != wanted {
            close(&mut text, open);
            if let Some(command) = wanted {
                let _ = writeln!(text, "{command} <<'{END}'");
            }
            open = wanted;
        }
        for line in lines(&planned.op) {
            let _ = writeln!(text, "{}", escaped(&line));
        }
    }
    close(&mut text, open);
    text
}

fn close(text: &mut String, open: Option<&str>) {
    if open.is_some() {
        let _ = writeln!(text, "{END}");
    }
}

fn tool(op: &Op) -> Tool {
    match op {
        Op::CreateSet(..)
        | Op::ReplaceSet(..)
        | Op::AddEntry(..)
        | Op::DelEntry(..)
        | Op::DestroySet(_) => Tool::Restore("ipset restore"),
        Op::PatchRules(AddressFamily::Ipv4, _) => Tool::Restore("iptables-restore --noflush"),
        Op::PatchRules(AddressFamily::Ipv6, _) => Tool::Restore("ip6tables-restore --noflush"),
        Op::AddVirtualServer(_)
        | Op::SetVirtualServer(_)
        | Op::DelVirtualServer(_)
        | Op::AddRealServer(..)
        | Op::SetRealServer(..)
        | Op::DelRealServer(..) => Tool::Restore("ipvsadm --restore"),
        Op::SetSysctl(..)
        | Op::SetTimeouts(_)
        | Op::StopSyncDaemon(_)
        | Op::StartSyncDaemon(_)
        | Op::EnsureDevice
        | Op::DelDevice
        | Op::AddAddress(_)
        | Op::DelAddress(_) => Tool::Command,
    }
}

fn lines(op: &Op) -> Vec<String> {
    match op {
        Op::ReplaceSet(name, set) => replacement(name, set),
        Op::PatchRules(_, patch) => patch.to_restore().lines().map(str::to_owned).collect(),
        Op::SetSysctl(name, value) => {
            // sysctl takes spaces between numbers, and a tab would be escaped.
            let value = value.replace('\t', " ");
            vec![format!("sysctl -w {}", quoted(&format!("{name}={value}")))]
        }
        Op::SetTimeouts(_) | Op::StopSyncDaemon(_) | Op::StartSyncDaemon(_) => {
            vec![format!("ipvsadm {}", line(op))]
        }
        Op::EnsureDevice => vec![format!("ip link add {} type dummy", model::DEVICE)],
        Op::DelDevice => vec![format!("ip link delete {}", model::DEVICE)],
        Op::AddAddress(address) => vec![ip_address("add", *address)],
        Op::DelAddress(address) => vec![ip_address("delete", *address)],
        Op::CreateSet(..)
        | Op::AddEntry(..)
        | Op::DelEntry(..)
        | Op::DestroySet(_)
        | Op::AddVirtualServer(_)
        | Op::SetVirtualServer(_)
        | Op::DelVirtualServer(_)
        | Op::AddRealServer(..)
        | Op::SetRealServer(..)
        | Op::DelRealServer(..) => vec![line(op)],
    }
}

fn ip_address(verb: &str, address: IpAddr) -> String {
    format!(
        "ip address {verb} {} dev {}",
        IpNetwork::from(address),
        model::DEVICE
    )
}

/// Returns the lines that fill another set and swap the two, as rules may use the set.
fn replacement(name: &SetName, set: &Set) -> Vec<String> {
    let other = SetName::cut(&format!("TMP-{name}"));
    let mut lines = vec![format!("create {other} {}", set.header)];
    let entries = set.entries.iter();
    lines.extend(entries.map(|entry| format!("add {other} {entry}")));
    lines.push(format!("swap {other} {name}"));
    lines.push(format!("destroy {other}"));
    lines
}

/// Quotes `text` for a shell, unless it has only characters that no shell interprets.
fn quoted(text: &str) -> String {
    let text = escaped(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '=' | '/');
    match !text.is_empty() && text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
