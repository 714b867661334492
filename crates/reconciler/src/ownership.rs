//! Ownership of virtual servers: ours or foreign.

use std::collections::BTreeSet;

use ipvs::VirtualServerKey;
use model::compact::pack_set;
use model::snapshot::{Selection, Snapshot};
use model::tables::Desired;

/// Virtual servers whose ownership is known. Ownership is decided once and stays as long as the
/// virtual server exists:
/// - An address that is deleted by hand does not make our virtual server foreign.
/// - A set entry of ours that is added later does not make a foreign virtual server ours.
#[derive(Debug, Default)]
pub(crate) struct Owned {
    pub(crate) ours: BTreeSet<VirtualServerKey>,
    pub(crate) foreign: BTreeSet<VirtualServerKey>,
}

impl Owned {
    /// Returns true if the live virtual server `key` is ours. If its ownership was never recorded,
    /// the marks in `live` decide.
    pub(crate) fn is_ours(&self, live: &Snapshot, key: VirtualServerKey) -> bool {
        self.ours.contains(&key) || (!self.foreign.contains(&key) && planner::is_marked(live, key))
    }

    /// Records the ownership of virtual servers after a reading.
    ///
    /// - `live` is the cache after the reading.
    /// - `read` selects the virtual servers that were read.
    /// - `torn` is true if the reading may lack some of them.
    /// - `marks` is true if addresses and sets are known. They mark our virtual servers.
    ///
    /// The ownership of a deleted virtual server is discarded, since another program may create it
    /// again.
    pub(crate) fn record(&mut self, live: &Snapshot, read: &Selection, torn: bool, marks: bool) {
        let servers = &live.tables.virtual_servers;
        match read {
            Selection::All | Selection::WithoutRealServers => {
                if !torn {
                    self.ours.retain(|key| servers.contains_key(key));
                    self.foreign.retain(|key| servers.contains_key(key));
                }
                for key in servers.keys() {
                    self.judge(live, *key, marks);
                }
            }
            Selection::Only(keys) => {
                for key in keys {
                    if servers.contains_key(key) {
                        self.judge(live, *key, marks);
                    } else {
                        self.ours.remove(key);
                        self.foreign.remove(key);
                    }
                }
            }
        }
    }

    fn judge(&mut self, live: &Snapshot, key: VirtualServerKey, marks: bool) {
        if self.ours.contains(&key) || self.foreign.contains(&key) {
            return;
        }
        if planner::is_marked(live, key) {
            self.ours.insert(key);
        } else if marks {
            self.foreign.insert(key);
        }
    }

    /// Records foreign virtual servers that a VirtualServer describes as ours. They stay ours, so
    /// that they are deleted with their VirtualServer.
    pub(crate) fn adopt(&mut self, desired: &Desired) {
        let foreign = self.foreign.iter().copied();
        let adopted: Vec<_> = (foreign.filter(|key| planner::is_adopted(desired, *key))).collect();
        for key in adopted {
            self.created(key);
        }
    }

    /// Records that this process created the virtual server.
    pub(crate) fn created(&mut self, key: VirtualServerKey) {
        self.foreign.remove(&key);
        self.ours.insert(key);
    }

    /// Records that this process deleted the virtual server.
    pub(crate) fn deleted(&mut self, key: VirtualServerKey) {
        self.ours.remove(&key);
    }

    /// Releases unused memory.
    pub(crate) fn pack(&mut self) {
        pack_set(&mut self.ours);
    }
}
