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
    /// Somebody else changed the table while it was read: entries may be missing. Read again before
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

impl<T: Transport> Client<T> {
    /// Reads everything: the virtual servers, the real servers of each, and the virtual servers once
    /// more. The kernel gives no notice of changes, and a disturbed dump does not say that it is; two
    /// lists that are equal, order included, are the best proof there is. (A virtual server that was
    /// deleted and added again stands at another place. What two lists can lack alike is one that stands
    /// where a datagram ends while others come and go; asking for it by key finds it.)
    ///
    /// # Errors
    ///
    /// Names what could not be read.
    pub fn table(&mut self) -> Result<Table, ReadError> {
        let before = self.virtual_servers()?;
        let order: Vec<VirtualServerKey> = before.iter().map(|(server, _)| server.key).collect();
        let mut table = Table::default();
        for (server, statistics) in before {
            let key = server.key;
            let (real_servers, torn) = self.settled_real_servers(&key)?;
            table.torn |= torn;
            let entry = TableEntry {
                server,
                statistics,
                real_servers,
            };
            // There twice: the dump was disturbed.
            table.torn |= table.entries.insert(key, entry).is_some();
        }
        let after = self.virtual_servers()?;
        let known = |server: &VirtualServer| {
            (table.entries.get(&server.key)).is_some_and(|entry| entry.server == *server)
        };
        table.torn |= !after.iter().map(|(server, _)| server.key).eq(order)
            || !after.iter().all(|(server, _)| known(server));
        Ok(table)
    }

    /// Reads the virtual servers once, none of the real servers: absence proves nothing.
    ///
    /// # Errors
    ///
    /// The list is not complete.
    pub fn list(&mut self) -> Result<Table, ReadError> {
        let mut table = Table::default();
        for (server, statistics) in self.virtual_servers()? {
            let key = server.key;
            let entry = TableEntry {
                server,
                statistics,
                real_servers: Vec::new(),
            };
            table.torn |= table.entries.insert(key, entry).is_some();
        }
        Ok(table)
    }

    /// Reads these virtual servers, where they exist.
    ///
    /// # Errors
    ///
    /// Names what could not be read.
    pub fn entries<'a>(
        &mut self,
        keys: impl IntoIterator<Item = &'a VirtualServerKey>,
    ) -> Result<Table, ReadError> {
        let mut table = Table::default();
        for key in keys {
            let Some((server, statistics)) = self.virtual_server(key)? else {
                continue;
            };
            let (real_servers, torn) = self.settled_real_servers(key)?;
            // Real servers of a virtual server that vanished meanwhile are no answer.
            let after = self.virtual_server(key)?;
            table.torn |= torn || after.is_none_or(|(after, _)| after != server);
            let entry = TableEntry {
                server,
                statistics,
                real_servers,
            };
            table.entries.insert(*key, entry);
        }
        Ok(table)
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
