//! Explanations of a Service, of an address and of a pod.

mod endpoint;
mod place;

use schemars::JsonSchema;
use serde::Serialize;

pub use self::endpoint::{ExplainedDrain, ExplainedEndpoint, ExplainedSlowStart, PodEndpoint};
pub use self::place::{AddressKind, AddressServer, AddressService, Place, Presence, SetEntry};
use super::finding::Finding;
use super::plan::Change;

/// A Service as one node serves it, with the reasons.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceExplanation {
    /// [`API_VERSION`](super::API_VERSION).
    pub api_version: &'static str,
    /// `ServiceExplanation`.
    pub kind: &'static str,
    /// Name of the node.
    pub node_name: String,
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
    /// `spec.type`.
    #[serde(rename = "type")]
    pub service_type: &'static str,
    /// `spec.internalTrafficPolicy`.
    pub internal_traffic_policy: &'static str,
    /// `spec.externalTrafficPolicy`.
    pub external_traffic_policy: &'static str,
    /// Time for which a client stays with its endpoint; null without session affinity.
    pub affinity_seconds: Option<u64>,
    /// Scheduler of the virtual servers; null if there are none.
    pub scheduler: Option<String>,
    /// Values of the Service's policy, and those of the node that apply without one.
    pub policy: Vec<PolicyValue>,
    /// Number of EndpointSlices.
    pub slices: usize,
    /// Answer to load balancers at `spec.healthCheckNodePort`.
    pub health_check: Option<ServiceHealthCheck>,
    /// True if the live tables were read. Otherwise every presence and every connection is unknown.
    pub live_known: bool,
    /// Requested addresses and ports.
    pub addresses: Vec<Place>,
    /// Every endpoint of every slice, once for each Service port; and real servers that are no
    /// endpoints.
    pub endpoints: Vec<ExplainedEndpoint>,
    /// Rules that match packets of the Service, as arguments of `iptables` and `ip6tables`.
    pub rules: Vec<String>,
    /// Findings about the Service and its slices.
    pub findings: Vec<Finding>,
    /// Changes that kube-ipvsd would make for the Service now.
    pub drift: Vec<Change>,
    /// Number of changes that kube-ipvsd would make for all Services: rules, sets, settings.
    pub node_drift: usize,
    /// These changes.
    pub node_changes: Vec<Change>,
    /// Last change that the running kube-ipvsd made for the Service; null if there was none or if
    /// kube-ipvsd did not answer.
    pub last_change: Option<LastChange>,
    /// Result.
    pub verdict: Verdict,
}

/// A value of a Service's policy.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct PolicyValue {
    /// Field: `connectionLimits`.
    pub field: &'static str,
    /// Value as an annotation holds it.
    pub value: String,
    /// Origin: `annotation`, `servicePolicies[NAME]` or `configuration`.
    pub origin: String,
}

/// Answer to load balancers at a health-check node port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceHealthCheck {
    /// The port.
    pub port: u16,
    /// Number of ready endpoints on this node. With 0 the answer is 503.
    pub local_endpoints: usize,
}

/// Last change that kube-ipvsd made for a Service.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastChange {
    /// Time, RFC 3339.
    pub time: String,
    /// `add`, `change` or `delete`.
    pub effect: String,
    /// Change in the syntax of `ipvsctl diff`.
    pub line: String,
    /// Reason for the change.
    pub reason: String,
    /// Cause of the sync.
    pub cause: Option<String>,
    /// Time from the event of the API server to the kernel; null if no event caused the change.
    pub latency_seconds: Option<f64>,
}

/// Result of an explanation.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Verdict {
    /// True if nothing is wrong.
    pub ok: bool,
    /// Result in one line.
    pub text: String,
}

/// Services, entries and programs that have an address on a node.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressExplanation {
    /// [`API_VERSION`](super::API_VERSION).
    pub api_version: &'static str,
    /// `AddressExplanation`.
    pub kind: &'static str,
    /// Name of the node.
    pub node_name: String,
    /// The address.
    pub address: String,
    /// Port that the explanation is limited to; null for all.
    pub port: Option<u16>,
    /// Protocol that the explanation is limited to; null for all.
    pub protocol: Option<String>,
    /// True if the live tables were read.
    pub live_known: bool,
    /// Services that request the address.
    pub services: Vec<AddressService>,
    /// Virtual servers at the address, desired and live ones.
    pub virtual_servers: Vec<AddressServer>,
    /// Entries of our sets with the address, or with the port if the address is this node's.
    pub set_entries: Vec<SetEntry>,
    /// The address on the device kube-ipvs0; null if it is neither there nor desired.
    pub device: Option<Presence>,
    /// Interface of this node with the address.
    pub interface: Option<String>,
    /// Node with the address.
    pub node: Option<String>,
    /// Endpoints with the address.
    pub endpoints: Vec<PodEndpoint>,
    /// Result.
    pub verdict: Verdict,
}

/// A pod as endpoint of Services.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodExplanation {
    /// [`API_VERSION`](super::API_VERSION).
    pub api_version: &'static str,
    /// `PodExplanation`.
    pub kind: &'static str,
    /// Name of the node.
    pub node_name: String,
    /// The pod, as `namespace/name`; null if it was named by its address.
    pub name: Option<String>,
    /// The pod's address, the first one of several.
    pub address: String,
    /// Its other addresses. Empty if it was named by its address.
    pub other_addresses: Vec<String>,
    /// True if the live tables were read.
    pub live_known: bool,
    /// The endpoints with these addresses.
    pub endpoints: Vec<PodEndpoint>,
    /// Result.
    pub verdict: Verdict,
}
