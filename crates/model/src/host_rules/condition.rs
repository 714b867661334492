//! Conditions of rules, evaluated for a packet of which only the destination is known.

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;
use ipset::{Dimension, Entry, Set, SetName};
use ipvs::Protocol;

use super::HostPacket;
use crate::rules::{ConnectionState, Match};

/// Result of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MatchResult {
    Yes,
    No,
    Maybe,
}

impl MatchResult {
    fn of(holds: bool) -> Self {
        match holds {
            true => Self::Yes,
            false => Self::No,
        }
    }
}

/// A condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// The result does not depend on the packet.
    Constant(bool),
    Destination {
        negated: bool,
        network: IpNetwork,
    },
    Protocol {
        negated: bool,
        protocol: Protocol,
    },
    /// The destination port is in one of these ranges, given by first and last port.
    Ports {
        negated: bool,
        ranges: Vec<(u16, u16)>,
    },
    Set {
        negated: bool,
        name: SetName,
        dimensions: usize,
    },
    Unknown,
}

impl Condition {
    /// Converts a condition of a parsed rule.
    pub(super) fn of(condition: &Match) -> Self {
        match condition {
            Match::Comment(_) => Self::Constant(true),
            Match::Destination { negated, network } => Self::Destination {
                negated: *negated,
                network: *network,
            },
            Match::Protocol(protocol) => Self::Protocol {
                negated: false,
                protocol: *protocol,
            },
            // Connections of the node to itself pass IPVS before they arrive at `lo`.
            Match::InInterface { negated, name } if &**name == "lo" => Self::Constant(*negated),
            Match::Local {
                negated,
                end: Dimension::Dst,
            } => Self::Constant(!negated),
            Match::ConnectionState(states) => {
                Self::Constant(states.contains(&ConnectionState::New))
            }
            Match::Set {
                negated,
                name,
                dimensions,
            } if dimensions.iter().all(|end| *end == Dimension::Dst) => Self::Set {
                negated: *negated,
                name: name.clone(),
                dimensions: dimensions.len(),
            },
            Match::Other(text) => Self::of_text(text),
            Match::Source { .. }
            | Match::InInterface { .. }
            | Match::Set { .. }
            | Match::Mark { .. }
            | Match::Local { .. }
            | Match::PhysdevIsIn { .. } => Self::Unknown,
        }
    }

    /// Parses a condition that kube-ipvsd never writes.
    fn of_text(text: &str) -> Self {
        let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
        let negations = words.iter().filter(|word| **word == "!").count();
        words.retain(|word| *word != "!");
        let negated = match negations {
            0 => false,
            1 => true,
            _ => return Self::Unknown,
        };
        match words.as_slice() {
            ["-p", "tcp"] => Self::protocol(negated, Protocol::Tcp),
            ["-p", "udp"] => Self::protocol(negated, Protocol::Udp),
            ["-p", "sctp"] => Self::protocol(negated, Protocol::Sctp),
            // No Service has another protocol than those above.
            ["-p", _] | ["-f"] => Self::Constant(negated),
            ["-m", "tcp" | "udp" | "sctp", "--dport", ports] => {
                Self::ports(negated, std::iter::once(*ports))
            }
            ["-m", "multiport", "--dports", ports] => Self::ports(negated, ports.split(',')),
            ["-m", "tcp", "--tcp-flags", "FIN,SYN,RST,ACK", "SYN"] => Self::Constant(!negated),
            ["-m", "tcp" | "udp" | "sctp"] => Self::Constant(true),
            ["-m", "icmp" | "icmp6", ..] => Self::Constant(false),
            ["-m", "conntrack", "--ctstate", states] | ["-m", "state", "--state", states] => {
                Self::Constant(states.split(',').any(|state| state == "NEW") != negated)
            }
            [
                "-m",
                "addrtype",
                "--dst-type",
                "MULTICAST" | "BROADCAST" | "ANYCAST",
            ] => Self::Constant(negated),
            _ => Self::Unknown,
        }
    }

    fn protocol(negated: bool, protocol: Protocol) -> Self {
        Self::Protocol { negated, protocol }
    }

    fn ports<'a>(negated: bool, ranges: impl Iterator<Item = &'a str>) -> Self {
        let range = |text: &str| {
            let (first, last) = text.split_once(':').unwrap_or((text, text));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        match ranges.map(range).collect() {
            Some(ranges) => Self::Ports { negated, ranges },
            None => Self::Unknown,
        }
    }

    /// Evaluates the condition for `packet`. `sets` has the contents of our sets.
    pub(super) fn holds(&self, packet: HostPacket, sets: &BTreeMap<SetName, Set>) -> MatchResult {
        match self {
            Self::Constant(holds) => MatchResult::of(*holds),
            Self::Destination { negated, network } => {
                MatchResult::of(network.contains(packet.address) != *negated)
            }
            Self::Protocol { negated, protocol } => {
                MatchResult::of((packet.protocol == *protocol) != *negated)
            }
            Self::Ports { negated, ranges } => {
                let mut ranges = ranges.iter();
                let inside = ranges.any(|(first, last)| (*first..=*last).contains(&packet.port));
                MatchResult::of(inside != *negated)
            }
            Self::Set {
                negated,
                name,
                dimensions,
            } => {
                let Some(set) = sets.get(name) else {
                    return MatchResult::Maybe;
                };
                let has = |entry| set.entries.contains(&entry);
                let HostPacket {
                    address,
                    port,
                    protocol,
                } = packet;
                let inside = match dimensions {
                    1 => has(Entry::Ip(address)) || has(Entry::Port(port)),
                    2 => {
                        let protocol = ipset::Protocol(protocol.number());
                        has(Entry::IpPort(address, protocol, port))
                    }
                    _ => return MatchResult::Maybe,
                };
                MatchResult::of(inside != *negated)
            }
            Self::Unknown => MatchResult::Maybe,
        }
    }
}
