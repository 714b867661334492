//! Reads the traffic counters of IPVS.

use ipvs::client::{self, Client};
use ipvs::{RealServerStatus, Statistics, VirtualServer, VirtualServerKey};

use super::virtual_servers::{failed, no_module, unreadable};
use crate::error::OpenError;
use model::kernel::ObserveError;

/// Reads the counters of IPVS in the network namespace in which it was opened. It has a separate
/// connection, so a reader does not delay a writer.
pub struct Counters {
    client: Client,
}

/// Traffic of a virtual server since it was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The virtual server.
    pub key: VirtualServerKey,
    /// Total traffic of the virtual server.
    pub statistics: Statistics,
    /// Real servers of the virtual server, if they were requested.
    pub real_servers: Vec<RealServerStatus>,
}

impl Counters {
    /// Connects to IPVS without loading a module.
    ///
    /// # Errors
    ///
    /// Fails if IPVS does not exist. A missing permission fails the first reading.
    pub fn open() -> Result<Self, OpenError> {
        let client = Client::open().map_err(|error| match error {
            client::OpenError::NoFamily => no_module(None),
            error => failed(error),
        })?;
        Ok(Self { client })
    }

    /// Returns every virtual server with its counters, in the kernel's order, by one list. Entries
    /// that another program changes meanwhile may be missing.
    ///
    /// # Errors
    ///
    /// Fails if the list cannot be read.
    pub fn virtual_servers(&mut self) -> Result<Vec<(VirtualServer, Statistics)>, ObserveError> {
        self.client.virtual_servers().map_err(unreadable)
    }

    /// Returns the real servers of `key` with their counters, in the kernel's order. Empty if the
    /// virtual server no longer exists. A caller that needs the whole table calls this once for
    /// each virtual server, and so never holds more than one list of real servers. IPVS has no list
    /// of all real servers (`ip_vs_genl_dump_dests`, net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1).
    ///
    /// # Errors
    ///
    /// Fails if the list cannot be read.
    pub fn real_servers(
        &mut self,
        key: &VirtualServerKey,
    ) -> Result<Vec<RealServerStatus>, ObserveError> {
        self.client.real_servers(key).map_err(unreadable)
    }

    /// Reads all virtual servers in one list, and the real servers of those that
    /// `with_real_servers` selects in one list each. Entries that change meanwhile may be missing.
    ///
    /// # Errors
    ///
    /// Fails if a list cannot be read.
    pub fn read(
        &mut self,
        with_real_servers: impl Fn(&VirtualServerKey) -> bool,
    ) -> Result<Vec<Counted>, ObserveError> {
        let servers = self.virtual_servers()?;
        let count = |(server, statistics): (VirtualServer, Statistics)| {
            let key = server.key;
            let real_servers = match with_real_servers(&key) {
                true => self.real_servers(&key)?,
                false => Vec::new(),
            };
            Ok(Counted {
                key,
                statistics,
                real_servers,
            })
        };
        servers.into_iter().map(count).collect()
    }
}
