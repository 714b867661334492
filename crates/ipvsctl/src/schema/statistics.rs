//! Counters and rates of traffic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Counters and rates of a virtual server or a real server, as the kernel reports them. It updates
/// them every two seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statistics {
    /// Connections since the counters began.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// New connections each second.
    pub connections_per_second: u64,
    /// Packets from clients each second.
    pub packets_in_per_second: u64,
    /// Packets to clients each second.
    pub packets_out_per_second: u64,
    /// Bytes from clients each second.
    pub bytes_in_per_second: u64,
    /// Bytes to clients each second.
    pub bytes_out_per_second: u64,
}

impl From<ipvs::Statistics> for Statistics {
    fn from(statistics: ipvs::Statistics) -> Self {
        let ipvs::Statistics {
            connections,
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
            connection_rate,
            packet_rate_in,
            packet_rate_out,
            byte_rate_in,
            byte_rate_out,
        } = statistics;
        Self {
            connections,
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
            connections_per_second: connection_rate,
            packets_in_per_second: packet_rate_in,
            packets_out_per_second: packet_rate_out,
            bytes_in_per_second: byte_rate_in,
            bytes_out_per_second: byte_rate_out,
        }
    }
}
