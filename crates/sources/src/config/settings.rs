//! What the daemon itself is told, besides what decides about the tables.

use std::net::SocketAddr;
use std::time::Duration;

/// Settings of the daemon. `ipvsctl config show` prints them; none acts yet.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonSettings {
    /// The kernel's timeouts for idle connections.
    pub ipvs_timeouts: IpvsTimeouts,
    /// The kernel's connection tracking.
    pub conntrack: Conntrack,
    /// Where health is served; none is nowhere.
    pub healthz_bind_address: Option<SocketAddr>,
    /// Where metrics are served; none is nowhere.
    pub metrics_bind_address: Option<SocketAddr>,
    /// Whether the daemon ends if one of these is taken.
    pub bind_address_hard_fail: bool,
    /// Whether profiles are served beside the metrics.
    pub profiling: bool,
    /// How often everything is read again from the API server, above zero.
    pub config_sync_period: Duration,
    /// Requests to the API server a second; negative is without limit.
    pub qps: f64,
    /// How many of them at once.
    pub burst: i32,
    /// How the kernel ranks the daemon when memory is short, -1000 to 1000.
    pub oom_score_adj: i32,
}

/// The kernel's timeouts for idle connections. Zero leaves what the kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpvsTimeouts {
    /// An established TCP connection.
    pub tcp: Duration,
    /// A TCP connection after a FIN.
    pub tcp_fin: Duration,
    /// A UDP flow.
    pub udp: Duration,
}

/// The kernel's connection tracking. Zero leaves what the kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conntrack {
    /// Entries for each CPU.
    pub max_per_core: u32,
    /// The least number of entries; without meaning while `max_per_core` is zero.
    pub min: u32,
    /// An established TCP connection.
    pub tcp_established_timeout: Duration,
    /// A TCP connection that one side has closed.
    pub tcp_close_wait_timeout: Duration,
    /// Whether packets outside the TCP window are valid.
    pub tcp_be_liberal: bool,
    /// A UDP flow without an answer.
    pub udp_timeout: Duration,
    /// A UDP flow with answers.
    pub udp_stream_timeout: Duration,
}
