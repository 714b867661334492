//! Packet-filter rules of one family, in the terms of iptables.
//!
//! Rules print as `iptables-save` 1.8.9 prints them, and parse back. [`Rules::parse`] reads the
//! output of `iptables-save` on a node and keeps our part. Rules of other programs never make it
//! fail.

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

/// Our part of one family's packet filter: our chains, and the rules in built-in chains that jump
/// to them. Built-in chains contain rules of other programs too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Every chain of ours with its rules in order. A chain may be empty.
    pub chains: BTreeMap<ChainKey, Vec<Rule>>,
    /// Our rules in built-in chains, in their order there.
    pub jumps: BTreeMap<ChainKey, Vec<Rule>>,
}

/// A chain, identified by its table and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainKey {
    /// The table.
    pub table: Table,
    /// The chain's name.
    pub chain: Name,
}

impl ChainKey {
    /// Returns the key of the chain `chain` of `table`.
    #[must_use]
    pub fn new(table: Table, chain: impl Into<Name>) -> Self {
        Self {
            table,
            chain: chain.into(),
        }
    }

    /// Returns true if the chain is one of [`OURS`].
    #[must_use]
    pub fn is_ours(&self) -> bool {
        OURS.contains(&(self.table, &self.chain))
    }
}

/// Chains that are ours. kube-proxy's ipvs mode uses the same ones, so that either can take over
/// from the other without a gap.
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

/// Tables that kube-ipvs uses, in the order in which `iptables-save` prints them here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// `nat`.
    Nat,
    /// `filter`.
    Filter,
}

impl Table {
    /// Both tables.
    pub const ALL: [Self; 2] = [Self::Nat, Self::Filter];

    /// Returns the built-in chains of the table, in the order in which `iptables-save` prints them.
    #[must_use]
    pub fn built_in(self) -> &'static [&'static str] {
        match self {
            Self::Nat => &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
            Self::Filter => &["INPUT", "FORWARD", "OUTPUT"],
        }
    }
}

/// One rule: if all of `matches` hold, `target` is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Conditions, in the order in which `iptables-save` prints them.
    pub matches: Vec<Match>,
    /// The action of the rule.
    pub target: Target,
}

impl Rule {
    /// Returns true if a condition uses the set `name`.
    #[must_use]
    pub fn uses_set(&self, name: &SetName) -> bool {
        (self.matches.iter())
            .any(|condition| matches!(condition, Match::Set { name: set, .. } if set == name))
    }
}

/// One condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// `[!] -s NETWORK`.
    Source {
        /// True if the condition is negated.
        negated: bool,
        /// The network.
        network: IpNetwork,
    },
    /// `[!] -d NETWORK`.
    Destination {
        /// True if the condition is negated.
        negated: bool,
        /// The network.
        network: IpNetwork,
    },
    /// `[!] -i NAME`; a name that ends in `+` stands for every name with that prefix.
    InInterface {
        /// True if the condition is negated.
        negated: bool,
        /// The name.
        name: Name,
    },
    /// `-p tcp`: TCP, UDP or SCTP by name, other protocols by number.
    Protocol(Protocol),
    /// `-m comment --comment "…"`: always holds.
    Comment(Name),
    /// `-m set [!] --match-set NAME dst,dst`.
    Set {
        /// True if the condition is negated.
        negated: bool,
        /// The set.
        name: SetName,
        /// The end of the packet, source or destination, that each dimension is compared with.
        dimensions: Vec<Dimension>,
    },
    /// `-m mark [!] --mark 0x4000/0x4000`; a mask with all bits set is not printed.
    Mark {
        /// True if the condition is negated.
        negated: bool,
        /// The value under the mask.
        value: u32,
        /// The mask.
        mask: u32,
    },
    /// `-m addrtype [!] --src-type LOCAL` or `--dst-type LOCAL`: an address of this node.
    Local {
        /// True if the condition is negated.
        negated: bool,
        /// The address of the packet that is compared.
        end: Dimension,
    },
    /// `-m physdev [!] --physdev-is-in`: the packet entered through a port of a bridge.
    PhysdevIsIn {
        /// True if the condition is negated.
        negated: bool,
    },
    /// `-m conntrack --ctstate …`.
    ConnectionState(Vec<ConnectionState>),
    /// A condition that kube-ipvs never writes, as found: `-m ipvs --vaddr 203.0.113.16`.
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

/// Action of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// No target: the packet is only counted. kube-ipvs never writes it.
    Nothing,
    /// `-j CHAIN`: traverse that chain, then continue. Also a target of an extension without
    /// options, which cannot be distinguished from a chain.
    Jump(Name),
    /// `-j RETURN`: leave this chain.
    Return,
    /// `-j ACCEPT`.
    Accept,
    /// `-j DROP`.
    Drop,
    /// `-j REJECT --reject-with …`: drop the packet and answer with that ICMP error.
    Reject(Name),
    /// `-j MARK --set-xmark VALUE/MASK`: clear the bits of the mask, then xor the value.
    Mark {
        /// The value.
        value: u32,
        /// The mask.
        mask: u32,
    },
    /// `-j MASQUERADE`: replace the source by an address of the output interface.
    Masquerade {
        /// `--random-fully`.
        random_fully: bool,
    },
    /// A target that kube-ipvs never writes, as found: `-j LOG --log-prefix x`, `-g CHAIN`.
    Other(Name),
}
