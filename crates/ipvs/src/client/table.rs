//! Reads the whole table and detects changes by other programs.

use std::collections::BTreeMap;

use netlink::Transport;

use super::{Client, ReadError};
use crate::types::{RealServerKey, RealServerStatus, Statistics, VirtualServer, VirtualServerKey};

/// Maximum number of real servers that fit into one datagram of a dump (32 KiB, about 400 bytes
/// each). The kernel holds its lock while it fills a datagram, so that such a list is consistent. A
/// longer list is read twice.
const MAX_IN_DATAGRAM: usize = 64;

/// The IPVS table of one network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Every virtual server with its real servers.
    pub entries: BTreeMap<VirtualServerKey, TableEntry>,
    /// True if the table changed while it was read. Existing entries may be missing; read again
    /// before drawing conclusions from a missing entry.
    pub torn: bool,
}

/// A virtual server with its counters and real servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// The virtual server.
    pub server: VirtualServer,
    /// Counters of the virtual server.
    pub statistics: Statistics,
    /// Real servers in the kernel's order.
    pub real_servers: Vec<RealServerStatus>,
}

impl Table {
    fn gather(
        read: impl FnOnce(&mut dyn FnMut(TableEntry)) -> Result<bool, ReadError>,
    ) -> Result<Self, ReadError> {
        let mut entries = BTreeMap::new();
        let mut repeated = false;
        let torn = read(&mut |entry| {
            repeated |= entries.insert(entry.server.key, entry).is_some();
        })?;
        let torn = torn || repeated;
        Ok(Self { entries, torn })
    }
}

impl<T: Transport> Client<T> {
    /// Reads the whole table as [`Client::each_entry`] does, into one value.
    ///
    /// # Errors
    ///
    /// The part that could not be read.
    pub fn table(&mut self) -> Result<Table, ReadError> {
        Table::gather(|each| self.each_entry(each))
    }

    /// Reads the virtual servers `keys` as [`Client::each_entry_of`] does, into one value.
    ///
    /// # Errors
    ///
    /// The part that could not be read.
    pub fn entries(&mut self, keys: &[VirtualServerKey]) -> Result<Table, ReadError> {
        Table::gather(|each| self.each_entry_of(keys, each))
    }

    /// Reads the whole table and calls `each` for every entry: first the list of virtual servers,
    /// then the real servers of each, then the list of virtual servers again.
    ///
    /// Returns true if another program changed the table during the reading, so that existing
    /// entries may be missing. An entry that is passed twice means the same.
    ///
    /// The kernel sends no notifications of changes, and a disturbed dump is not marked. Two equal
    /// lists in the same order are the best available proof:
    ///
    /// - A virtual server that was deleted and added again is at another place in the list.
    /// - Both lists may lack the same virtual server only if it is at the end of a datagram while
    ///   other entries are added and deleted. A request by key finds it.
    ///
    /// # Errors
    ///
    /// The part that could not be read.
    pub fn each_entry(&mut self, each: impl FnMut(TableEntry)) -> Result<bool, ReadError> {
        let before = self.virtual_servers()?;
        let mut torn = self.read_entries(&before, each)?;
        let mut expected = before.iter();
        self.each_virtual_server(|server, _| {
            torn |= expected.next().is_none_or(|(before, _)| *before != server);
        })?;
        Ok(torn || expected.next().is_some())
    }

    /// Reads the virtual servers `keys` that exist, and calls `each` for every entry. Returns the
    /// same as [`Client::each_entry`].
    ///
    /// # Errors
    ///
    /// The part that could not be read.
    pub fn each_entry_of(
        &mut self,
        keys: &[VirtualServerKey],
        each: impl FnMut(TableEntry),
    ) -> Result<bool, ReadError> {
        let before: Vec<_> = (self.virtual_servers_of(keys)?.into_iter())
            .flatten()
            .collect();
        let torn = self.read_entries(&before, each)?;
        // The list of real servers is not valid if its virtual server disappeared meanwhile.
        let present: Vec<VirtualServerKey> = before.iter().map(|(server, _)| server.key).collect();
        let after = self.virtual_servers_of(&present)?;
        let is_other = |(after, (before, _)): (Option<(VirtualServer, _)>, &(VirtualServer, _))| {
            after.is_none_or(|(after, _)| after != *before)
        };
        Ok(torn || after.into_iter().zip(&before).any(is_other))
    }

    /// Calls `each` for `servers` with their real servers. Returns true if a list may be disturbed.
    fn read_entries(
        &mut self,
        servers: &[(VirtualServer, Statistics)],
        mut each: impl FnMut(TableEntry),
    ) -> Result<bool, ReadError> {
        let mut torn = false;
        for (server, statistics) in servers {
            let (real_servers, disturbed) = self.consistent_real_servers(&server.key)?;
            torn |= disturbed;
            each(TableEntry {
                server: server.clone(),
                statistics: *statistics,
                real_servers,
            });
        }
        Ok(torn)
    }

    /// Returns the real servers of `key`, and true if the list may be disturbed.
    fn consistent_real_servers(
        &mut self,
        key: &VirtualServerKey,
    ) -> Result<(Vec<RealServerStatus>, bool), ReadError> {
        let real_servers = self.real_servers(key)?;
        if real_servers.len() <= MAX_IN_DATAGRAM {
            return Ok((real_servers, false));
        }
        let keys = |list: &[RealServerStatus]| -> Vec<RealServerKey> {
            list.iter().map(|real| real.server.key).collect()
        };
        let again = self.real_servers(key)?;
        let torn = keys(&real_servers) != keys(&again);
        Ok((again, torn))
    }
}
