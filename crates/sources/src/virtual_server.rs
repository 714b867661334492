//! VirtualServer, our own kind of object: an entry of the IPVS table without a Service.
//!
//! `docs/reference/virtualserver.md` describes the fields for operators.

mod decode;
mod encode;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use self::decode::decode;
pub use self::encode::{Unsupported, encode};

/// API version of the objects.
pub const API_VERSION: &str = "kube-ipvs.io/v1alpha1";

/// Kind of the objects.
pub const KIND: &str = "VirtualServer";

/// Scheduler of an object without one, as in ipvsadm and keepalived.
const DEFAULT_SCHEDULER: &str = "wlc";

/// Persistence timeout of an object without one, seconds, as in ipvsadm and keepalived.
const DEFAULT_PERSISTENCE: u32 = 360;

/// A VirtualServer as it is written in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// `kube-ipvs.io/v1alpha1`.
    pub api_version: String,
    /// `VirtualServer`.
    pub kind: String,
    /// Name of the object.
    pub metadata: Metadata,
    /// The entry of the table.
    pub spec: Spec,
}

/// Metadata of a VirtualServer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Name, unique among the VirtualServers of the namespace.
    pub name: String,
    /// Namespace; `default` if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels, without effect.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations, without effect.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Specification of a VirtualServer: `address` with `port`, or `fwmark`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// Virtual address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Virtual port. Port 0 means every port and needs `persistence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Protocol of the virtual port; TCP if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Firewall mark of the packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fwmark: Option<NonZeroU32>,
    /// Family of the marked packets; IPv4 if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// Scheduler; `wlc` if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// Flags of the scheduler, such as `sh-port` or `mh-fallback`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scheduler_flags: Vec<String>,
    /// True to schedule every UDP datagram on its own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub one_packet: bool,
    /// Persistence: clients stay with their real server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// Forwarding method of real servers without their own; masquerade if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<Forwarding>,
    /// Encapsulation of real servers without their own whose method is tunnel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Tunnel>,
    /// True if the address is added to kube-ipvs0, which is the default. Not allowed with `fwmark`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<bool>,
    /// True to replace the client's address in masqueraded packets by the node's.
    #[serde(default, skip_serializing_if = "is_false")]
    pub masquerade_source: bool,
    /// Numbers of connections of real servers without `upperThreshold`, as in a policy of Services:
    /// `upper` and `lower`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "items"))]
    pub connection_limits: Option<Value>,
    /// Maximum time for which a TCP real server that left keeps its connections, such as `5m`;
    /// `drainTimeout` of the configuration if it is absent. 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub drain_timeout: Option<Value>,
    /// Time for which a UDP real server that left keeps its flows, such as `5s`. If it is absent or
    /// 0, the real server is deleted at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub udp_drain_timeout: Option<Value>,
    /// Active check of the real servers by this node, as in a policy of Services: `type`,
    /// `interval`, `timeout`, `rise`, `fall`, `port`, `onFailure`, `panicThreshold` and the fields
    /// of the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "items"))]
    pub health_check: Option<Value>,
    /// Real servers.
    #[serde(default)]
    pub real_servers: Vec<RealServer>,
}

/// A real server of a VirtualServer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RealServer {
    /// Address.
    pub address: IpAddr,
    /// Port. If it is absent: the virtual port, or with `fwmark` 0, which keeps the packet's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Share of new connections; 1 if it is absent. With 0 the server keeps its connections and
    /// gets no new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Forwarding method; that of the specification if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<Forwarding>,
    /// Encapsulation if the method is tunnel; that of the specification if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Tunnel>,
    /// Number of connections above which the server gets no new ones; 0 sets no limit. If it is
    /// absent, `connectionLimits` apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper_threshold: Option<u32>,
    /// Number of connections below which the server gets new ones again; 0 means three quarters of
    /// the upper threshold.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lower_threshold: u32,
}

/// Persistence of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Persistence {
    /// Time for which a client stays with its real server, seconds; 360 if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// Prefix length of the clients that count as one; every client is separate if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_length: Option<u8>,
    /// Persistence engine, such as `sip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// Transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Family {
    /// IPv4.
    #[serde(rename = "IPv4")]
    Ipv4,
    /// IPv6.
    #[serde(rename = "IPv6")]
    Ipv6,
}

/// Forwarding method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Forwarding {
    /// Network address translation; keepalived calls it NAT.
    Masquerade,
    /// Direct routing: the unchanged packet goes to the server's link-layer address; keepalived
    /// calls it DR.
    Direct,
    /// Encapsulation; keepalived calls it TUN.
    Tunnel,
    /// Delivery on this host.
    Local,
    /// The unchanged packet goes to its destination.
    Bypass,
}

/// Encapsulation of packets to a real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tunnel {
    /// Kind of encapsulation; ipip if it is absent.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<TunnelType>,
    /// Destination port of the outer UDP header; only for gue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Checksum of the outer header; none if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
}

/// Kind of encapsulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum TunnelType {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation.
    Gue,
    /// Generic routing encapsulation.
    Gre,
}

/// Checksum of the outer header of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Checksum {
    /// No checksum.
    None,
    /// A checksum.
    Full,
    /// Remote checksum offload.
    Remote,
}

/// Returns the schema of a policy's value with several items.
#[cfg(feature = "schema")]
fn items(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "anyOf": [
            {"description": "KEY=VALUE, separated by commas.", "type": "string"},
            {"type": "array", "items": {"type": "string"}},
            {
                "type": "object",
                "additionalProperties": {"type": ["string", "number", "boolean"]},
            },
            {"type": "null"},
        ],
    })
}

// The signature is serde's.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(value: &u32) -> bool {
    *value == 0
}
