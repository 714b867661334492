//! Skips ops whose prerequisites failed.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipset::{Entry, SetName};
use ipvs::{AddressFamily, SyncDaemon, SyncRole, VirtualServerKey};

use super::{Op, OpEffect, PlannedOp};
use crate::rules::{Match, RulesPatch};
use crate::sets::{Destination, service_socket};
use crate::tables::keys_at;

/// Blocks ops that depend on ops that failed or were blocked. Each run of a plan has its own gate.
///
/// 1. Pass every stage to [`DependencyGate::admit`].
/// 2. Report each outcome to [`DependencyGate::done`] or [`DependencyGate::not_done`].
///
/// The check of an op costs O(log n) in the number of ops that were not done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DependencyGate {
    /// True if the dummy device could not be created.
    missing_device: bool,
    /// Sets that could not be created, though rules use them.
    missing_sets: BTreeSet<SetName>,
    /// Entries that could not be added to their sets, though rules need them.
    missing_entries: MissingEntries,
    /// Families whose rules could not be written. A virtual server added now would be reachable for
    /// every client.
    outdated_rules: BTreeSet<AddressFamily>,
    /// True if rules could not be deleted. The sets that they use must stay.
    undeleted_rules: bool,
    /// Addresses that could not be added to the device.
    missing_addresses: BTreeSet<IpAddr>,
    /// Virtual servers that could not be created.
    missing_virtual_servers: BTreeSet<VirtualServerKey>,
    /// Virtual servers that could not be deleted. Without their address and set entries they would
    /// count as foreign.
    undeleted: UndeletedVirtualServers,
    /// Virtual servers with real servers that could not be added or changed. The old real servers
    /// must stay.
    missing_real_servers: BTreeSet<VirtualServerKey>,
    /// Roles with a synchronisation daemon that could not be stopped. A role has one daemon.
    unstopped_sync_daemons: BTreeSet<SyncRole>,
    /// True once an op was not done. Usually false, and then no op is checked.
    is_closed: bool,
}

/// Set entries, by the virtual servers or addresses that need them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct MissingEntries {
    addresses: BTreeSet<IpAddr>,
    services: BTreeSet<Socket>,
    node_ports: BTreeSet<u16>,
}

/// Address, protocol number and port of a virtual server, or of the set entry that stands for its
/// firewall mark. Comparing two of them takes fewer instructions than comparing two keys.
type Socket = (IpAddr, u8, u16);

/// Virtual servers by key and by port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct UndeletedVirtualServers {
    keys: BTreeSet<VirtualServerKey>,
    ports: BTreeSet<u16>,
}

impl DependencyGate {
    /// Returns a gate for a plan that does not retry every earlier failure: `rules` and `sets`
    /// failed to be written, and so did the device if `device` is true.
    ///
    /// The gate blocks the creation of these sets and of the device, and all ops that depend on a
    /// failure. Ops on rules are not blocked; once they are done, they unblock their dependents.
    #[must_use]
    pub fn with_failed(
        rules: impl IntoIterator<Item = AddressFamily>,
        sets: impl IntoIterator<Item = SetName>,
        device: bool,
    ) -> Self {
        let outdated_rules: BTreeSet<_> = rules.into_iter().collect();
        let missing_sets: BTreeSet<_> = sets.into_iter().collect();
        Self {
            is_closed: device || !outdated_rules.is_empty() || !missing_sets.is_empty(),
            missing_device: device,
            missing_sets,
            outdated_rules,
            ..Self::default()
        }
    }

    /// Records that `op` failed or was blocked.
    pub fn not_done(&mut self, op: &Op) {
        self.is_closed = true;
        match op {
            Op::CreateSet(set, _) => {
                self.missing_sets.insert(set.clone());
            }
            Op::AddEntry(_, entry) => self.missing_entries.insert(*entry),
            // The old set in its place may lack any of these entries.
            Op::ReplaceSet(_, set) => {
                for entry in &set.entries {
                    self.missing_entries.insert(*entry);
                }
            }
            Op::PatchRules(_, patch) if patch.effect() == OpEffect::Delete => {
                self.undeleted_rules = true;
            }
            Op::PatchRules(family, _) => {
                self.outdated_rules.insert(*family);
            }
            Op::EnsureDevice => self.missing_device = true,
            Op::AddAddress(address) => {
                self.missing_addresses.insert(*address);
            }
            Op::AddVirtualServer(server) => {
                self.missing_virtual_servers.insert(server.key);
            }
            // Nothing depends on a real server that keeps its weight for now.
            Op::SetRealServer(_, real) if real.weight == 0 => {}
            Op::AddRealServer(key, _) | Op::SetRealServer(key, _) => {
                self.missing_real_servers.insert(*key);
            }
            Op::DelVirtualServer(key) => self.undeleted.insert(*key),
            Op::StopSyncDaemon(role) => {
                self.unstopped_sync_daemons.insert(*role);
            }
            Op::SetVirtualServer(_)
            | Op::DelRealServer(..)
            | Op::DelAddress(_)
            | Op::DelDevice
            | Op::SetSysctl(..)
            | Op::SetTimeouts(_)
            | Op::StartSyncDaemon(_)
            | Op::DelEntry(..)
            | Op::DestroySet(_) => {}
        }
    }

