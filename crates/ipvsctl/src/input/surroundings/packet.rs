//! The packet of a trace: sender and destination.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ipvs::{Protocol, VirtualServerKey};
use model::{ClusterState, Name, NodeTables, ObjectName, Parsed};

use crate::cli::Destination;

/// Reason why a packet cannot be traced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// The Service is not in the input.
    #[error("--to {0}: the input has no such Service; nothing was traced")]
    NoService(ObjectName),
    /// The Service has no cluster IP.
    #[error(
        "--to {0}: the Service has no cluster IP; give an address and a port; nothing was traced"
    )]
    NoAddress(ObjectName),
    /// The Service has no such port, or several and none is named.
    #[error("--to {service}: name one of its ports, {ports}; nothing was traced")]
    Port {
        /// The Service.
        service: ObjectName,
        /// Its ports.
        ports: String,
    },
    /// A source address for a sender that has its own.
    #[error("--source-address is for --from outside; a pod or the host has its own address")]
    SourceOfSender,
    /// Source and destination are of different families.
    #[error("source {from} and destination {to} are of different families; nothing was traced")]
    Families {
        /// Source address.
        from: IpAddr,
        /// Destination address.
        to: IpAddr,
    },
}

/// Source of a client outside if none is given: addresses for documentation (RFC 5737, RFC 3849).
pub(super) const CLIENT: [&str; 2] = ["198.51.100.1", "2001:db8::1"];

/// The sender of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// This node.
    Host,
    /// A pod.
    Pod {
        /// Its address.
        address: IpAddr,
        /// Its name, if it was named.
        name: Option<ObjectName>,
    },
    /// A client outside the cluster, behind this interface if it is given.
    Outside(Option<Name>),
}

/// The packet of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The sender.
    pub sender: Sender,
    /// Its source address; `None` for the node itself, whose routes choose it.
    pub source: Option<IpAddr>,
    /// Destination.
    pub to: SocketAddr,
    /// Protocol.
    pub protocol: Protocol,
}

impl Packet {
    /// Returns the packet of `sender` to `to`.
    ///
    /// # Errors
    ///
    /// `source` is given for a sender that has one, or is of another family than `to`.
    pub fn new(
        sender: Sender,
        source: Option<IpAddr>,
        (to, protocol): (SocketAddr, Protocol),
    ) -> Result<Self, PacketError> {
        let source = match (&sender, source) {
            (Sender::Host | Sender::Pod { .. }, Some(_)) => {
                return Err(PacketError::SourceOfSender);
            }
            (Sender::Host, None) => None,
            (Sender::Pod { address, .. }, None) => Some(*address),
            (Sender::Outside(_), Some(source)) => Some(source),
            (Sender::Outside(_), None) => {
                let [ipv4, ipv6] = CLIENT;
                if to.is_ipv4() { ipv4 } else { ipv6 }.parse().ok()
            }
        };
        match source {
            Some(source) if source.is_ipv4() != to.is_ipv4() => Err(PacketError::Families {
                from: source,
                to: to.ip(),
            }),
            _ => Ok(Self {
                sender,
                source,
                to,
                protocol,
            }),
        }
    }

    /// Returns the addresses that the packet may have on its path through `tables`.
    #[must_use]
    pub fn addresses(&self, tables: &NodeTables) -> BTreeSet<IpAddr> {
        let servers = tables.virtual_servers_at(self.to.ip());
        let by_mark = tables.virtual_servers.iter();
        let by_mark = by_mark.filter(|(key, _)| matches!(key, VirtualServerKey::Fwmark { .. }));
        let real_servers = servers
            .chain(by_mark)
            .flat_map(|(_, entry)| entry.real_servers.keys())
            .map(|real| real.address);
        (self.source.into_iter().chain([self.to.ip()]))
            .chain(real_servers)
            .collect()
    }
}

/// Returns the address, port and protocol of `to`. A Service is reached at its first cluster IP, of
/// the family of `source` if it is known.
///
/// # Errors
///
/// The Service does not exist, has no cluster IP, or no such port.
pub fn destination(
    to: &Destination,
    source: Option<IpAddr>,
    cluster: &ClusterState,
) -> Result<(SocketAddr, Protocol), PacketError> {
    let (name, wanted) = match to {
        Destination::Socket(to, protocol) => return Ok((*to, *protocol)),
        Destination::Service(name, port) => (name, port),
    };
    let service = cluster.service(name);
    let service = service.ok_or_else(|| PacketError::NoService(name.clone()))?;
    let addresses = service.cluster_ips.iter();
    let address = addresses
        .filter_map(|address| address.as_result().ok())
        .find(|address| source.is_none_or(|source| source.is_ipv4() == address.is_ipv4()));
    let address = address.ok_or_else(|| PacketError::NoAddress(name.clone()))?;
    let ports: Vec<(&str, u16, Protocol)> = (service.ports.iter())
        .filter_map(|port| match (&port.port, &port.protocol) {
            (Parsed::Valid(number), Parsed::Valid(protocol)) => {
                Some((&*port.name, number.get(), *protocol))
            }
            _ => None,
        })
        .collect();
    let is_wanted = |(name, number, _): &&(&str, u16, Protocol)| match wanted {
        Some(wanted) => **wanted == **name || **wanted == *number.to_string(),
        None => ports.len() == 1,
    };
    match ports.iter().find(is_wanted) {
        Some((_, number, protocol)) => Ok((SocketAddr::new(*address, *number), *protocol)),
        None => Err(PacketError::Port {
            service: name.clone(),
            ports: listed(&ports),
        }),
    }
}

fn listed(ports: &[(&str, u16, Protocol)]) -> String {
    let ports = ports
        .iter()
        .map(|(name, number, protocol)| match name.is_empty() {
            true => format!("{number} ({protocol})"),
            false => format!("{name} ({number}/{protocol})"),
        });
    let ports = ports.take(20).collect::<Vec<_>>();
    match ports.is_empty() {
        true => "but it has none".to_owned(),
        false => ports.join(", "),
    }
}
