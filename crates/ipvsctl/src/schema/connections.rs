//! Connections: encoding of `get connections`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipvs::RealServerKey;
use schemars::JsonSchema;
use serde::Serialize;

use super::plan::ServicePort;
use super::tables::protocol_name;

/// Connections; written item by item.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionList {
    /// [`API_VERSION`](super::API_VERSION).
    pub api_version: &'static str,
    /// `ConnectionList`.
    pub kind: &'static str,
    /// Connections in the order of the kernel.
    pub connections: Vec<Connection>,
}

/// One entry of the connection table.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// `TCP`, `UDP`, `SCTP` or a number; 0 for templates of every port or of a firewall mark.
    pub protocol: String,
    /// The client.
    pub client: Endpoint,
    /// Address and port to which the client sent its packets.
    pub virtual_server: Endpoint,
    /// Service port of the virtual server, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServicePort>,
    /// The real server.
    pub real_server: Endpoint,
    /// State of the protocol.
    pub state: String,
    /// Time until the kernel deletes the entry.
    pub expires_seconds: u64,
    /// True for an entry that only keeps a client at its real server.
    pub template: bool,
    /// Persistence engine, for example `sip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// An address with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

/// Numbers of connections.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionSummary {
    /// [`API_VERSION`](super::API_VERSION).
    pub api_version: &'static str,
    /// `ConnectionSummary`.
    pub kind: &'static str,
    /// Number of connections.
    pub connections: u64,
    /// Number of persistence templates.
    pub templates: u64,
    /// Real servers with connections, the largest number first.
    pub real_servers: Vec<RealServerConnections>,
}

/// Numbers of connections of a real server.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RealServerConnections {
    /// `TCP`, `UDP`, `SCTP` or a number.
    pub protocol: String,
    /// Address and port to which the clients sent their packets.
    pub virtual_server: Endpoint,
    /// Service port of the virtual server, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServicePort>,
    /// The real server.
    pub real_server: Endpoint,
    /// Number of connections.
    pub connections: u64,
    /// Number of persistence templates.
    pub templates: u64,
    /// Numbers of connections by state.
    pub states: BTreeMap<String, u64>,
}

impl From<SocketAddr> for Endpoint {
    fn from(socket: SocketAddr) -> Self {
        Self {
            address: socket.ip(),
            port: socket.port(),
        }
    }
}

impl From<RealServerKey> for Endpoint {
    fn from(key: RealServerKey) -> Self {
        let RealServerKey { address, port } = key;
        Self { address, port }
    }
}

impl Connection {
    /// Returns the entry `connection` of the Service port `service`.
    #[must_use]
    pub fn new(connection: &ipvs::connection::Connection, service: Option<ServicePort>) -> Self {
        let template = connection.is_template();
        let ipvs::connection::Connection {
            protocol,
            client,
            destination,
            real,
            state,
            expires,
            engine,
        } = connection;
        Self {
            protocol: protocol_name(*protocol),
            client: (*client).into(),
            virtual_server: (*destination).into(),
            service,
            real_server: (*real).into(),
            state: state.clone(),
            expires_seconds: expires.as_secs(),
            template,
            engine: engine.clone(),
        }
    }
}
