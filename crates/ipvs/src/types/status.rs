//! State that the kernel reports beside the configuration.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Connections, RealServer};

/// Counters since the last `Zero`, and rates. The kernel sums and estimates both every two seconds
/// (`net/netfilter/ipvs/ip_vs_est.c`, Linux 6.1), so that they lag by as much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Statistics {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients; zero where these pass the director by.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// Connections each second.
    pub connection_rate: u64,
    /// Packets from clients each second.
    pub packet_rate_in: u64,
    /// Packets to clients each second.
    pub packet_rate_out: u64,
    /// Bytes from clients each second.
    pub byte_rate_in: u64,
    /// Bytes to clients each second.
    pub byte_rate_out: u64,
}

/// A real server with what goes on there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealServerStatus {
    /// As it is configured.
    pub server: RealServer,
    /// Its connections.
    pub connections: Connections,
    /// Its counters.
    pub statistics: Statistics,
}

/// The kernel's description of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// The version of IPVS: major, minor, patch.
    pub version: (u8, u8, u8),
    /// Buckets of the connection table. Kernels with the setting `conn_lfactor` (7.x) give each network
    /// namespace a table that grows, and report 0 before the first connection.
    pub connection_table_size: u32,
}

/// A thread of the kernel that tells other directors of connections, or listens to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncDaemon {
    /// One of the two roles.
    pub role: SyncRole,
    /// The interface for multicast.
    pub interface: Arc<str>,
    /// Identifier of the group of directors, 0 to 255.
    pub sync_id: u32,
    /// Largest message, bytes; none leaves it to the kernel.
    pub maximum_length: Option<u16>,
    /// The multicast group; none means 224.0.0.81.
    pub group: Option<IpAddr>,
    /// The UDP port; none means 8848.
    pub port: Option<u16>,
    /// Time to live of the packets; none means 1.
    pub time_to_live: Option<u8>,
}

/// The role of a synchronisation daemon, `IP_VS_STATE_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncRole {
    /// Tells (1).
    Master,
    /// Listens (2).
    Backup,
    /// Any other number that the kernel reports.
    Other(u32),
}

impl SyncRole {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Master => 1,
            Self::Backup => 2,
            Self::Other(number) => number,
        }
    }
}

impl From<u32> for SyncRole {
    fn from(number: u32) -> Self {
        match number {
            1 => Self::Master,
            2 => Self::Backup,
            other => Self::Other(other),
        }
    }
}
