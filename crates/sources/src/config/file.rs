//! A configuration file after every field was checked on its own: kube-proxy's fields and ours, absent
//! where nothing is said.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer};

use super::settings::{IptablesBackend, LogFormat, ServiceMetrics};
use super::value::{GoDuration, Network};
use crate::convert::ip;
use crate::kube::Nodes;

/// The part of a file that is left: fields that are known, of the right type and within their bounds. Fields without effect are
/// not here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ConfigFile {
    pub(super) hostname_override: Option<String>,
    #[serde(deserialize_with = "address")]
    pub(super) bind_address: Option<IpAddr>,
    pub(super) client_connection: ClientConnection,
    pub(super) ipvs: Ipvs,
    pub(super) iptables: Iptables,
    pub(super) detect_local_mode: Option<String>,
    #[serde(rename = "clusterCIDR")]
    pub(super) cluster_cidr: Option<String>,
    pub(super) detect_local: DetectLocal,
    pub(super) node_port_addresses: Vec<String>,
    #[serde(rename = "externalIPPolicy")]
    pub(super) external_ip_policy: Option<String>,
    #[serde(rename = "allowedExternalCIDRs")]
    pub(super) allowed_external_cidrs: Vec<Network>,
    #[serde(rename = "protectedCIDRs")]
    pub(super) protected_cidrs: Vec<Network>,
    pub(super) protected_host_ports: Option<BTreeSet<u16>>,
    pub(super) service_limits: ServiceLimits,
    pub(super) accept_served_traffic: Option<bool>,
    pub(super) drain_timeout: Option<GoDuration>,
    pub(super) udp_drain_timeout: Option<GoDuration>,
    pub(super) cut_lost_endpoints: Option<bool>,
    pub(super) deletion_confirmation: Option<GoDuration>,
    pub(super) iptables_backend: Option<IptablesBackend>,
    pub(super) service_metrics: Option<ServiceMetrics>,
    pub(super) service_metrics_limit: Option<u32>,
    pub(super) watched_nodes: Option<Nodes>,
    pub(super) conntrack: Conntrack,
    pub(super) healthz_bind_address: Option<String>,
    pub(super) metrics_bind_address: Option<String>,
    pub(super) bind_address_hard_fail: Option<bool>,
    pub(super) enable_profiling: Option<bool>,
    pub(super) config_sync_period: Option<GoDuration>,
    pub(super) oom_score_adj: Option<i32>,
    pub(super) logging: Logging,
    pub(super) feature_gates: FeatureGates,
}

/// `logging`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Logging {
    pub(super) format: Option<LogFormat>,
    pub(super) verbosity: Option<u32>,
}

/// `featureGates`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FeatureGates {
    #[serde(rename = "AllowServiceExternalIPs")]
    pub(super) allow_service_external_ips: Option<bool>,
}

/// `clientConnection`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClientConnection {
    pub(super) kubeconfig: Option<String>,
    pub(super) qps: Option<f64>,
    pub(super) burst: Option<i32>,
}

/// `ipvs`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Ipvs {
    pub(super) scheduler: Option<String>,
    pub(super) scheduler_flags: Option<Vec<String>>,
    pub(super) sync_period: Option<GoDuration>,
    pub(super) min_sync_period: Option<GoDuration>,
    #[serde(rename = "excludeCIDRs")]
    pub(super) exclude_cidrs: Vec<Network>,
    #[serde(rename = "strictARP")]
    pub(super) strict_arp: Option<bool>,
    pub(super) tcp_timeout: Option<GoDuration>,
    pub(super) tcp_fin_timeout: Option<GoDuration>,
    pub(super) udp_timeout: Option<GoDuration>,
}

/// `iptables`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Iptables {
    pub(super) masquerade_all: Option<bool>,
    pub(super) masquerade_bit: Option<u8>,
    pub(super) drop_bit: Option<u8>,
}

/// `serviceLimits`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceLimits {
    pub(super) addresses: Option<usize>,
    pub(super) source_ranges: Option<usize>,
    pub(super) entries: Option<usize>,
    pub(super) real_servers: Option<usize>,
}

/// `detectLocal`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DetectLocal {
    pub(super) bridge_interface: Option<String>,
    pub(super) interface_name_prefix: Option<String>,
}

/// `conntrack`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Conntrack {
    pub(super) max_per_core: Option<u32>,
    pub(super) min: Option<u32>,
    pub(super) tcp_established_timeout: Option<GoDuration>,
    pub(super) tcp_close_wait_timeout: Option<GoDuration>,
    pub(super) tcp_be_liberal: Option<bool>,
    pub(super) udp_timeout: Option<GoDuration>,
    pub(super) udp_stream_timeout: Option<GoDuration>,
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let address = ip(&text).as_result().ok().copied();
    address
        .map(Some)
        .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no address")))
}
