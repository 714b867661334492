//! The settings of the daemon itself, besides those that decide about the tables.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kube::Nodes;

/// Settings of the daemon.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonSettings {
    /// Where health is served; none is nowhere.
    pub healthz_bind_address: Option<SocketAddr>,
    /// Where metrics are served; none is nowhere.
    pub metrics_bind_address: Option<SocketAddr>,
    /// True if the daemon ends where one of these is taken.
    pub bind_address_hard_fail: bool,
    /// True if profiles are served beside the metrics.
    pub profiling: bool,
    /// Interval at which everything is read again from the API server, above zero.
    pub config_sync_period: Duration,
    /// Time after which a list that lacks most objects is confirmed by another one; zero deletes at once (deviation D27).
    pub deletion_confirmation: Duration,
    /// Requests to the API server a second; negative is without limit.
    pub qps: f64,
    /// Number of them at once.
    pub burst: i32,
    /// Rank of the daemon for the kernel when memory is short, -1000 to 1000.
    pub oom_score_adj: i32,
    /// The packet filter that holds the rules.
    pub iptables_backend: IptablesBackend,
    /// The figures of traffic that `/metrics` shows.
    pub service_metrics: ServiceMetrics,
    /// Label sets of traffic at most, of Services and of endpoints each; zero shows none.
    pub service_metrics_limit: u32,
    /// The Nodes that the API server is asked for.
    pub watched_nodes: Nodes,
    /// Format of log lines, where the daemon's own flag says nothing.
    pub log_format: LogFormat,
    /// kube-proxy's number for the log lines to write, where the daemon's own flag says nothing.
    pub log_verbosity: u32,
}

/// `logging.format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines of text.
    #[default]
    Text,
    /// A JSON object for each line.
    Json,
}

/// `iptablesBackend`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IptablesBackend {
    /// The one that the node uses.
    #[default]
    Auto,
    /// nf_tables.
    Nft,
    /// x_tables.
    Legacy,
}

/// `serviceMetrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceMetrics {
    /// Nothing.
    #[default]
    Off,
    /// Traffic through each Service port.
    Service,
    /// The same, and what goes to each of its endpoints.
    Endpoint,
}
