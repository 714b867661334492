//! The packet filter's rules of one family: the chains, rules and comments of kube-proxy's ipvs mode,
//! all of them always (deviation D20), and what is ours.

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

/// The way traffic from this node's pods is recognised in one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LocalTraffic {
    /// Not at all.
    Unknown,
    /// By its source.
    From(IpNetwork),
    /// By the interface at which it comes in; a name that ends in `+` stands for all that begin so.
    Through(Name),
}

/// Addresses of this node at which node ports are accepted, of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodePortPlaces {
    /// All but loopback and IPv6 link-local ones.
    Everywhere,
    /// Addresses inside these networks, but loopback ones.
    Within(Vec<IpNetwork>),
}

/// Every chain and rule of `family`. They depend on the configuration and the Node object alone: what Services need is in
/// the sets that the rules look into. With `accepted` packets that are served are accepted in INPUT.
///
/// The filter is iptables 1.6.2 or later: `--random-fully`.
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

/// The ways into our chains. kube-proxy puts each before what is there, and so the last one of its
/// list comes first: this is the order in which they stand on a fresh node.
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
