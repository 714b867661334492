//! Path of a packet.

mod convert;
mod phrase;

use schemars::JsonSchema;
use serde::Serialize;

pub use self::convert::Subject;

/// The path of one packet through the tables of a node.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// [`API_VERSION`](super::API_VERSION).
    pub api_version: &'static str,
    /// `Trace`.
    pub kind: &'static str,
    /// The node.
    pub node_name: String,
    /// Origin of the tables: `kernel`, `saved` or `desired`.
    pub tables: &'static str,
    /// The packet.
    pub packet: TracedPacket,
    /// Steps up to the result, or up to the choice of a real server.
    pub steps: Vec<TraceStep>,
    /// The virtual server that the packet matches; null if there is none.
    pub virtual_server: Option<TracedVirtualServer>,
    /// Real servers of the virtual server, ordered by address and port.
    pub real_servers: Vec<TracedRealServer>,
    /// Result of the packet.
    pub verdict: TraceVerdict,
    /// Sentences about what the trace takes for granted.
    pub assumptions: Vec<String>,
}

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TracedPacket {
    /// The sender as a noun: `host`, `outside`, `pod on this node`, `pod on node NAME`.
    pub from: String,
    /// Source address; null if it cannot be determined.
    pub source: Option<String>,
    /// Destination address.
    pub destination: String,
    /// Destination port; 0 for ICMP.
    pub port: u16,
    /// `TCP`, `UDP`, `SCTP` or `ICMP`.
    pub protocol: String,
}

/// One step of a packet.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceStep {
    /// Place of the step: a table with a built-in chain as `nat PREROUTING`, or `routing`, `IPVS`,
    /// `source`, `answer`, `pod`, `bridge`.
    pub at: String,
    /// Effect on the packet, as a sentence.
    pub text: String,
    /// Target that decided in a chain: `ACCEPT`, `DROP`, `REJECT` or `MASQUERADE`; null if the
    /// packet passes all rules, and for other steps.
    pub decision: Option<&'static str>,
    /// Mark of the packet after a chain, as `0x4000`; null if it has none.
    pub mark: Option<String>,
    /// Every evaluated rule of a chain, in order.
    pub rules: Vec<TracedRule>,
}

/// A rule that was evaluated.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TracedRule {
    /// The line of `iptables-save`.
    pub rule: String,
    /// True if the rule matched.
    pub matched: bool,
    /// The first condition that does not hold; null if the rule matched.
    pub failed: Option<String>,
    /// Sets that were tested.
    pub sets: Vec<TracedSet>,
    /// Name of the rule's chain.
    #[serde(skip)]
    pub chain: String,
    /// True if the rule only leads from a built-in chain to another chain.
    #[serde(skip)]
    pub is_entry: bool,
}

/// The test of a set.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TracedSet {
    /// Name of the set.
    pub set: String,
    /// The entry that matched, or the element that was looked up.
    pub element: String,
    /// True if the set contains it.
    pub found: bool,
}

/// The virtual server that a packet matches.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TracedVirtualServer {
    /// Key of the virtual server, as `10.96.0.10:80/TCP` or `fwmark 7 (IPv4)`.
    pub key: String,
    /// The Service port that it belongs to, as `namespace/name:port`; null if it is not known.
    pub service: Option<String>,
    /// Scheduler.
    pub scheduler: String,
    /// Time for which a client that has connected before stays with its real server; null without
    /// persistence.
    pub persistence_seconds: Option<u64>,
}

/// A real server, and the path of the packet to it.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TracedRealServer {
    /// Address.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Node of the endpoint; null if it is not known.
    pub node: Option<String>,
    /// Forwarding method, as `ipvsadm -L` prints it: `Masq`, `Local`, `Route`, `Tunnel (ipip)`.
    pub forwarding: String,
    /// Weight. A real server with weight 0 gets no new connections.
    pub weight: u32,
    /// Steps after the choice of this real server.
    pub steps: Vec<TraceStep>,
    /// Result; null if the real server gets no new connections.
    pub outcome: Option<TraceOutcome>,
}

/// A result of a packet.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceOutcome {
    /// - `answered`.
    /// - `forwarded`: to a real server that answers the client itself, or by routing alone, since no
    ///   virtual server takes the packet. Whether it is answered is not known on this node.
    /// - `delivered`: to this node or a real server. It is not known whether a program listens.
    /// - `refused`, `lost`.
    /// - `notJudged`: a part of the path cannot be evaluated.
    pub result: &'static str,
    /// Source address on arrival; null without arrival, and if it is not known which address of the
    /// node it is.
    pub source: Option<String>,
    /// The result as a sentence, with the rule or the state that led to it.
    pub text: String,
}

/// The results of all real servers together.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceVerdict {
    /// - `answered`: in every possible case.
    /// - `forwarded`: this node passes the packet on, unless it is answered: to a real server that
    ///   answers the client itself, or by routing alone, since no virtual server takes it.
    /// - `failed`: the packet may be refused or lost, or no virtual server takes a packet that the
    ///   objects ask one for.
    /// - `notJudged`: none of these is certain.
    pub result: &'static str,
    /// The verdict as a sentence.
    pub text: String,
    /// Every possible result, each once.
    pub outcomes: Vec<TraceOutcome>,
}
