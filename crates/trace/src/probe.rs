//! Probes: the packets that are traced.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipvs::Protocol;

/// Protocol of an echo request of either family, which has no port.
pub const ICMP: Protocol = Protocol::Other(1);

/// The first packet of a connection. Parsed from `podA -> 10.96.0.1:80/tcp`,
/// `host -> [fd00::1]:53/udp`, `client -> 10.96.0.1:0/icmp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Source: the name of a place, or `host` for the node itself.
    pub from: String,
    /// Destination.
    pub to: SocketAddr,
    /// Protocol; ICMP of both families is `Other(1)`.
    pub protocol: Protocol,
}

impl Probe {
    /// Returns the destination address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.to.ip()
    }
}

impl FromStr for Probe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = (text.split_once("->")).ok_or_else(|| {
            format!("`{text}` is not of the form SOURCE -> ADDRESS:PORT/PROTOCOL")
        })?;
        let (to, protocol) = (to.trim().rsplit_once('/'))
            .ok_or_else(|| format!("`{}` names no protocol", to.trim()))?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            "icmp" => ICMP,
            other => return Err(format!("`{other}` is not tcp, udp, sctp or icmp")),
        };
        let to = (to.parse()).map_err(|_| format!("`{to}` is not an address with a port"))?;
        Ok(Self {
            from: from.trim().to_owned(),
            to,
            protocol,
        })
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
            Protocol::Other(_) => "icmp",
        };
        write!(f, "{} -> {}/{protocol}", self.from, self.to)
    }
}
