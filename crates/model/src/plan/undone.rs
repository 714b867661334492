//! What must not be done once something else was not.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipset::{Entry, SetName};
use ipvs::{AddressFamily, VirtualServerKey};

use super::{Op, OpEffect, PlannedOp};
use crate::rules::{Match, RulesPatch};
use crate::sets::served_by;

/// Changes of a plan that were not done, because they failed or because one of these blocked them, and
/// so which later ones must not be done either. Whoever carries out a plan keeps one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    device: bool,
    /// Not there though rules look into them.
    sets: BTreeSet<SetName>,
    /// Not in their sets though rules should find them there.
    entries: BTreeSet<Entry>,
    /// Families whose rules are not as they should be: what is new there would be open to everybody.
    rules: BTreeSet<AddressFamily>,
    /// Whether rules are still there though what they look into should go.
    rules_left: bool,
    /// Not on the device though a virtual server needs them.
    addresses: BTreeSet<IpAddr>,
    /// Not there though real servers belong to them.
    virtual_servers: BTreeSet<VirtualServerKey>,
    /// Still there though their address should go: without it they would look like somebody else's.
    left: BTreeSet<VirtualServerKey>,
    /// Without real servers that they should have: the old ones stay.
    short: BTreeSet<VirtualServerKey>,
    any: bool,
}

impl Undone {
    /// Notes that `op` was not done.
    pub fn note(&mut self, op: &Op) {
        self.any = true;
        match op {
            Op::CreateSet(set, _) => {
                self.sets.insert(set.clone());
            }
            Op::AddEntry(_, entry) => {
                self.entries.insert(*entry);
            }
            Op::PatchRules(_, patch) if patch.effect() == OpEffect::Delete => {
                self.rules_left = true;
            }
            Op::PatchRules(family, _) => {
                self.rules.insert(*family);
            }
            Op::EnsureDevice => self.device = true,
            Op::AddAddress(address) => {
                self.addresses.insert(*address);
            }
            Op::AddVirtualServer(server) => {
                self.virtual_servers.insert(server.key);
            }
            Op::AddRealServer(key, _) | Op::SetRealServer(key, _) => {
                self.short.insert(*key);
            }
            Op::DelVirtualServer(key) => {
                self.left.insert(*key);
            }
            Op::SetVirtualServer(_)
            | Op::DelRealServer(..)
            | Op::DelAddress(_)
            | Op::DelDevice
            | Op::SetSysctl(..)
            | Op::SetTimeouts(_)
            | Op::ReplaceSet(..)
            | Op::DelEntry(..)
            | Op::DestroySet(_) => {}
        }
    }

    /// Parts `ops` into those to be done and those that are blocked, which are noted as not done.
    pub fn admit(&mut self, ops: Vec<PlannedOp>) -> (Vec<PlannedOp>, Vec<PlannedOp>) {
        // Nearly always, and a first synchronisation has hundreds of thousands.
        if !self.any {
            return (ops, Vec::new());
        }
        let (blocked, admitted): (Vec<_>, Vec<_>) =
            (ops.into_iter()).partition(|planned| self.blocks(&planned.op));
        for planned in &blocked {
            self.note(&planned.op);
        }
        (admitted, blocked)
    }

    /// Whether `op` builds on something that was not done.
    fn blocks(&self, op: &Op) -> bool {
        match op {
            Op::EnsureDevice
            | Op::SetVirtualServer(_)
            | Op::DelVirtualServer(_)
            | Op::SetSysctl(..)
            | Op::SetTimeouts(_)
            | Op::CreateSet(..)
            | Op::ReplaceSet(..) => false,
            Op::AddEntry(set, _) => self.sets.contains(set),
            Op::PatchRules(_, patch) => self.lacks_set_of(patch),
            Op::AddAddress(address) => {
                self.device
                    || self.rules.contains(&family_of(*address))
                    || self.entries.contains(&Entry::Ip(*address))
            }
            Op::AddVirtualServer(server) => self.lacks_companion_of(server.key),
            Op::AddRealServer(key, _) | Op::SetRealServer(key, _) => {
                self.virtual_servers.contains(key)
            }
            Op::DelRealServer(key, _) => self.short.contains(key),
            Op::DelAddress(address) => {
                (self.left.iter()).any(|key| address_of(*key) == Some(*address))
            }
            Op::DelEntry(_, entry) => (self.left.iter()).any(|key| served_by(entry, *key)),
            Op::DestroySet(_) => self.rules_left,
            Op::DelDevice => self.any,
        }
    }

    fn lacks_companion_of(&self, key: VirtualServerKey) -> bool {
        (self.entries.iter()).any(|entry| served_by(entry, key))
            || address_of(key).is_some_and(|at| {
                self.addresses.contains(&at) || self.rules.contains(&family_of(at))
            })
    }

    fn lacks_set_of(&self, patch: &RulesPatch) -> bool {
        if self.sets.is_empty() {
            return false;
        }
        let rules = patch.chains.values().flatten();
        let mut conditions = rules.flat_map(|rule| &rule.matches);
        conditions.any(|condition| match condition {
            Match::Set { name, .. } => self.sets.contains(name),
            _ => false,
        })
    }
}

fn family_of(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Ipv4,
        IpAddr::V6(_) => AddressFamily::Ipv6,
    }
}

fn address_of(key: VirtualServerKey) -> Option<IpAddr> {
    match key {
        VirtualServerKey::Address { address, .. } => Some(address),
        VirtualServerKey::Fwmark { .. } => None,
    }
}
