//! Which virtual servers are ours, and which are foreign.

use std::collections::BTreeSet;

use ipvs::VirtualServerKey;
use model::compact::pack_set;
use model::snapshot::{Selection, Snapshot};

/// Virtual servers whose ownership was seen once. It stays as long as they exist: an address that is taken away by hand does not
/// make ours foreign, and an entry of ours that comes later does not make a foreign one ours.
#[derive(Debug, Default)]
pub(crate) struct Owned {
    pub(crate) ours: BTreeSet<VirtualServerKey>,
    pub(crate) foreign: BTreeSet<VirtualServerKey>,
}

impl Owned {
    /// Returns true if the live virtual server `key` is ours: as was seen, else by what the kernel holds.
    pub(crate) fn is_ours(&self, live: &Snapshot, key: VirtualServerKey) -> bool {
        self.ours.contains(&key) || (!self.foreign.contains(&key) && planner::is_marked(live, key))
    }

    /// Takes in a reading: `live` is the cache after it, `read` the virtual servers that were read, and `torn` that it may lack
    /// some. `marks` is whether addresses and sets are known, which mark ours. A virtual server that is gone may come back as a
    /// foreign one.
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

    /// This process created the virtual server.
    pub(crate) fn created(&mut self, key: VirtualServerKey) {
        self.foreign.remove(&key);
        self.ours.insert(key);
    }

    /// This process deleted the virtual server.
    pub(crate) fn deleted(&mut self, key: VirtualServerKey) {
        self.ours.remove(&key);
    }

    /// Gives back unused memory.
    pub(crate) fn pack(&mut self) {
        pack_set(&mut self.ours);
    }
}
