//! Packet-filter rules of one family, in the words of iptables.
//!
//! Rules print as `iptables-save` 1.8.9 prints them and parse back. [`Rules::parse`] takes what
//! `iptables-save` printed on a node and keeps what is ours: whatever others wrote never makes it fail.

mod parse;
mod patch;
mod print;
mod save;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;
use ipset::{Dimension, SetName};
use ipvs::Protocol;

use crate::names::Name;

pub(crate) use parse::is_open;
pub use patch::RulesPatch;
pub use save::RulesError;

/// Our part of the packet filter of one family: chains of ours, whole, and jumps to them from the built-in chains, which hold
/// rules of others too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Every chain of ours with its rules in order; an empty chain counts.
    pub chains: BTreeMap<ChainKey, Vec<Rule>>,
    /// Rules of ours in built-in chains, in the order in which they stand there.
    pub jumps: BTreeMap<ChainKey, Vec<Rule>>,
}

/// A chain by its table and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainKey {
    /// The table.
    pub table: Table,
    /// The chain's name.
    pub chain: Name,
}

impl ChainKey {
    /// The chain `chain` of `table`.
    #[must_use]
    pub fn new(table: Table, chain: impl Into<Name>) -> Self {
        Self {
            table,
            chain: chain.into(),
        }
    }

    /// Returns true if the chain is kube-proxy's, and so ours.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        OURS.contains(&(self.table, &self.chain))
    }
}

/// The chains that are ours: those of kube-proxy's ipvs mode, by which a change between the two is
/// seamless.
pub const OURS: [(Table, &str); 11] = [
    (Table::Nat, "KUBE-LOAD-BALANCER"),
    (Table::Nat, "KUBE-MARK-MASQ"),
    (Table::Nat, "KUBE-NODE-PORT"),
    (Table::Nat, "KUBE-POSTROUTING"),
    (Table::Nat, "KUBE-SERVICES"),
    (Table::Filter, "KUBE-FORWARD"),
    (Table::Filter, "KUBE-IPVS-FILTER"),
    (Table::Filter, "KUBE-IPVS-OUT-FILTER"),
    (Table::Filter, "KUBE-NODE-PORT"),
    (Table::Filter, "KUBE-PROXY-FIREWALL"),
    (Table::Filter, "KUBE-SOURCE-RANGES-FIREWALL"),
];

/// The tables that we use, in the order in which `iptables-save` prints them here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// `nat`.
    Nat,
    /// `filter`.
    Filter,
}

impl Table {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Nat, Self::Filter];

    /// The chains that the kernel has in this table, in the order in which `iptables-save` prints them.
    #[must_use]
    pub fn built_in(self) -> &'static [&'static str] {
        match self {
            Self::Nat => &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
            Self::Filter => &["INPUT", "FORWARD", "OUTPUT"],
        }
    }
}

/// One rule: all of `matches` must hold for `target` to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Conditions, in the order in which `iptables-save` prints them.
    pub matches: Vec<Match>,
    /// The action of the rule.
    pub target: Target,
}

impl Rule {
    /// Returns true if it looks into the set `name`.
    #[must_use]
    pub fn looks_into(&self, name: &SetName) -> bool {
        (self.matches.iter())
            .any(|condition| matches!(condition, Match::Set { name: set, .. } if set == name))
    }
}

/// One condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// `[!] -s NETWORK`.
    Source {
        /// True if it must not match.
        negated: bool,
        /// The network.
        network: IpNetwork,
    },
    /// `[!] -d NETWORK`.
    Destination {
        /// True if it must not match.
        negated: bool,
        /// The network.
        network: IpNetwork,
    },
    /// `[!] -i NAME`; a name that ends in `+` stands for every name that begins so.
    InInterface {
        /// True if it must not match.
        negated: bool,
        /// The name.
        name: Name,
    },
    /// `-p tcp`: TCP, UDP or SCTP; others by their number.
    Protocol(Protocol),
    /// `-m comment --comment "…"`: always holds.
    Comment(Name),
    /// `-m set [!] --match-set NAME dst,dst`.
    Set {
        /// True if it must not match.
        negated: bool,
        /// The set.
        name: SetName,
        /// The end of the packet that each dimension is compared with.
        dimensions: Vec<Dimension>,
    },
    /// `-m mark [!] --mark 0x4000/0x4000`; the mask is not printed where it is all ones.
    Mark {
        /// True if it must not match.
        negated: bool,
        /// The value under the mask.
        value: u32,
        /// The mask.
        mask: u32,
    },
    /// `-m addrtype [!] --src-type LOCAL` or `--dst-type LOCAL`: an address of this node.
    Local {
        /// True if it must not match.
        negated: bool,
        /// The address that is compared.
        end: Dimension,
    },
    /// `-m physdev [!] --physdev-is-in`: it came in by a port of a bridge.
    PhysdevIsIn {
        /// True if it must not match.
        negated: bool,
    },
    /// `-m conntrack --ctstate …`.
    ConnectionState(Vec<ConnectionState>),
    /// A condition that we never write, as it was found: `-m ipvs --vaddr 203.0.113.16`.
    Other(Name),
}

/// States of `-m conntrack --ctstate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionState {
    /// `NEW`.
    New,
    /// `RELATED`.
    Related,
    /// `ESTABLISHED`.
    Established,
}

/// The action of a rule on a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// No target: the packet is only counted. We never write it.
    Nothing,
    /// `-j CHAIN`: go through that chain, then on. Also a target of an extension without options, which
    /// nothing tells from a chain.
    Jump(Name),
    /// `-j RETURN`: leave this chain.
    Return,
    /// `-j ACCEPT`.
    Accept,
    /// `-j DROP`.
    Drop,
    /// `-j REJECT --reject-with …`: drop it and answer with that ICMP error.
    Reject(Name),
    /// `-j MARK --set-xmark VALUE/MASK`: the bits of the mask are cleared, then the value is xored in.
    Mark {
        /// The value.
        value: u32,
        /// The mask.
        mask: u32,
    },
    /// `-j MASQUERADE`: the source becomes an address of the way out.
    Masquerade {
        /// `--random-fully`.
        random_fully: bool,
    },
    /// A target that we never write, as it was found: `-j LOG --log-prefix x`, `-g CHAIN`.
    Other(Name),
}
