//! Arguments that select servers and connections, and the source of the names of Services.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::{Args, ValueEnum};
use ipnetwork::IpNetwork;
use ipvs::Protocol;
use model::ObjectName;

use super::{INPUT, NodeArgs, Source, owner_name, owner_names, socket_address};

const SELECTION: &str = "Selection";
const SERVERS: &str = "Only for servers";
const CONNECTIONS: &str = "Only for connections";

/// Source of the names of Services and VirtualServers. Without one, the running kube-ipvsd is asked.
#[derive(Args, Debug)]
pub struct Named {
    /// Objects in files or in a cluster.
    #[command(flatten)]
    pub source: Source,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Metrics address of kube-ipvsd [default: 127.0.0.1:10249; with --live: kube-ipvsd is not
    /// asked].
    #[arg(long, value_name = "ADDRESS", value_parser = socket_address, help_heading = INPUT)]
    pub metrics_address: Option<SocketAddr>,
}

/// Selection of virtual servers.
#[derive(Args, Clone, Debug, Default)]
pub struct Select {
    /// For servers and connections: only those of Services and VirtualServers of this namespace.
    #[arg(short, long, value_name = "NAME", help_heading = SELECTION)]
    pub namespace: Option<String>,
    /// For servers and connections: only those of this Service, or of this VirtualServer if it is
    /// written as "VirtualServer NAMESPACE/NAME"; may be given several times.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = owner_name, add = owner_names(), help_heading = SELECTION)]
    pub service: Vec<ObjectName>,
    /// For servers and connections: only those of this virtual address.
    #[arg(long, value_name = "ADDRESS", help_heading = SELECTION)]
    pub vip: Option<IpAddr>,
    /// For servers and connections: only those of this protocol.
    #[arg(long, value_name = "tcp|udp|sctp", value_parser = protocol, help_heading = SELECTION)]
    pub protocol: Option<Protocol>,
}

/// Options of `get servers`.
#[derive(Args, Clone, Debug, Default)]
pub struct ServerArgs {
    /// Add the counters of connections, packets and bytes.
    #[arg(long, help_heading = SERVERS)]
    pub stats: bool,
    /// Add the kernel's rates: averages over the last few seconds.
    #[arg(long, help_heading = SERVERS)]
    pub rate: bool,
    /// Print again every SECONDS (2 if not given) until interrupted.
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = seconds,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        help_heading = SERVERS
    )]
    pub watch: Option<Duration>,
    /// Order: numbers descending, equal ones by address. The orders active and inactive read the
    /// whole table before they print.
    #[arg(long, value_name = "ORDER", default_value = "address", help_heading = SERVERS)]
    pub sort_by: SortBy,
}

/// Order of virtual servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SortBy {
    /// Virtual address, port and protocol.
    #[default]
    Address,
    /// Name of the Service.
    Name,
    /// Connections since the counters began.
    Connections,
    /// Active connections.
    Active,
    /// Inactive connections.
    Inactive,
    /// New connections each second.
    Cps,
    /// Packets of both directions.
    Packets,
    /// Bytes of both directions.
    Bytes,
}

/// Options of `get connections`.
#[derive(Args, Clone, Debug, Default)]
pub struct ConnectionArgs {
    /// Only connections from this address or network.
    #[arg(long, value_name = "ADDRESS[/PREFIX]", help_heading = CONNECTIONS)]
    pub client: Option<IpNetwork>,
    /// Only connections to this real server.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = server, help_heading = CONNECTIONS)]
    pub server: Option<ServerAddress>,
    /// Print the numbers of connections of each real server by state, instead of the connections.
    #[arg(long, help_heading = CONNECTIONS)]
    pub summary: bool,
}

/// Address of a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// The address.
    pub address: IpAddr,
    /// The port; `None` for every port.
    pub port: Option<u16>,
}

fn server(text: &str) -> Result<ServerAddress, String> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Ok(ServerAddress {
            address: socket.ip(),
            port: Some(socket.port()),
        });
    }
    match text.parse() {
        Ok(address) => Ok(ServerAddress {
            address,
            port: None,
        }),
        Err(_) => Err(
            "expected an IP address such as 10.1.2.3, 10.1.2.3:8080 or [fd00::3]:8080".to_owned(),
        ),
    }
}

fn protocol(text: &str) -> Result<Protocol, String> {
    Protocol::named(text).ok_or_else(|| "expected tcp, udp or sctp".to_owned())
}

/// Parses a number of seconds from 0.1 to a day.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=86400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("expected a number of seconds from 0.1 to 86400".to_owned()),
    }
}

impl Select {
    /// Returns true if nothing is left out.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.vip.is_none() && self.protocol.is_none() && !self.needs_names()
    }

    /// Returns true if names of Services are needed to select.
    #[must_use]
    pub fn needs_names(&self) -> bool {
        self.namespace.is_some() || !self.service.is_empty()
    }
}
