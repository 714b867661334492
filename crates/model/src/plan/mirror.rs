//! Keeping a picture of the kernel true without reading it again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Op;
use crate::snapshot::Snapshot;
use crate::tables::VirtualServerEntry;

impl Snapshot {
    /// Notes that the kernel did `op`. A change of something that the picture lacks is not noted:
    /// the next reading decides.
    pub fn note(&mut self, op: &Op) {
        let tables = &mut self.tables;
        match op {
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
                    real_servers: BTreeMap::new(),
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
                    Arc::make_mut(entry).real_servers.insert(real.key, *real);
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
