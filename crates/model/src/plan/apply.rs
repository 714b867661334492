//! Applies ops to a snapshot, so that the kernel need not be read again.

use std::collections::BTreeSet;
use std::sync::Arc;

use ipset::Set;
use ipvs::Timeouts;

use super::Op;
use crate::snapshot::Snapshot;
use crate::tables::RealServers;
use crate::tables::VirtualServerEntry;

impl Snapshot {
    /// Records that the kernel applied `op`. A change of an entry that the snapshot lacks is
    /// ignored; the next reading corrects the snapshot.
    pub fn apply(&mut self, op: &Op) {
        let tables = &mut self.tables;
        match op {
            Op::SetSysctl(name, value) => {
                tables.sysctls.insert(name.clone(), value.clone());
            }
            Op::SetTimeouts(timeouts) => set_timeouts(&mut tables.timeouts, timeouts),
            Op::StopSyncDaemon(role) => {
                tables.sync_daemons.remove(role);
            }
            Op::StartSyncDaemon(daemon) => {
                tables.sync_daemons.insert(daemon.role, daemon.clone());
            }
            Op::CreateSet(name, header) => {
                let set = Set {
                    header: *header,
                    entries: BTreeSet::new(),
                };
                tables.sets.insert(name.clone(), set);
            }
            Op::ReplaceSet(name, set) => {
                tables.sets.insert(name.clone(), Set::clone(set));
            }
            Op::AddEntry(name, entry) => {
                if let Some(set) = tables.sets.get_mut(name) {
                    set.entries.insert(*entry);
                }
            }
            Op::DelEntry(name, entry) => {
                if let Some(set) = tables.sets.get_mut(name) {
                    set.entries.remove(entry);
                }
            }
            Op::DestroySet(name) => {
                tables.sets.remove(name);
            }
            Op::PatchRules(family, patch) => {
                patch.apply(tables.rules.entry(*family).or_default());
            }
            Op::EnsureDevice => self.device = true,
            Op::DelDevice => {
                self.device = false;
                tables.addresses.clear();
            }
            Op::AddAddress(address) => {
                tables.addresses.insert(*address);
            }
            Op::DelAddress(address) => {
                tables.addresses.remove(address);
            }
            Op::AddVirtualServer(server) => {
                let entry = VirtualServerEntry {
                    server: server.clone(),
                    real_servers: RealServers::new(),
                };
                tables.virtual_servers.insert(server.key, Arc::new(entry));
            }
            Op::SetVirtualServer(server) => {
                if let Some(entry) = tables.virtual_servers.get_mut(&server.key) {
                    Arc::make_mut(entry).server = server.clone();
                }
            }
            Op::DelVirtualServer(key) => self.forget(key),
            Op::AddRealServer(key, real) | Op::SetRealServer(key, real) => {
                if let Some(entry) = tables.virtual_servers.get_mut(key) {
                    Arc::make_mut(entry).real_servers.insert(*real);
                }
            }
            Op::DelRealServer(key, real) => {
                if let Some(entry) = tables.virtual_servers.get_mut(key) {
                    Arc::make_mut(entry).real_servers.remove(real);
                }
                self.connections.remove(&(*key, *real));
            }
        }
    }
}

/// Changes idle timeouts as the kernel does: a zero in `asked` leaves the value unchanged.
pub fn set_timeouts(kept: &mut Timeouts, asked: &Timeouts) {
    let Timeouts { tcp, tcp_fin, udp } = asked;
    for (kept, asked) in [
        (&mut kept.tcp, tcp),
        (&mut kept.tcp_fin, tcp_fin),
        (&mut kept.udp, udp),
    ] {
        if !asked.is_zero() {
            *kept = *asked;
        }
    }
}
