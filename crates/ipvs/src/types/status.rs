//! State that the kernel reports in addition to the configuration.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Connections, RealServer};

/// Counters since the last `Zero`, and rates. The kernel updates both every two seconds
/// (`net/netfilter/ipvs/ip_vs_est.c`, Linux 6.1), so that the values may be that old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Statistics {
    /// Number of scheduled connections.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients; zero if they bypass the director.
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

/// A real server with its configuration and state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealServerStatus {
    /// The configuration.
    pub server: RealServer,
    /// Number of connections.
    pub connections: Connections,
    /// Counters and rates.
    pub statistics: Statistics,
}

/// Version and limits of the kernel's IPVS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// The version of IPVS: major, minor, patch.
    pub version: (u8, u8, u8),
    /// Number of buckets of the connection table. Kernels with the setting `conn_lfactor` (7.x)
    /// give each network namespace a table that grows, and report 0 before the first connection.
    pub connection_table_size: u32,
}

/// A kernel thread that sends connections to other directors, or receives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncDaemon {
    /// The role.
    pub role: SyncRole,
    /// The multicast interface.
    pub interface: Arc<str>,
    /// Identifier of the group of directors, 0 to 255.
    pub sync_id: u32,
    /// Maximum length of a message, bytes; `None` uses the kernel's default.
    pub maximum_length: Option<u16>,
    /// The multicast group; `None` means 224.0.0.81.
    pub group: Option<IpAddr>,
    /// The UDP port; `None` means 8848.
    pub port: Option<u16>,
    /// Time to live of the packets; `None` means 1.
    pub time_to_live: Option<u8>,
}

/// Role of a synchronisation daemon, `IP_VS_STATE_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncRole {
    /// Sends connections (1).
    Master,
    /// Receives connections (2).
    Backup,
    /// Any other number that the kernel reports.
    Other(u32),
}

impl SyncRole {
    /// Returns the number on the wire.
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
