//! Reads virtual servers and real servers with their counters, one list at a time, so that a table
//! of any size can be printed while it is read.

use ipvs::{Connections, RealServerStatus, Statistics, VirtualServer, VirtualServerKey};
use kernel::linux::Counters;
use model::NodeTables;

use crate::error::Error;

/// A source of lists with counters.
pub trait ReadCounters {
    /// Returns every virtual server with its counters, in any order.
    ///
    /// # Errors
    ///
    /// The list cannot be read.
    fn virtual_servers(&mut self) -> Result<Vec<(VirtualServer, Statistics)>, Error>;

    /// Returns the real servers of `key` with their counters, in any order. Empty if the virtual
    /// server no longer exists.
    ///
    /// # Errors
    ///
    /// The list cannot be read.
    fn real_servers(&mut self, key: &VirtualServerKey) -> Result<Vec<RealServerStatus>, Error>;

    /// Returns false if the source has no counters and no numbers of connections, so that all of
    /// them are zero.
    fn counts(&self) -> bool {
        true
    }
}

/// Opens the counters of the kernel, in the network namespace of the calling thread.
///
/// # Errors
///
/// The kernel has no IPVS.
pub fn of_kernel() -> Result<Counters, Error> {
    Counters::open().map_err(Error::Open)
}

impl ReadCounters for Counters {
    fn virtual_servers(&mut self) -> Result<Vec<(VirtualServer, Statistics)>, Error> {
        Self::virtual_servers(self).map_err(Error::Observe)
    }

    fn real_servers(&mut self, key: &VirtualServerKey) -> Result<Vec<RealServerStatus>, Error> {
        Self::real_servers(self, key).map_err(Error::Observe)
    }
}

/// Saved tables, which have no counters.
#[derive(Debug)]
pub struct SavedCounters(pub NodeTables);

impl ReadCounters for SavedCounters {
    fn virtual_servers(&mut self) -> Result<Vec<(VirtualServer, Statistics)>, Error> {
        let entries = self.0.virtual_servers.values();
        Ok(entries
            .map(|entry| (entry.server.clone(), Statistics::default()))
            .collect())
    }

    fn real_servers(&mut self, key: &VirtualServerKey) -> Result<Vec<RealServerStatus>, Error> {
        let entry = self.0.virtual_servers.get(key);
        let servers = entry.iter().flat_map(|entry| entry.real_servers.values());
        Ok(servers
            .map(|server| RealServerStatus {
                server: *server,
                connections: Connections::default(),
                statistics: Statistics::default(),
            })
            .collect())
    }

    fn counts(&self) -> bool {
        false
    }
}
