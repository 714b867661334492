//! Traffic of Services: encoding of `top --once`.

use std::time::Duration;

use ipvs::VirtualServerKey;
use schemars::JsonSchema;
use serde::Serialize;

use super::API_VERSION;
use super::connections::Endpoint;
use super::tables::protocol_name;
use crate::top::traffic::{self, EndpointTraffic, NodeTraffic, ServerTraffic};

/// Traffic of a node over one interval.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Top {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// `Top`.
    pub kind: &'static str,
    /// Time between the two readings.
    pub interval_seconds: f64,
    /// Sum of all Services.
    pub total: Traffic,
    /// Services, and virtual servers of no known Service.
    pub services: Vec<ServiceTraffic>,
}

/// Traffic of a Service.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceTraffic {
    /// `namespace/name`; absent if the Service is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Sum of the virtual servers.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Virtual servers of the Service.
    pub virtual_servers: Vec<VirtualServerTraffic>,
}

/// Traffic of a virtual server.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServerTraffic {
    /// Address and port; absent for a firewall mark.
    #[serde(flatten)]
    pub endpoint: Option<Endpoint>,
    /// `TCP`, `UDP`, `SCTP` or a number; absent for a firewall mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Firewall mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fwmark: Option<u32>,
    /// `IPv4` or `IPv6`; only with a firewall mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Name of the port of the Service; absent if it has none or is unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub port_name: String,
    /// Traffic of the virtual server.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Real servers ordered by address and port.
    pub real_servers: Vec<RealServerTraffic>,
}

/// Traffic of a real server.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RealServerTraffic {
    /// Address and port.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// Weight; 0 for a real server that gets no new connections.
    pub weight: u32,
    /// Traffic of the real server.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// Rates and counters.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// New connections each second.
    pub connections_per_second: f64,
    /// Packets from clients each second.
    pub packets_in_per_second: f64,
    /// Packets to clients each second.
    pub packets_out_per_second: f64,
    /// Bytes from clients each second.
    pub bytes_in_per_second: f64,
    /// Bytes to clients each second.
    pub bytes_out_per_second: f64,
    /// Connections in a state that carries data.
    pub active_connections: u64,
    /// Other connections, and all UDP flows.
    pub inactive_connections: u64,
    /// Number of real servers.
    pub endpoints: u64,
    /// Number of real servers that get no new connections.
    pub draining_endpoints: u64,
    /// Connections since the counters began.
    pub connections: u64,
    /// Packets from clients since then.
    pub packets_in: u64,
    /// Packets to clients since then.
    pub packets_out: u64,
    /// Bytes from clients since then.
    pub bytes_in: u64,
    /// Bytes to clients since then.
    pub bytes_out: u64,
}

impl Top {
    /// Returns the traffic of `node`, measured over `interval`, with its Services in the given
    /// order.
    #[must_use]
    pub fn new(
        node: &NodeTraffic,
        services: &[&traffic::ServiceTraffic],
        interval: Duration,
    ) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "Top",
            interval_seconds: rounded(interval.as_secs_f64()),
            total: (&node.total).into(),
            services: services.iter().map(|service| (*service).into()).collect(),
        }
    }
}

impl From<&traffic::ServiceTraffic> for ServiceTraffic {
    fn from(service: &traffic::ServiceTraffic) -> Self {
        Self {
            service: service.is_service.then(|| service.name.clone()),
            traffic: (&service.traffic).into(),
            virtual_servers: service.servers.iter().map(Into::into).collect(),
        }
    }
}

impl From<&ServerTraffic> for VirtualServerTraffic {
    fn from(server: &ServerTraffic) -> Self {
        let mut object = Self {
            endpoint: None,
            protocol: None,
            fwmark: None,
            family: None,
            port_name: server.port.clone(),
            traffic: (&server.traffic).into(),
            real_servers: server.real_servers.iter().map(Into::into).collect(),
        };
        match server.key {
            VirtualServerKey::Address {
                address,
                port,
                protocol,
            } => {
                object.endpoint = Some(Endpoint { address, port });
                object.protocol = Some(protocol_name(protocol));
            }
            VirtualServerKey::Fwmark { family, mark } => {
                object.fwmark = Some(mark.get());
                object.family = Some(family.to_string());
            }
        }
        object
    }
}

impl From<&EndpointTraffic> for RealServerTraffic {
    fn from(endpoint: &EndpointTraffic) -> Self {
        Self {
            endpoint: endpoint.key.into(),
            weight: endpoint.weight,
            traffic: (&endpoint.traffic).into(),
        }
    }
}

impl From<&traffic::Traffic> for Traffic {
    fn from(traffic: &traffic::Traffic) -> Self {
        let traffic::Traffic {
            connection_rate,
            packet_rate_in,
            packet_rate_out,
            byte_rate_in,
            byte_rate_out,
            active,
            inactive,
            endpoints,
            draining,
            connections,
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
        } = *traffic;
        Self {
            connections_per_second: rounded(connection_rate),
            packets_in_per_second: rounded(packet_rate_in),
            packets_out_per_second: rounded(packet_rate_out),
            bytes_in_per_second: rounded(byte_rate_in),
            bytes_out_per_second: rounded(byte_rate_out),
            active_connections: active,
            inactive_connections: inactive,
            endpoints,
            draining_endpoints: draining,
            connections,
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
        }
    }
}

/// Returns a number with at most three decimal places.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
