//! Worlds in TOML: the places around a recorded node, or around that of a scenario.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use ipvs::Protocol;
use model::{NodeState, Parsed};
use serde::Deserialize;
use trace::World;

/// Parses a world: `places`, `networks`, `bridgeCallsIptables` and `firstInterface`. The places
/// are complete, and all answers pass the node.
///
/// # Errors
///
/// A mistake in the text.
pub fn parse(text: &str, node: NodeState) -> Result<World, String> {
    let File {
        places,
        networks,
        bridge_calls_iptables,
        first_interface,
    } = toml::from_str(text).map_err(|error| error.to_string())?;
    let networks = networks.into_iter();
    Ok(World {
        node,
        places: places.into_iter().map(Into::into).collect(),
        networks: networks
            .map(|Network { network, at }| (network, at.into()))
            .collect(),
        bridge_calls_iptables,
        first_interface,
        complete: true,
        answers_pass_node: true,
        ..World::default()
    })
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
struct Place {
    name: String,
    #[serde(deserialize_with = "addresses")]
    addresses: Vec<IpAddr>,
    at: At,
    /// Ports with their protocol: `tcp/8080`.
    #[serde(default, deserialize_with = "ports")]
    listens: Vec<(Protocol, u16)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum At {
    Bridge(String),
    /// Behind the other node, which is behind this interface.
    Node(String),
    Link(String),
    Host,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    #[serde(deserialize_with = "network")]
    network: IpNetwork,
    at: At,
}

impl From<Place> for trace::Place {
    fn from(place: Place) -> Self {
        let Place {
            name,
            addresses,
            at,
            listens,
        } = place;
        Self {
            name,
            addresses,
            at: at.into(),
            listens,
        }
    }
}

impl From<At> for trace::At {
    fn from(at: At) -> Self {
        match at {
            At::Bridge(name) => Self::Bridge(name),
            At::Node(interface) => Self::Node {
                name: interface.clone(),
                interface: Some(interface),
            },
            At::Link(interface) => Self::Link(Some(interface)),
            At::Host => Self::Host,
        }
    }
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
