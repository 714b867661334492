//! Arguments of `trace`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use ipvs::Protocol;
use model::{Name, ObjectName};

use super::{Format, INPUT, NodeArgs, Source};

const PACKET: &str = "Packet";

/// Arguments of `trace`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
The path is that of the first packet of a connection: hook by hook with the rules that match, the sets that \
they test, the virtual server, and for each real server whether it answers and which source address it sees. \
-o wide prints the rules that do not match too, with the reason. A part that cannot be evaluated is named \
and not guessed.

Examples:
  # A pod of this node to a cluster IP, through the kernel's tables.
  sudo ipvsctl trace --from 10.244.1.6 --to 10.96.0.10:80
  # A pod by its name to a Service.
  sudo ipvsctl trace --from default/web-0 --to default/api
  # A client outside to a node port; its address matters for source ranges.
  sudo ipvsctl trace --from outside:eth0 --source 203.0.113.9 --to 192.0.2.10:30080
  # The node itself to a port of a Service.
  sudo ipvsctl trace --from host --to kube-system/kube-dns:dns
  # Through the tables that the objects ask for, or through saved ones; needs no privileges.
  ipvsctl trace -f objects.yaml --node node1 --desired --from 10.244.1.6 --to default/web
  ipvsctl trace -f objects.yaml --node node1 --live saved.txt --from outside --to 192.0.2.10:30080

Exit status: 0 every possible real server or socket answers, or this node only passes the packet on, 1 the \
packet may be refused or lost, or the virtual server that the objects ask for is missing, 2 an error, or the \
result cannot be judged.")]
pub struct Trace {
    /// Sender: `host` for this node, a pod by its address or as NAMESPACE/POD, `outside`, or
    /// `outside:INTERFACE`. Names of pods are those in EndpointSlices: a pod that backs no Service
    /// has none.
    #[arg(long, value_name = "SENDER", help_heading = PACKET)]
    pub from: SenderArgument,
    /// Source address of a client outside [default: 198.51.100.1 or 2001:db8::1].
    #[arg(long, visible_alias = "source", value_name = "ADDRESS", help_heading = PACKET)]
    pub source_address: Option<IpAddr>,
    /// Destination: ADDRESS:PORT[/PROTOCOL], ADDRESS/icmp, or NAMESPACE/SERVICE[:PORT] for the
    /// first cluster IP of a Service. Protocols: tcp (default), udp, sctp, icmp.
    #[arg(long, value_name = "DESTINATION", help_heading = PACKET)]
    pub to: Destination,
    /// Source of the objects.
    #[command(flatten)]
    pub source: Source,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Trace through the saved tables in this file instead of the kernel's: output of get tables or
    /// of ipvsadm-save -n; - for standard input.
    #[arg(long, value_name = "FILE", help_heading = INPUT)]
    pub live: Option<PathBuf>,
    /// Trace through the tables that the objects ask for. Does not read the kernel.
    #[arg(long, visible_alias = "rendered", conflicts_with = "live", help_heading = INPUT)]
    pub desired: bool,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

/// The sender of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SenderArgument {
    /// This node.
    Host,
    /// The pod with this address.
    Address(IpAddr),
    /// The pod with this name.
    Pod(ObjectName),
    /// A client outside the cluster, behind this interface if it is given.
    Outside(Option<Name>),
}

impl FromStr for SenderArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.split_once(':')) {
            ("host", _) => Ok(Self::Host),
            ("outside", _) => Ok(Self::Outside(None)),
            (_, Some(("outside", name))) if !name.is_empty() => {
                Ok(Self::Outside(Some(name.into())))
            }
            _ => match (text.parse(), text.split_once('/')) {
                (Ok(address), _) => Ok(Self::Address(address)),
                (_, Some((namespace, name)))
                    if !namespace.is_empty() && !name.is_empty() && !name.contains(['/', ':']) =>
                {
                    Ok(Self::Pod(ObjectName::new(namespace, name)))
                }
                _ => Err(
                    "expected host, outside, outside:INTERFACE, or a pod by its address or as NAMESPACE/POD"
                        .to_owned(),
                ),
            },
        }
    }
}

/// The destination of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An address, with a port unless the protocol is ICMP.
    Socket(SocketAddr, Protocol),
    /// A port of a Service, by name or number; `None` if it has only one.
    Service(ObjectName, Option<Name>),
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "expected ADDRESS:PORT, ADDRESS:PORT/PROTOCOL, ADDRESS/icmp or NAMESPACE/SERVICE[:PORT]"
                .to_owned()
        };
        if let Ok(socket) = text.parse() {
            return Ok(Self::Socket(socket, Protocol::Tcp));
        }
        let (before, after) = text.split_once('/').ok_or_else(wrong)?;
        let protocol = match after {
            "tcp" => Some(Protocol::Tcp),
            "udp" => Some(Protocol::Udp),
            "sctp" => Some(Protocol::Sctp),
            _ => None,
        };
        match (before.parse::<SocketAddr>(), before.parse::<IpAddr>()) {
            (Ok(socket), _) => Ok(Self::Socket(socket, protocol.ok_or_else(wrong)?)),
            (_, Ok(address)) if after == "icmp" => {
                Ok(Self::Socket(SocketAddr::new(address, 0), trace::ICMP))
            }
            (_, Ok(_)) => Err(wrong()),
            _ => {
                let (name, port) = match after.split_once(':') {
                    Some((name, port)) => (name, Some(port.into())),
                    None => (after, None),
                };
                if before.is_empty() || name.is_empty() || name.contains('/') {
                    return Err(wrong());
                }
                Ok(Self::Service(ObjectName::new(before, name), port))
            }
        }
    }
}
