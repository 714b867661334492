//! kube-proxy's configuration file as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::field::{Field, Unknown};

/// A `KubeProxyConfiguration` as it was found: nothing is judged yet, a field may be of the wrong
/// type, and fields that nobody knows are kept. [`ConfigFile::resolve`] judges.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigFile {
    pub(super) api_version: Field<String>,
    pub(super) kind: Field<String>,
    pub(super) mode: Field<String>,
    pub(super) hostname_override: Field<String>,
    pub(super) client_connection: Field<ClientConnection>,
    pub(super) ipvs: Field<Ipvs>,
    pub(super) bind_address: Field<String>,
    pub(super) healthz_bind_address: Field<String>,
    pub(super) metrics_bind_address: Field<String>,
    pub(super) bind_address_hard_fail: Field<bool>,
    pub(super) enable_profiling: Field<bool>,
    #[serde(rename = "clusterCIDR")]
    pub(super) cluster_cidr: Field<String>,
    pub(super) config_sync_period: Field<String>,
    pub(super) detect_local_mode: Field<String>,
    pub(super) detect_local: Field<DetectLocal>,
    pub(super) iptables: Field<Iptables>,
    pub(super) nftables: Field<Value>,
    pub(super) node_port_addresses: Field<Vec<String>>,
    pub(super) oom_score_adj: Field<i32>,
    pub(super) conntrack: Field<Conntrack>,
    pub(super) show_hidden_metrics_for_version: Field<String>,
    pub(super) feature_gates: Field<BTreeMap<String, bool>>,
    pub(super) logging: Field<Value>,
    pub(super) port_range: Field<String>,
    pub(super) winkernel: Field<Value>,
    pub(super) windows_run_as_service: Field<bool>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// `clientConnection`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClientConnection {
    pub(super) kubeconfig: Field<String>,
    pub(super) accept_content_types: Field<String>,
    pub(super) content_type: Field<String>,
    pub(super) qps: Field<f64>,
    pub(super) burst: Field<i32>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// `ipvs`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Ipvs {
    pub(super) scheduler: Field<String>,
    #[serde(rename = "excludeCIDRs")]
    pub(super) exclude_cidrs: Field<Vec<String>>,
    pub(super) sync_period: Field<String>,
    pub(super) min_sync_period: Field<String>,
    #[serde(rename = "strictARP")]
    pub(super) strict_arp: Field<bool>,
    pub(super) tcp_timeout: Field<String>,
    pub(super) tcp_fin_timeout: Field<String>,
    pub(super) udp_timeout: Field<String>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// `detectLocal`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DetectLocal {
    pub(super) bridge_interface: Field<String>,
    pub(super) interface_name_prefix: Field<String>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// `iptables`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Iptables {
    pub(super) masquerade_all: Field<bool>,
    pub(super) masquerade_bit: Field<i32>,
    pub(super) localhost_node_ports: Field<bool>,
    pub(super) sync_period: Field<String>,
    pub(super) min_sync_period: Field<String>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// `conntrack`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Conntrack {
    pub(super) max_per_core: Field<i32>,
    pub(super) min: Field<i32>,
    pub(super) tcp_established_timeout: Field<String>,
    pub(super) tcp_close_wait_timeout: Field<String>,
    pub(super) tcp_be_liberal: Field<bool>,
    pub(super) udp_timeout: Field<String>,
    pub(super) udp_stream_timeout: Field<String>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}
