//! Addresses, virtual servers and set entries in explanations.

use schemars::JsonSchema;
use serde::Serialize;

/// Presence of a desired entry in the live tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
pub enum Presence {
    /// The entry is desired and exists.
    Present,
    /// The entry is desired and does not exist.
    Missing,
    /// The entry exists, and no object asks for it.
    Unwanted,
    /// The entry is desired. The live tables were not read.
    Unknown,
}

impl Presence {
    /// Returns the presence of an entry that is desired or not, and live or not.
    #[must_use]
    pub fn of(desired: bool, live: Option<bool>) -> Option<Self> {
        match (desired, live) {
            (true, live) => Some(Self::of_desired(live)),
            (false, Some(true)) => Some(Self::Unwanted),
            (false, _) => None,
        }
    }

    /// Returns the presence of a desired entry that is live or not; `None` if the live tables are
    /// unknown.
    #[must_use]
    pub fn of_desired(live: Option<bool>) -> Self {
        match live {
            Some(true) => Self::Present,
            Some(false) => Self::Missing,
            None => Self::Unknown,
        }
    }

    /// Returns the name for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Missing => "missing",
            Self::Unwanted => "unwanted",
            Self::Unknown => "unknown",
        }
    }
}

/// Kind of an address of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub enum AddressKind {
    /// One of `spec.clusterIPs`.
    ClusterIP,
    /// One of `spec.externalIPs`.
    ExternalIP,
    /// One of `status.loadBalancer.ingress[].ip`.
    LoadBalancerIP,
    /// A node port at an address of the node.
    NodePort,
}

impl AddressKind {
    /// Returns the name for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::ClusterIP => "cluster IP",
            Self::ExternalIP => "external IP",
            Self::LoadBalancerIP => "load balancer",
            Self::NodePort => "node port",
        }
    }
}

/// A requested address of a Service, with a port if it is served at some port.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Kind of the address.
    pub kind: AddressKind,
    /// The address, as the Service has it.
    pub address: String,
    /// The port; null if the address is served at no port.
    pub port: Option<u16>,
    /// The protocol; null as the port.
    pub protocol: Option<String>,
    /// Name of the Service port; empty if it has none.
    pub port_name: String,
    /// True if the address and port are in the desired tables.
    pub served: bool,
    /// Code of the finding if it is not served.
    pub code: Option<&'static str>,
    /// Reason if it is not served.
    pub reason: Option<String>,
    /// Traffic policy, `Cluster` or `Local`; null if it is not served.
    pub policy: Option<&'static str>,
    /// True if the policy is `Local` and no endpoint is on this node.
    pub lacks_local_endpoint: bool,
    /// Clients that may connect; null for every client.
    pub source_ranges: Option<Vec<String>>,
    /// True if the address is on the device kube-ipvs0 in the desired tables.
    pub bound: bool,
    /// Presence of the address on the device kube-ipvs0; null if it is not bound.
    pub device: Option<Presence>,
    /// Presence of the local route to an address on the device kube-ipvs0; null if it is not bound.
    pub local_route: Option<Presence>,
    /// Another interface of this node with the bound address.
    pub interface: Option<String>,
    /// Number of endpoints.
    pub endpoints: usize,
    /// Presence of the virtual server; null if it is not served.
    pub virtual_server: Option<Presence>,
    /// Set entries by which the rules match the address and port.
    pub set_entries: Vec<SetEntry>,
}

/// An entry of a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetEntry {
    /// Name of the set.
    pub set: String,
    /// The entry.
    pub entry: String,
    /// Presence of the entry.
    pub presence: Presence,
}

/// A Service that requests an address.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressService {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
    /// The address in this Service.
    pub place: Place,
}

/// A virtual server at an address.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressServer {
    /// The virtual server, `10.96.0.10:80/TCP`.
    pub virtual_server: String,
    /// Service port, `namespace/name:port`; null if no Service needs it.
    pub service: Option<String>,
    /// True if another program made it.
    pub foreign: bool,
    /// Presence.
    pub presence: Presence,
    /// Number of live real servers; null if the live tables are unknown.
    pub real_servers: Option<usize>,
}
