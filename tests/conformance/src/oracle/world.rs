//! The surroundings of the tables: the node's interfaces, pods, clients, and listening sockets.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use ipvs::Protocol;
use model::{NodeState, Parsed};
use serde::Deserialize;

/// A node and the places that it can reach.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The node's interfaces, except the dummy device.
    pub node: NodeState,
    /// The places.
    pub places: Vec<Place>,
    /// Networks without a place, and their location.
    pub networks: Vec<(IpNetwork, At)>,
    /// True if packets between ports of a bridge pass iptables
    /// (`net.bridge.bridge-nf-call-iptables`).
    pub bridge_calls_iptables: bool,
    /// The oldest interface except `lo`, see [`World::address_by_loopback`]. `None`: the interface
    /// that has the address in question.
    pub first_interface: Option<String>,
}

/// A host or pod with addresses.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Name of the place.
    pub name: String,
    /// One or more addresses.
    #[serde(deserialize_with = "addresses")]
    pub addresses: Vec<IpAddr>,
    /// Location of the place.
    pub at: At,
    /// The ports at which it listens, with their protocol: `tcp/8080`.
    #[serde(default, deserialize_with = "ports")]
    pub listens: Vec<(Protocol, u16)>,
}

/// Location of a place, relative to the node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum At {
    /// On a bridge of the node.
    Bridge(String),
    /// Behind another node, which is behind this interface.
    Node(String),
    /// Behind this interface.
    Link(String),
    /// On the node itself. A place without addresses listens at all of them.
    Host,
}

impl At {
    /// Returns the node's interface towards this location.
    #[must_use]
    pub fn interface(&self) -> &str {
        match self {
            Self::Bridge(name) | Self::Node(name) | Self::Link(name) => name,
            Self::Host => "lo",
        }
    }
}

impl World {
    /// Parses a world: `places`, `networks`, `bridgeCallsIptables` and `firstInterface`.
    ///
    /// # Errors
    ///
    /// A mistake in the text.
    pub fn parse(text: &str, node: NodeState) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let networks = (file.networks.into_iter())
            .map(|network| (network.network, network.at))
            .collect();
        Ok(Self {
            node,
            places: file.places,
            networks,
            bridge_calls_iptables: file.bridge_calls_iptables,
            first_interface: file.first_interface,
        })
    }

    /// Returns the place called `name`.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<&Place> {
        self.places.iter().find(|place| place.name == name)
    }

    /// Returns true if an interface of the node has `address`.
    #[must_use]
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.node.addresses().any(|own| own == address) || address.is_loopback()
    }

    /// Returns the location of `address`, or none without a route.
    #[must_use]
    pub fn locate(&self, address: IpAddr) -> Option<At> {
        let at = |place: &&Place| place.addresses.contains(&address);
        let network = || (self.networks.iter()).find(|(network, _)| network.contains(address));
        let connected = || {
            let link = (self.node.interfaces.iter()).find(|link| {
                link.addresses
                    .iter()
                    .any(|network| network.contains(address))
            })?;
            Some(At::Link(link.name.to_string()))
        };
        if self.is_own(address) {
            return Some(At::Host);
        }
        (self.places.iter().find(at).map(|place| place.at.clone()))
            .or_else(|| network().map(|(_, at)| at.clone()))
            .or_else(connected)
    }

    /// Returns the place on the node that listens at `address`.
    #[must_use]
    pub fn listener(&self, address: IpAddr, protocol: Protocol, port: u16) -> Option<&Place> {
        (self.places.iter())
            .filter(|place| place.at == At::Host && place.listens.contains(&(protocol, port)))
            .find(|place| place.addresses.is_empty() || place.addresses.contains(&address))
    }

    /// Returns the node's address at `interface` for packets to `to`, which MASQUERADE and a socket
    /// choose. If there are several IPv4 addresses it is the one in the network of `to`
    /// (`inet_select_addr`, net/ipv4/devinet.c, Linux 6.1). Returns none if this does not determine
    /// it.
    #[must_use]
    pub fn address_at(&self, interface: &str, to: IpAddr) -> Option<IpAddr> {
        let networks = self.global_networks(interface, to.is_ipv4());
        match networks.as_slice() {
            [only] => Some(only.ip()),
            several => {
                let near = several.iter().find(|network| network.contains(to));
                near.filter(|_| to.is_ipv4()).map(IpNetwork::ip)
            }
        }
    }

    /// Returns the source that MASQUERADE chooses at `lo`, for packets to `to` on the node itself.
    /// `lo` has no IPv4 address of global scope, so it is the first one of the oldest interface;
    /// IPv6 prefers `to` itself (`inet_select_addr`; rule 1 of `ipv6_get_saddr_eval`,
    /// net/ipv6/addrconf.c).
    #[must_use]
    pub fn address_by_loopback(&self, to: IpAddr) -> Option<IpAddr> {
        if to.is_ipv6() {
            return Some(to);
        }
        match &self.first_interface {
            Some(first) => {
                let networks = self.global_networks(first, true);
                networks.first().map(IpNetwork::ip)
            }
            None => Some(to),
        }
    }

    fn global_networks(&self, interface: &str, ipv4: bool) -> Vec<IpNetwork> {
        let link_local = |at: IpAddr| matches!(at, IpAddr::V6(v6) if v6.is_unicast_link_local());
        (self.node.interfaces.iter())
            .filter(|link| *link.name == *interface)
            .flat_map(|link| link.addresses.iter().copied())
            .filter(|at| at.is_ipv4() == ipv4 && !link_local(at.ip()))
            .collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default)]
    places: Vec<Place>,
    #[serde(default)]
    networks: Vec<Network>,
    #[serde(default)]
    bridge_calls_iptables: bool,
    first_interface: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    #[serde(deserialize_with = "network")]
    network: IpNetwork,
    at: At,
}

fn addresses<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    (texts.iter())
        .map(|text| match sources::convert::ip(text) {
            Parsed::Valid(address) => Ok(address),
            Parsed::Invalid(text) => Err(serde::de::Error::custom(format!("no address: {text}"))),
        })
        .collect()
}

fn network<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<IpNetwork, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn ports<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<(Protocol, u16)>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let wrong = |text: &str| serde::de::Error::custom(format!("not PROTOCOL/PORT: {text}"));
    (texts.iter())
        .map(|text| {
            let (protocol, port) = text.split_once('/').ok_or_else(|| wrong(text))?;
            let protocol = match protocol {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                "sctp" => Protocol::Sctp,
                _ => return Err(wrong(text)),
            };
            Ok((protocol, port.parse().map_err(|_| wrong(text))?))
        })
        .collect()
}
