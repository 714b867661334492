//! What the daemon itself is told, besides what decides about the tables.

use std::net::SocketAddr;
use std::time::Duration;

/// Settings of the daemon. `ipvsctl config show` prints them; none acts yet.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonSettings {
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
