//! Arguments of `explain`.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

use clap::{Args, Subcommand};
use ipvs::Protocol;
use model::ObjectName;

use super::{Compared, Format, INPUT, service_name, service_names, socket_address};

/// Arguments of `explain`.
#[derive(Args, Debug)]
pub struct Explain {
    /// Subject of the explanation.
    #[command(subcommand)]
    pub subject: Subject,
}

/// Subject of an explanation.
#[derive(Debug, Subcommand)]
pub enum Subject {
    /// Explain how this node serves a Service: its addresses, every endpoint and why it is used or
    /// not, its connections, findings and drift.
    #[command(alias = "service")]
    Svc(ExplainService),
    /// Explain an address: the Services, virtual servers, set entries and the device that have it,
    /// or who else has it.
    #[command(alias = "address")]
    Ip(ExplainAddress),
    /// Explain the endpoints with the address of a pod: their Services, and where they are used.
    Pod(ExplainPod),
}

/// Input and output of every explanation.
#[derive(Args, Debug)]
pub struct ExplainInput {
    /// The desired and the live tables.
    #[command(flatten)]
    pub compared: Compared,
    /// Explain the desired tables only: the kernel is not read, and the live state is unknown.
    #[arg(long, conflicts_with = "live", help_heading = INPUT)]
    pub desired: bool,
    /// Metrics address of kube-ipvsd, for drains, health checks and the last change [default: 127.0.0.1:10249;
    /// with --live or --desired: kube-ipvsd is not asked].
    #[arg(long, value_name = "ADDRESS", value_parser = socket_address, help_heading = INPUT)]
    pub metrics_address: Option<SocketAddr>,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

/// Arguments of `explain svc`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  sudo ipvsctl explain svc shop/web
  sudo ipvsctl explain svc shop/web --endpoint 10.244.1.5
  ipvsctl explain svc shop/web -f manifests/ --node node1 --desired

Exit status: 0 the Service is served as its objects ask for, 1 it does not answer, differs from the kernel, \
has a finding of level error, or another program drops its packets, 2 there is no such Service or a part of the input could not be read.")]
pub struct ExplainService {
    /// The Service; a name without namespace is one of `default`.
    #[arg(value_name = "NAMESPACE/NAME", value_parser = service_name, add = service_names())]
    pub service: ObjectName,
    /// Show only the endpoints with this address.
    #[arg(long, value_name = "ADDRESS")]
    pub endpoint: Option<IpAddr>,
    /// Input and output.
    #[command(flatten)]
    pub input: ExplainInput,
}

/// Arguments of `explain ip`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  sudo ipvsctl explain ip 10.96.0.10
  sudo ipvsctl explain ip 10.96.0.10:80/TCP
  sudo ipvsctl explain ip '[fd00::10]:53/UDP'

Exit status: 0 the address is known, 1 nothing has it or an entry is missing or unwanted, 2 a part of the \
input could not be read.")]
pub struct ExplainAddress {
    /// The address, with a port and a protocol if given.
    #[arg(value_name = "ADDRESS[:PORT[/PROTOCOL]]", value_parser = place)]
    pub place: AddressArgument,
    /// Input and output.
    #[command(flatten)]
    pub input: ExplainInput,
}

/// Arguments of `explain pod`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  sudo ipvsctl explain pod 10.244.1.5
  sudo ipvsctl explain pod shop/web-0

Exit status: 0 the pod is used as endpoint, 1 it is no endpoint or is not used, 2 a part of the input could \
not be read.")]
pub struct ExplainPod {
    /// The pod, by its address or its name. Names are those in EndpointSlices: a pod that backs no
    /// Service has none.
    #[arg(value_name = "ADDRESS|NAMESPACE/NAME")]
    pub pod: PodArgument,
    /// Input and output.
    #[command(flatten)]
    pub input: ExplainInput,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodArgument {
    /// One of its addresses.
    Address(IpAddr),
    /// Its name.
    Name(ObjectName),
}

impl FromStr for PodArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text.parse(), text.contains('/')) {
            (Ok(address), _) => Ok(Self::Address(address)),
            (Err(_), true) => service_name(text).map(Self::Name),
            (Err(_), false) => Err("expected an address or NAMESPACE/NAME".to_owned()),
        }
    }
}

/// An address, with a port and a protocol if given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressArgument {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: Option<NonZeroU16>,
    /// The protocol.
    pub protocol: Option<Protocol>,
}

/// Parses `10.96.0.10`, `10.96.0.10:80`, `10.96.0.10:80/TCP` or the same with `[fd00::10]`.
fn place(text: &str) -> Result<AddressArgument, String> {
    let mistake = || {
        "expected an address with an optional port and protocol, such as 10.96.0.10:80/TCP or [fd00::10]:53/UDP"
            .to_owned()
    };
    if let Ok(address) = text.trim_matches(['[', ']']).parse() {
        return Ok(AddressArgument {
            address,
            port: None,
            protocol: None,
        });
    }
    let (at, protocol) = match text.split_once('/') {
        Some((at, protocol)) => (at, Some(Protocol::named(protocol).ok_or_else(mistake)?)),
        None => (text, None),
    };
    let at: SocketAddr = at.parse().map_err(|_| mistake())?;
    Ok(AddressArgument {
        address: at.ip(),
        port: Some(NonZeroU16::new(at.port()).ok_or_else(mistake)?),
        protocol,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_port_and_a_protocol() {
        let parsed = |text| {
            let AddressArgument {
                address,
                port,
                protocol,
            } = place(text).ok()?;
            let protocol = protocol.map(|protocol| protocol.to_string());
            Some((address.to_string(), port.map(NonZeroU16::get), protocol))
        };
        let expected = |address: &str, port, protocol: Option<&str>| {
            Some((address.to_owned(), port, protocol.map(str::to_owned)))
        };
        for (text, place) in [
            ("10.96.0.10", expected("10.96.0.10", None, None)),
            ("10.96.0.10:80", expected("10.96.0.10", Some(80), None)),
            (
                "10.96.0.10:80/tcp",
                expected("10.96.0.10", Some(80), Some("TCP")),
            ),
            ("fd00::10", expected("fd00::10", None, None)),
            ("[fd00::10]", expected("fd00::10", None, None)),
            (
                "[fd00::10]:53/UDP",
                expected("fd00::10", Some(53), Some("UDP")),
            ),
            ("10.96.0.10:0", None),
            ("10.96.0.10:80/ICMP", None),
            ("10.96.0.10/TCP", None),
            ("web", None),
        ] {
            assert_eq!(parsed(text), place, "{text}");
        }
    }
}
