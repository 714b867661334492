//! Reading everything, and knowing whether it was.

use std::collections::BTreeMap;

use netlink::Transport;

use super::{Client, ReadError};
use crate::types::{RealServerKey, RealServerStatus, Statistics, VirtualServer, VirtualServerKey};

/// As many real servers fit into one datagram of a dump (32 KiB, some 400 bytes each), and the kernel
/// holds its lock while it fills one: such a list is whole. A longer one is read twice.
const ONE_DATAGRAM: usize = 64;

/// The IPVS table of one network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Every virtual server with its real servers.
    pub entries: BTreeMap<VirtualServerKey, TableEntry>,
    /// True if the table changed while it was read: entries may be missing. Read again before
    /// concluding anything from absence.
    pub torn: bool,
}

/// A virtual server with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// The virtual server.
    pub server: VirtualServer,
    /// Its counters.
    pub statistics: Statistics,
    /// Its real servers, in the kernel's order.
    pub real_servers: Vec<RealServerStatus>,
}

impl Table {
    fn gather(
        read: impl FnOnce(&mut dyn FnMut(TableEntry)) -> Result<bool, ReadError>,
    ) -> Result<Self, ReadError> {
        let mut entries = BTreeMap::new();
        let mut doubled = false;
        let torn = read(&mut |entry| {
            doubled |= entries.insert(entry.server.key, entry).is_some();
        })?;
        let torn = torn || doubled;
        Ok(Self { entries, torn })
    }
}

impl<T: Transport> Client<T> {
    /// Reads everything, as [`Client::each_entry`] does, into one value.
    ///
    /// # Errors
    ///
    /// Names what could not be read.
    pub fn table(&mut self) -> Result<Table, ReadError> {
        Table::gather(|each| self.each_entry(each))
    }

    /// Reads these virtual servers, as [`Client::each_entry_of`] does, into one value.
    ///
    /// # Errors
    ///
    /// Names what could not be read.
    pub fn entries(&mut self, keys: &[VirtualServerKey]) -> Result<Table, ReadError> {
        Table::gather(|each| self.each_entry_of(keys, each))
    }

    /// Reads everything and hands it over entry by entry: the virtual servers, the real servers of each, and the virtual servers
    /// once more. Answers whether another program changed the table meanwhile, so that entries may be missing; one that is handed over
    /// twice says the same.
    ///
    /// The kernel gives no notice of changes, and a disturbed dump does not say that it is; two
    /// lists that are equal, order included, are the best proof there is. (A virtual server that was
    /// deleted and added again stands at another place. What two lists can lack alike is one that stands
    /// where a datagram ends while others come and go; asking for it by key finds it.)
    ///
    /// # Errors
    ///
    /// Names what could not be read.
    pub fn each_entry(&mut self, each: impl FnMut(TableEntry)) -> Result<bool, ReadError> {
        let before = self.virtual_servers()?;
        let mut torn = self.hand_over(&before, each)?;
        let mut expected = before.iter();
        self.each_virtual_server(|server, _| {
            torn |= expected.next().is_none_or(|(before, _)| *before != server);
        })?;
        Ok(torn || expected.next().is_some())
    }

    /// Reads these virtual servers, where they exist, and hands them over entry by entry. Answers what [`Client::each_entry`]
    /// answers.
    ///
    /// # Errors
    ///
    /// Names what could not be read.
    pub fn each_entry_of(
        &mut self,
        keys: &[VirtualServerKey],
        each: impl FnMut(TableEntry),
    ) -> Result<bool, ReadError> {
        let before: Vec<_> = (self.virtual_servers_of(keys)?.into_iter())
            .flatten()
            .collect();
        let torn = self.hand_over(&before, each)?;
        // Real servers of a virtual server that vanished meanwhile are no answer.
        let present: Vec<VirtualServerKey> = before.iter().map(|(server, _)| server.key).collect();
        let after = self.virtual_servers_of(&present)?;
        let is_other = |(after, (before, _)): (Option<(VirtualServer, _)>, &(VirtualServer, _))| {
            after.is_none_or(|(after, _)| after != *before)
        };
        Ok(torn || after.into_iter().zip(&before).any(is_other))
    }

    /// Hands over `servers` with their real servers. Answers whether one of their lists may be disturbed.
    fn hand_over(
        &mut self,
        servers: &[(VirtualServer, Statistics)],
        mut each: impl FnMut(TableEntry),
    ) -> Result<bool, ReadError> {
        let mut torn = false;
        for (server, statistics) in servers {
            let (real_servers, disturbed) = self.settled_real_servers(&server.key)?;
            torn |= disturbed;
            each(TableEntry {
                server: server.clone(),
                statistics: *statistics,
                real_servers,
            });
        }
        Ok(torn)
    }

    /// The real servers of `key`, and whether the list may be disturbed.
    fn settled_real_servers(
        &mut self,
        key: &VirtualServerKey,
    ) -> Result<(Vec<RealServerStatus>, bool), ReadError> {
        let real_servers = self.real_servers(key)?;
        if real_servers.len() <= ONE_DATAGRAM {
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
