//! Reads the traffic counters of IPVS.

use ipvs::client::Client;
use ipvs::{RealServerStatus, Statistics, VirtualServerKey};

use super::virtual_servers::{failed, unreadable};
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
    /// Fails if IPVS does not exist or may not be used.
    pub fn open() -> Result<Self, OpenError> {
        let client = Client::open().map_err(failed)?;
        Ok(Self { client })
    }

    /// Reads all virtual servers in one list, and the real servers of those that
    /// `with_real_servers` selects in one list each. IPVS has no list of all real servers
    /// (`ip_vs_genl_dump_dests`, net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1). Entries that change
    /// meanwhile may be missing.
    ///
    /// # Errors
    ///
    /// Fails if a list cannot be read.
    pub fn read(
        &mut self,
        with_real_servers: impl Fn(&VirtualServerKey) -> bool,
    ) -> Result<Vec<Counted>, ObserveError> {
        let servers = self.client.virtual_servers().map_err(unreadable)?;
        let count = |(server, statistics): (ipvs::VirtualServer, Statistics)| {
            let key = server.key;
            let real_servers = match with_real_servers(&key) {
                true => self.client.real_servers(&key).map_err(unreadable)?,
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
