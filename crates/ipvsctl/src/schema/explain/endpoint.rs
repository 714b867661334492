//! Endpoints in explanations.

use schemars::JsonSchema;
use serde::Serialize;

/// An endpoint of one Service port, with the decision about it.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedEndpoint {
    /// Name of the Service port; empty if it has none.
    pub port_name: String,
    /// Protocol of the Service port; null if the endpoint serves no port of the Service.
    pub protocol: Option<String>,
    /// Address, as the slice has it.
    pub address: String,
    /// Port of the endpoint; null if it does not serve the Service port.
    pub port: Option<u16>,
    /// Name of the slice; null for a real server that is no endpoint.
    pub slice: Option<String>,
    /// Node of the endpoint.
    pub node: Option<String>,
    /// True if the endpoint is on this node.
    pub local: bool,
    /// True if traffic to some address uses the endpoint.
    pub chosen: bool,
    /// Decision: `Ready`, `LastResort`, `NotReady`, `Terminating`, `Stopped`, `HintOfOtherNode`,
    /// `HintOfOtherZone`, `NotOnThisNode`, `OtherFamily`, `PortNotOffered`, `UnusableAddress`,
    /// `Duplicate` or `NoEndpoint`.
    pub reason: &'static str,
    /// Decision as text.
    pub text: String,
    /// Decision about traffic to external addresses and node ports, if it differs.
    pub external_reason: Option<&'static str>,
    /// Forwarding method at external and load-balancer addresses, as `ipvsadm -L` prints it: `Route` or
    /// `Tunnel (ipip)`; null if the endpoint's packets are masqueraded at every address.
    pub forwarding: Option<String>,
    /// Weights that the real server has in the kernel, by virtual server; null if the live tables
    /// are unknown or the endpoint serves no port.
    pub weights: Option<Vec<u32>>,
    /// Number of virtual servers that lack the real server; null if the live tables are unknown.
    pub missing: Option<usize>,
    /// Connections that carry data.
    pub active_connections: Option<u64>,
    /// Connections in any other state.
    pub inactive_connections: Option<u64>,
    /// The drain of the real server; null if it does not drain.
    pub drain: Option<ExplainedDrain>,
    /// The slow start of the real server; null if its weight does not grow.
    pub slow_start: Option<ExplainedSlowStart>,
}

/// The drain of a real server.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedDrain {
    /// Start of the drain, RFC 3339; null if it is unknown.
    pub since: Option<String>,
    /// Time of the deletion at the latest, RFC 3339; null if it is unknown or if there is none.
    pub deadline: Option<String>,
}

/// The slow start of a real server, as kube-ipvsd reports it. If the virtual servers of the endpoint
/// differ, it is that of the first one.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedSlowStart {
    /// Current weight.
    pub weight: u32,
    /// Weight at the end.
    pub full_weight: u32,
    /// Time of the end, RFC 3339.
    pub ends: String,
}

/// An endpoint with the Service that it belongs to.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodEndpoint {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
    /// The endpoint.
    pub endpoint: ExplainedEndpoint,
}