    /// Records that `op` was done. If it wrote rules, a set or the device, ops that depend on these
    /// are no longer blocked.
    pub fn done(&mut self, op: &Op) {
        if !self.is_closed {
            return;
        }
        match op {
            Op::CreateSet(set, _) | Op::ReplaceSet(set, _) => {
                self.missing_sets.remove(set);
            }
            Op::PatchRules(family, _) => {
                self.outdated_rules.remove(family);
            }
            Op::EnsureDevice => self.missing_device = false,
            _ => {}
        }
    }

    /// Splits `ops` into admitted and blocked ones, in this order. Records the blocked ones as not
    /// done.
    pub fn admit(&mut self, ops: Vec<PlannedOp>) -> (Vec<PlannedOp>, Vec<PlannedOp>) {
        // Fast path: a first sync has hundreds of thousands of ops.
        if !self.is_closed {
            return (ops, Vec::new());
        }
        let (blocked, admitted): (Vec<_>, Vec<_>) =
            (ops.into_iter()).partition(|planned| self.blocks(&planned.op));
        for planned in &blocked {
            self.not_done(&planned.op);
        }
        (admitted, blocked)
    }

    /// Returns true if `op` depends on something that was not done.
    fn blocks(&self, op: &Op) -> bool {
        match op {
            Op::SetVirtualServer(_)
            | Op::DelVirtualServer(_)
            | Op::SetSysctl(..)
            | Op::SetTimeouts(_)
            | Op::StopSyncDaemon(_)
            | Op::ReplaceSet(..) => false,
            Op::StartSyncDaemon(SyncDaemon { role, .. }) => {
                self.unstopped_sync_daemons.contains(role)
            }
            // Failed before and not due for a retry yet.
            Op::EnsureDevice => self.missing_device,
            Op::CreateSet(set, _) => self.missing_sets.contains(set),
            Op::AddEntry(set, _) => self.missing_sets.contains(set),
            Op::PatchRules(_, patch) => self.lacks_set_of(patch),
            Op::AddAddress(address) => {
                self.missing_device
                    || self.outdated_rules.contains(&AddressFamily::of(*address))
                    || self.missing_entries.addresses.contains(address)
            }
            Op::AddVirtualServer(server) => self.lacks_filter_state_of(server.key),
            Op::SetRealServer(key, real) if real.weight == 0 => {
                self.missing_real_servers.contains(key)
            }
            Op::AddRealServer(key, _) | Op::SetRealServer(key, _) => {
                self.missing_virtual_servers.contains(key)
            }
            Op::DelRealServer(key, _) => self.missing_real_servers.contains(key),
            Op::DelAddress(address) => keys_at(&self.undeleted.keys, *address).next().is_some(),
            Op::DelEntry(_, entry) => {
                self.undeleted.needs(*entry) || self.missing_entries.replace(*entry)
            }
            Op::DestroySet(_) => self.undeleted_rules,
            Op::DelDevice => self.is_closed,
        }
    }

    /// Returns true if the address, the rules or a set entry of the virtual server `key` could not
    /// be added.
    fn lacks_filter_state_of(&self, key: VirtualServerKey) -> bool {
        if self.missing_entries.serve(key) {
            return true;
        }
        let VirtualServerKey::Address { address, .. } = key else {
            return false;
        };
        self.missing_addresses.contains(&address)
            || self.outdated_rules.contains(&AddressFamily::of(address))
    }

    fn lacks_set_of(&self, patch: &RulesPatch) -> bool {
        if self.missing_sets.is_empty() {
            return false;
        }
        let rules = patch.chains.values().flatten();
        let mut conditions = rules.flat_map(|rule| &rule.matches);
        conditions.any(|condition| match condition {
            Match::Set { name, .. } => self.missing_sets.contains(name),
            _ => false,
        })
    }
}

impl MissingEntries {
    fn insert(&mut self, entry: Entry) {
        match Destination::of(entry) {
            Destination::Address(address) => {
                self.addresses.insert(address);
            }
            Destination::VirtualServer(key) => {
                self.services.insert(socket_of(key));
            }
            Destination::Port(port) => {
                self.node_ports.insert(port);
            }
        }
    }

    /// Returns true if one of the entries is [`served_by`](crate::sets::served_by) `key`.
    fn serve(&self, key: VirtualServerKey) -> bool {
        let socket @ (_, _, port) = socket_of(key);
        self.services.contains(&socket) || self.node_ports.contains(&port)
    }

    /// Returns true if a missing entry and `entry` mark the same virtual server. The missing entry
    /// may be the replacement of `entry`, which must then stay.
    fn replace(&self, entry: Entry) -> bool {
        match entry {
            Entry::IpPort(address, protocol, port) => {
                self.services.contains(&(address, protocol.0, port))
                    || self.node_ports.contains(&port)
            }
            Entry::Port(port) => self.services.iter().any(|(_, _, of)| *of == port),
            Entry::Ip(_) | Entry::IpPortIp(..) | Entry::IpPortNet(..) => false,
        }
    }
}

impl UndeletedVirtualServers {
    fn insert(&mut self, key: VirtualServerKey) {
        self.keys.insert(key);
        if let VirtualServerKey::Address { port, .. } = key {
            self.ports.insert(port);
        }
    }

    /// Returns true if `entry` is [`served_by`](crate::sets::served_by) one of the virtual servers.
    fn needs(&self, entry: Entry) -> bool {
        match Destination::of(entry) {
            Destination::Address(_) => false,
            Destination::VirtualServer(key) => self.keys.contains(&key),
            Destination::Port(port) => self.ports.contains(&port),
        }
    }
}

fn socket_of(key: VirtualServerKey) -> Socket {
    let (address, protocol, port) = service_socket(key);
    (address, protocol.0, port)
}
