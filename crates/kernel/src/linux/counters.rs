//! The kernel's counters of traffic.

use ipvs::client::Client;
use ipvs::{RealServerStatus, Statistics, VirtualServerKey};

use super::virtual_servers::{failed, unreadable};
use crate::error::OpenError;
use model::kernel::ObserveError;

/// The counters of IPVS in the network namespace in which it was opened, over a connection of its own: who reads
/// them holds up nobody who writes.
pub struct Counters {
    client: Client,
}

/// Traffic of a virtual server since it was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The virtual server.
    pub key: VirtualServerKey,
    /// All of it.
    pub statistics: Statistics,
    /// Its real servers, where they were asked for.
    pub real_servers: Vec<RealServerStatus>,
}

impl Counters {
    /// Connects to IPVS. Loads no module.
    ///
    /// # Errors
    ///
    /// IPVS is not there, or may not be reached.
    pub fn open() -> Result<Self, OpenError> {
        let client = Client::open().map_err(failed)?;
        Ok(Self { client })
    }

    /// Reads all virtual servers in one list, and of those that `with_real_servers` names the real servers, in a
    /// list each: IPVS has no list of all real servers (`ip_vs_genl_dump_dests`,
    /// net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1). What comes or goes meanwhile may be missing.
    ///
    /// # Errors
    ///
    /// Something could not be read.
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
