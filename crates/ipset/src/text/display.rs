//! Display of the types.

use std::fmt;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::{Entry, Family, HashType, Header, Protocol};

/// Prints as `hash:ip family inet maxelem 65536` or `bitmap:port range 0-65535`.
impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash {
                hash_type,
                family,
                max_elements,
            } => write!(f, "{hash_type} family {family} maxelem {max_elements}"),
            Self::BitmapPort { first, last } => write!(f, "bitmap:port range {first}-{last}"),
            Self::Unsupported => f.write_str("unsupported"),
        }
    }
}

impl fmt::Display for HashType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip => "hash:ip",
            Self::IpPort => "hash:ip,port",
            Self::IpPortIp => "hash:ip,port,ip",
            Self::IpPortNet => "hash:ip,port,net",
        })
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inet => "inet",
            Self::Inet6 => "inet6",
        })
    }
}

/// Protocols with ports that ipset evaluates, with the names that it prints. For other protocols
/// ipset uses `/etc/protocols`, and prints the number if that has no name.
pub(super) const NAMES: [(Protocol, &str); 4] = [
    (Protocol::TCP, "tcp"),
    (Protocol::UDP, "udp"),
    (Protocol::SCTP, "sctp"),
    (Protocol(136), "udplite"),
];

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(protocol, _)| protocol == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Prints as `10.96.0.1,tcp:443`. For one host, the network of `hash:ip,port,net` has no length.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |f: &mut fmt::Formatter<'_>,
                     address: &IpAddr,
                     protocol: &Protocol,
                     port: &u16| { write!(f, "{address},{protocol}:{port}") };
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::IpPort(address, protocol, port) => place(f, address, protocol, port),
            Self::IpPortIp(address, protocol, port, other) => {
                place(f, address, protocol, port)?;
                write!(f, ",{other}")
            }
            Self::IpPortNet(address, protocol, port, network) => {
                place(f, address, protocol, port)?;
                if *network == IpNetwork::from(network.ip()) {
                    write!(f, ",{}", network.ip())
                } else {
                    write!(f, ",{}/{}", network.network(), network.prefix())
                }
            }
            Self::Port(port) => write!(f, "{port}"),
        }
    }
}
