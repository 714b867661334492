//! Weights of endpoints.

use std::net::IpAddr;

use super::pattern::Pattern;
use super::value::{Given, Value, number, quoted, refuse_others, take_number};
use crate::names::Name;
use crate::safe_text::SafeText;
use ipnetwork::IpNetwork;

/// Greatest weight.
///
/// `wrr` looks for an endpoint by counting down from the greatest weight, in the interrupt that
/// received the packet (`ip_vs_wrr_schedule`, net/netfilter/ipvs/ip_vs_wrr.c, Linux 6.12): a Service
/// with great weights whose endpoints are full would keep a processor busy.
pub const MAX_WEIGHT: u32 = 256;

/// Longest pattern of a node's name (RFC 1123 subdomain).
const MAX_PATTERN: usize = 253;

/// The place of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its address.
    pub address: IpAddr,
    /// Its node, if known.
    pub node: Option<&'a Name>,
    /// Its zone, if known.
    pub zone: Option<&'a Name>,
}

/// Selects endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightRule {
    /// Endpoints in this network.
    Network(IpNetwork),
    /// Endpoints on the node with this name.
    Node(Name),
    /// Endpoints on nodes whose names match this pattern: `*` is any text, `?` any character.
    NodePattern(Pattern),
    /// Endpoints in this zone.
    Zone(Name),
}

impl WeightRule {
    /// Returns the precedence of the rule: the greatest one decides.
    fn rank(&self) -> (u8, usize) {
        match self {
            Self::Network(network) => (4, network.prefix().into()),
            Self::Node(_) => (3, 0),
            Self::NodePattern(pattern) => (2, pattern.length()),
            Self::Zone(_) => (1, 0),
        }
    }

    fn selects(&self, place: &Place<'_>) -> bool {
        match self {
            Self::Network(network) => network.contains(place.address),
            Self::Node(name) => place.node == Some(name),
            Self::NodePattern(pattern) => place.node.is_some_and(|node| pattern.matches(node)),
            Self::Zone(name) => place.zone == Some(name),
        }
    }

    fn read(key: &str) -> Result<Self, String> {
        // Names of endpoints are kept in the same form.
        let safe = |name| SafeText::new(name).into_name();
        match key.split_once('/') {
            Some(("zone", name)) if !name.is_empty() => Ok(Self::Zone(safe(name))),
            Some(("node", name)) if !name.is_empty() => {
                if name.len() > MAX_PATTERN {
                    return Err(format!("{} is too long for a node's name", quoted(name)));
                }
                Ok(match name.contains(['*', '?']) {
                    true => Self::NodePattern(Pattern::new(&safe(name))),
                    false => Self::Node(safe(name)),
                })
            }
            _ => key.parse().map(Self::Network).map_err(|_| {
                format!(
                    "{} is none of zone/NAME, node/NAME, an address, a network, default",
                    quoted(key)
                )
            }),
        }
    }

    fn write(&self) -> String {
        match self {
            Self::Network(network) => network.to_string(),
            Self::Node(name) => format!("node/{name}"),
            Self::NodePattern(pattern) => format!("node/{pattern}"),
            Self::Zone(name) => format!("zone/{name}"),
        }
    }
}

/// Weights of endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// Rules with their weights, the ones that decide first in front.
    rules: Vec<(WeightRule, u32)>,
    /// Weight of all other endpoints.
    default: u32,
}

impl Weights {
    /// Returns the weight of the endpoint at `place`.
    #[must_use]
    pub fn of(&self, place: &Place<'_>) -> u32 {
        (self.rules.iter())
            .find(|(rule, _)| rule.selects(place))
            .map_or(self.default, |(_, weight)| *weight)
    }

    /// Returns the greatest weight.
    pub(super) fn greatest(&self) -> u32 {
        let weights = self.rules.iter().map(|(_, weight)| *weight);
        weights.fold(self.default, u32::max)
    }
}

impl Value for Weights {
    fn form() -> String {
        format!(
            "`zone/NAME=WEIGHT`, `node/NAME=WEIGHT`, `node/PATTERN=WEIGHT`, `ADDRESS=WEIGHT`, \
             `NETWORK=WEIGHT`, `default=WEIGHT`; 0 to {MAX_WEIGHT}"
        )
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let mut pairs = given.pairs()?;
        let default = take_number(&mut pairs, "default", MAX_WEIGHT)?.unwrap_or(1);
        let mut rules = Vec::new();
        for (key, value) in pairs {
            let weight =
                number(value, 0, MAX_WEIGHT).map_err(|problem| format!("{key}: {problem}"))?;
            rules.push((WeightRule::read(key)?, weight));
        }
        rules.sort_by_key(|(rule, _)| std::cmp::Reverse(rule.rank()));
        Ok(Self { rules, default })
    }

    fn write(&self) -> String {
        let rules = (self.rules.iter()).map(|(rule, weight)| format!("{}={weight}", rule.write()));
        let default = format!("default={}", self.default);
        rules.chain([default]).collect::<Vec<_>>().join(", ")
    }
}

/// Factors of weights by the place of an endpoint relative to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locality {
    /// Factor on this node.
    pub node: u32,
    /// Factor on another node of the same zone.
    pub zone: u32,
    /// Factor elsewhere, and where the zone is unknown.
    pub other: u32,
}

impl Locality {
    /// Returns the factor of an endpoint at `place`, for the node `node` in `zone`.
    #[must_use]
    pub fn of(self, place: &Place<'_>, node: &Name, zone: Option<&Name>) -> u32 {
        if !node.is_empty() && place.node == Some(node) {
            self.node
        } else if zone.is_some() && place.zone == zone {
            self.zone
        } else {
            self.other
        }
    }

    /// Returns the greatest factor.
    pub(super) fn greatest(self) -> u32 {
        self.node.max(self.zone).max(self.other)
    }
}

impl Value for Locality {
    fn form() -> String {
        format!("`node=FACTOR`, `zone=FACTOR`, `other=FACTOR`; 0 to {MAX_WEIGHT}, 1 if absent")
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let mut pairs = given.pairs()?;
        let mut factor =
            |key| Ok::<_, String>(take_number(&mut pairs, key, MAX_WEIGHT)?.unwrap_or(1));
        let read = Self {
            node: factor("node")?,
            zone: factor("zone")?,
            other: factor("other")?,
        };
        refuse_others(&pairs, "node, zone, other")?;
        Ok(read)
    }

    fn write(&self) -> String {
        let Self { node, zone, other } = self;
        format!("node={node}, zone={zone}, other={other}")
    }
}
