//! What is around the tables: the node's interfaces, pods, clients, and who listens.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use ipvs::Protocol;
use model::{NodeState, Parsed};
use serde::Deserialize;

/// A node and what it can reach.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The node's interfaces, the dummy device left out.
    pub node: NodeState,
    /// Who is there.
    pub places: Vec<Place>,
    /// Networks that no place stands for, and where they are.
    pub networks: Vec<(IpNetwork, At)>,
    /// Whether packets between ports of a bridge pass iptables
    /// (`net.bridge.bridge-nf-call-iptables`).
    pub bridge_calls_iptables: bool,
}

/// Somebody with addresses.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The name.
    pub name: String,
    /// One or more addresses.
    #[serde(deserialize_with = "addresses")]
    pub addresses: Vec<IpAddr>,
    /// Where it is.
    pub at: At,
    /// The ports at which it listens, with their protocol: `tcp/8080`.
    #[serde(default, deserialize_with = "ports")]
    pub listens: Vec<(Protocol, u16)>,
}

/// Where somebody is, seen from the node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum At {
    /// On a bridge of the node.
    Bridge(String),
    /// Behind another node, which is behind this interface.
    Node(String),
    /// Behind this interface.
    Link(String),
    /// On the node itself. Without addresses it listens at all of them.
    Host,
}

impl At {
    /// The node's interface towards it.
    #[must_use]
    pub fn interface(&self) -> &str {
        match self {
            Self::Bridge(name) | Self::Node(name) | Self::Link(name) => name,
            Self::Host => "lo",
        }
    }
}

impl World {
    /// Reads a world: `places`, `networks` and `bridgeCallsIptables`.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
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
        })
    }

    /// The place called `name`.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<&Place> {
        self.places.iter().find(|place| place.name == name)
    }

    /// Whether an interface of the node has `address`.
    #[must_use]
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.node.addresses().any(|own| own == address) || address.is_loopback()
    }

    /// Where `address` is; nowhere means that no route leads there.
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

    /// How an address is called.
    #[must_use]
    pub fn name_of(&self, address: IpAddr) -> String {
        let place = self
            .places
            .iter()
            .find(|place| place.addresses.contains(&address));
        place.map_or_else(|| address.to_string(), |place| place.name.clone())
    }

    /// Who on the node listens at `address`.
    #[must_use]
    pub fn listener(&self, address: IpAddr, protocol: Protocol, port: u16) -> Option<&Place> {
        (self.places.iter())
            .filter(|place| place.at == At::Host && place.listens.contains(&(protocol, port)))
            .find(|place| place.addresses.is_empty() || place.addresses.contains(&address))
    }

    /// The node's address at `interface` in the family of `like`: what MASQUERADE chooses.
    #[must_use]
    pub fn address_at(&self, interface: &str, like: IpAddr) -> Option<IpAddr> {
        let link_local = |at: &IpAddr| matches!(at, IpAddr::V6(v6) if v6.is_unicast_link_local());
        (self.node.interfaces.iter())
            .filter(|link| *link.name == *interface)
            .flat_map(|link| link.addresses.iter().map(IpNetwork::ip))
            .find(|at| at.is_ipv4() == like.is_ipv4() && !link_local(at))
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
