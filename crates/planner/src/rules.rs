//! Rules of the packet filter for one family: all chains, rules and comments of kube-proxy's ipvs
//! mode (deviation D20), independent of the Services.

mod accept;
mod chains;
mod comments;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;
use ipvs::AddressFamily;
use model::config::Masquerade;
use model::names::Name;
use model::rules::{ChainKey, Match, Rule, Rules, Table, Target};

use chains::Writer;

/// Method to recognise traffic from this node's pods in one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LocalTraffic {
    /// Such traffic cannot be recognised.
    Unknown,
    /// By the source address.
    From(IpNetwork),
    /// By the input interface. A name that ends in `+` matches all interfaces with this prefix.
    Through(Name),
}

/// Addresses of this node at which node ports of one family are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodePortPlaces {
    /// All addresses except loopback and IPv6 link-local ones.
    Everywhere,
    /// Addresses inside these networks, except loopback ones.
    Within(Vec<IpNetwork>),
}

/// Returns all chains and rules of `family`.
///
/// The rules depend on the configuration and the Node object only, because they refer to sets for
/// the entries of Services. With `accepted`, packets that are served are accepted in INPUT.
///
/// The rules use `--random-fully`, which requires iptables 1.6.2 or later.
pub(crate) fn rules(
    family: AddressFamily,
    masquerade: Masquerade,
    local: &LocalTraffic,
    accepted: Option<&NodePortPlaces>,
) -> Rules {
    let writer = Writer {
        family,
        masquerade,
        local,
        accepted,
    };
    let chains = writer.chains().into_iter();
    Rules {
        chains: chains
            .map(|(table, chain, rules)| (ChainKey::new(table, chain), rules))
            .collect(),
        jumps: jumps(),
    }
}

/// Jumps from built-in chains into our chains.
///
/// kube-proxy inserts each jump at the start of its chain, so the last jump of its list comes
/// first. This is the resulting order on a fresh node.
pub(crate) const JUMPS: [(Table, &str, &str, &str); 9] = [
    (
        Table::Nat,
        "PREROUTING",
        "kubernetes service portals",
        "KUBE-SERVICES",
    ),
    (
        Table::Nat,
        "OUTPUT",
        "kubernetes service portals",
        "KUBE-SERVICES",
    ),
    (
        Table::Nat,
        "POSTROUTING",
        "kubernetes postrouting rules",
        "KUBE-POSTROUTING",
    ),
    (
        Table::Filter,
        "INPUT",
        "kubernetes ipvs access filter",
        "KUBE-IPVS-FILTER",
    ),
    (
        Table::Filter,
        "INPUT",
        "kube-proxy firewall rules",
        "KUBE-PROXY-FIREWALL",
    ),
    (
        Table::Filter,
        "INPUT",
        "kubernetes health check rules",
        "KUBE-NODE-PORT",
    ),
    (
        Table::Filter,
        "FORWARD",
        "kube-proxy firewall rules",
        "KUBE-PROXY-FIREWALL",
    ),
    (
        Table::Filter,
        "FORWARD",
        "kubernetes forwarding rules",
        "KUBE-FORWARD",
    ),
    (
        Table::Filter,
        "OUTPUT",
        "kubernetes ipvs access filter",
        "KUBE-IPVS-OUT-FILTER",
    ),
];

fn jumps() -> BTreeMap<ChainKey, Vec<Rule>> {
    let mut jumps: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (table, from, comment, to) in JUMPS {
        let rules = jumps.entry(ChainKey::new(table, from)).or_default();
        rules.push(Rule {
            matches: vec![Match::Comment(comment.into())],
            target: Target::Jump(to.into()),
        });
    }
    jumps
}
