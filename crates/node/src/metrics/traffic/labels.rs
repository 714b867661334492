//! Labels of the traffic metrics.

use std::fmt;
use std::str::FromStr;

use ipvs::RealServerKey;

use super::VirtualServerTraffic;
use crate::health::family_name;

/// A label of the traffic metrics. The names differ from the labels that Prometheus adds to targets
/// (`namespace`, `service`, `endpoint`), since Prometheus would rename ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrafficLabel {
    /// `service_namespace`.
    Namespace,
    /// `service_name`.
    Service,
    /// `service_port`: the port's name; empty for ports without a name.
    Port,
    /// `protocol`: `TCP`, `UDP`, `SCTP`.
    Protocol,
    /// `ip_family`: `IPv4`, `IPv6`.
    IpFamily,
    /// `virtual_address`: address and port to which clients connect, `10.96.0.10:80/TCP`.
    VirtualAddress,
    /// `endpoint_address`: the endpoint's address and port, `10.1.2.3:8080`.
    Endpoint,
}

/// A text that is not the name of a label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown label {0:?}: use one of {known}", known = TrafficLabel::ALL.map(TrafficLabel::name).join(", "))]
pub struct UnknownLabel(pub String);

impl TrafficLabel {
    /// Every label.
    pub const ALL: [Self; 7] = [
        Self::Namespace,
        Self::Service,
        Self::Port,
        Self::Protocol,
        Self::IpFamily,
        Self::VirtualAddress,
        Self::Endpoint,
    ];

    /// Returns the label's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespace => "service_namespace",
            Self::Service => "service_name",
            Self::Port => "service_port",
            Self::Protocol => "protocol",
            Self::IpFamily => "ip_family",
            Self::VirtualAddress => "virtual_address",
            Self::Endpoint => "endpoint_address",
        }
    }

    /// Returns the label's value, or `None` if the virtual server has no owner.
    pub(super) fn value(
        self,
        server: &VirtualServerTraffic,
        endpoint: Option<&RealServerKey>,
    ) -> Option<String> {
        let owner = server.owner.as_ref()?;
        Some(match self {
            Self::Namespace => owner.service.namespace.to_string(),
            Self::Service => owner.service.name.to_string(),
            Self::Port => owner.port.to_string(),
            Self::Protocol => owner.protocol.to_string(),
            Self::IpFamily => family_name(server.key.family()).to_owned(),
            Self::VirtualAddress => server.key.to_string(),
            Self::Endpoint => endpoint.map(ToString::to_string).unwrap_or_default(),
        })
    }
}

impl fmt::Display for TrafficLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TrafficLabel {
    type Err = UnknownLabel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|label| label.name() == text);
        named.ok_or_else(|| UnknownLabel(text.to_owned()))
    }
}
