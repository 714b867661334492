//! The connection table of IPVS, as the kernel prints it in `/proc/net/ip_vs_conn`.
//!
//! The file has one header line, and one line for each connection. Generic netlink has no command
//! that lists connections.
//!
//! ```
//! use ipvs::connection::parse_connection;
//!
//! let line = "TCP C0000201 D431 0A60000A 0050 0A010203 1F90 ESTABLISHED     899";
//! let connection = parse_connection(line).expect("a line of the file");
//! assert_eq!(connection.client.to_string(), "192.0.2.1:54321");
//! assert_eq!(connection.virtual_server().to_string(), "10.96.0.10:80/TCP");
//! assert_eq!(connection.real.to_string(), "10.1.2.3:8080");
//! assert_eq!(connection.state, "ESTABLISHED");
//! ```

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::types::{Protocol, RealServerKey, VirtualServerKey};

/// Maximum length of the name of a state. The kernel's names are shorter.
const MAX_STATE: usize = 32;

/// One entry of the connection table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The transport protocol; `Other(0)` (IP) for templates that cover every port or a firewall
    /// mark.
    pub protocol: Protocol,
    /// Address and port of the client. The port of a [template](Self::is_template) is 0, and its
    /// address is that of the network of the clients.
    pub client: SocketAddr,
    /// Address and port to which the client sent its packets. For a template of a virtual server
    /// with a firewall mark the address is the mark.
    pub destination: SocketAddr,
    /// The real server.
    pub real: RealServerKey,
    /// State of the protocol, for example `ESTABLISHED`, or `UDP`.
    pub state: String,
    /// Time until the kernel deletes the entry, whole seconds.
    pub expires: Duration,
    /// Name of the persistence engine that assigned the connection, for example `sip`.
    pub engine: Option<String>,
}

impl Connection {
    /// Returns true for an entry that only keeps a client at its real server (persistence). Also
    /// true for a connection of `ip_vs_ftp` whose client port is not known yet.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.client.port() == 0
    }

    /// Returns the key of the virtual server that has the destination of this connection. A virtual
    /// server with a firewall mark or with port 0 has another key.
    #[must_use]
    pub fn virtual_server(&self) -> VirtualServerKey {
        VirtualServerKey::Address {
            address: self.destination.ip(),
            port: self.destination.port(),
            protocol: self.protocol,
        }
    }
}

/// Text that is not a line of `/proc/net/ip_vs_conn`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a line of /proc/net/ip_vs_conn: {field} is missing or invalid")]
pub struct ConnectionError {
    field: &'static str,
}

/// Returns true for the first line of the file, which names the columns.
#[must_use]
pub fn is_header(line: &str) -> bool {
    line.starts_with("Pro FromIP")
}

/// Parses a line of `/proc/net/ip_vs_conn` other than its [header](is_header).
///
/// IPv4 addresses and ports are hexadecimal. IPv6 addresses are eight groups of hexadecimal digits;
/// brackets around them are accepted. The family of the real server may be another one than that of
/// the client. Source: `ip_vs_conn_seq_show`, `net/netfilter/ipvs/ip_vs_conn.c`, Linux 6.1.
///
/// # Errors
///
/// The first field that is missing or invalid.
pub fn parse_connection(line: &str) -> Result<Connection, ConnectionError> {
    let mut words = line.split_ascii_whitespace();
    let mut next = |field| words.next().ok_or(ConnectionError { field });
    let invalid = |field| ConnectionError { field };
    let protocol = protocol(next("the protocol")?).ok_or(invalid("the protocol"))?;
    let mut socket = |field| {
        let (address, port) = (next(field)?, next(field)?);
        socket(address, port).ok_or(ConnectionError { field })
    };
    let client = socket("the client")?;
    let destination = socket("the destination")?;
    let real = socket("the real server")?;
    let state = words.next().ok_or(invalid("the state"))?;
    if state.len() > MAX_STATE {
        return Err(invalid("the state"));
    }
    let expires = words.next().and_then(|seconds| seconds.parse().ok());
    Ok(Connection {
        protocol,
        client,
        destination,
        real: real.into(),
        state: state.to_owned(),
        expires: Duration::from_secs(expires.ok_or(invalid("the expiry"))?),
        engine: words.next().map(ToOwned::to_owned),
    })
}

/// Parses the names of `ip_vs_proto_name`, `net/netfilter/ipvs/ip_vs_core.c`, Linux 6.1.
fn protocol(name: &str) -> Option<Protocol> {
    match name {
        "TCP" | "UDP" | "SCTP" => Protocol::named(name),
        "IP" => Some(Protocol::Other(0)),
        "ICMP" => Some(Protocol::Other(1)),
        "ICMPv6" => Some(Protocol::Other(58)),
        other => other
            .strip_prefix("IP_")?
            .parse::<u8>()
            .ok()
            .map(Protocol::from),
    }
}

fn socket(address: &str, port: &str) -> Option<SocketAddr> {
    let port = hex(port)?.try_into().ok()?;
    let address = match hex(address) {
        Some(bits) if address.len() == 8 => IpAddr::V4(Ipv4Addr::from_bits(bits)),
        _ => {
            let inner = (address.strip_prefix('[')).and_then(|rest| rest.strip_suffix(']'));
            IpAddr::V6(inner.unwrap_or(address).parse().ok()?)
        }
    };
    Some(SocketAddr::new(address, port))
}

/// Parses a number without the sign that `from_str_radix` accepts.
fn hex(text: &str) -> Option<u32> {
    match text.starts_with('+') {
        true => None,
        false => u32::from_str_radix(text, 16).ok(),
    }
}
