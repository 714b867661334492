//! Conditions of rules, evaluated for a packet whose path may be unknown.

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;
use ipset::{Dimension, Entry, Set, SetName};
use ipvs::Protocol;

use super::{HostPacket, HostPath};
use crate::names::Name;
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
    /// The result for the first packet of a connection, and for an answer.
    Direction {
        first: bool,
        answer: MatchResult,
    },
    Source {
        negated: bool,
        network: IpNetwork,
    },
    Destination {
        negated: bool,
        network: IpNetwork,
    },
    Entry {
        negated: bool,
        name: Name,
    },
    Exit {
        negated: bool,
        name: Name,
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
            Match::Source { negated, network } => Self::Source {
                negated: *negated,
                network: *network,
            },
            Match::InInterface { negated, name } => Self::Entry {
                negated: *negated,
                name: name.clone(),
            },
            Match::Local {
                negated,
                end: Dimension::Dst,
            } => Self::Constant(!negated),
            Match::ConnectionState(states) => Self::Direction {
                first: states.contains(&ConnectionState::New),
                answer: MatchResult::of(states.contains(&ConnectionState::Established)),
            },
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
            Match::Set { .. }
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
            ["-o", name] => Self::Exit {
                negated,
                name: (*name).into(),
            },
            // No Service has another protocol than those above.
            ["-p", _] | ["-f"] => Self::Constant(negated),
            ["-m", "tcp" | "udp" | "sctp", "--dport", ports] => {
                Self::ports(negated, std::iter::once(*ports))
            }
            ["-m", "multiport", "--dports", ports] => Self::ports(negated, ports.split(',')),
            ["-m", "tcp", "--tcp-flags", "FIN,SYN,RST,ACK", "SYN"] => Self::Direction {
                first: !negated,
                answer: MatchResult::of(negated),
            },
            ["-m", "tcp" | "udp" | "sctp"] => Self::Constant(true),
            ["-m", "icmp" | "icmp6", ..] => Self::Constant(false),
            ["-m", "conntrack", "--ctstate", states] | ["-m", "state", "--state", states] => {
                Self::states(negated, states)
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

    /// An answer is ESTABLISHED. It may also have been translated, which SNAT and DNAT match.
    fn states(negated: bool, states: &str) -> Self {
        let has = |wanted: &[&str]| states.split(',').any(|state| wanted.contains(&state));
        Self::Direction {
            first: has(&["NEW"]) != negated,
            answer: match (has(&["ESTABLISHED"]), has(&["SNAT", "DNAT"])) {
                (false, true) => MatchResult::Maybe,
                (established, _) => MatchResult::of(established != negated),
            },
        }
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
    pub(super) fn holds(
        &self,
        packet: HostPacket,
        path: &HostPath,
        sets: &BTreeMap<SetName, Set>,
    ) -> MatchResult {
        match self {
            Self::Constant(holds) => MatchResult::of(*holds),
            Self::Direction { answer, .. } if path.answer => *answer,
            Self::Direction { first, .. } => MatchResult::of(*first),
            Self::Source { negated, network } => match path.source {
                Some(source) => MatchResult::of(network.contains(source) != *negated),
                None => MatchResult::Maybe,
            },
            Self::Entry { negated, name } => entered_by(name, path, *negated),
            Self::Exit { negated, name } => match &path.exit {
                Some(exit) => MatchResult::of(is_named(exit, name) != *negated),
                None => MatchResult::Maybe,
            },
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

/// Evaluates `-i NAME`. An unknown interface is not `lo`: connections of the node to itself pass
/// IPVS before they arrive there.
fn entered_by(name: &str, path: &HostPath, negated: bool) -> MatchResult {
    let inside = match &path.entry {
        Some(entry) => is_named(entry, name),
        None if name == "lo" => false,
        None => return MatchResult::Maybe,
    };
    MatchResult::of(inside != negated)
}

/// Returns true if an interface has the name of a rule, in which a last `+` stands for any suffix.
fn is_named(interface: &str, name: &str) -> bool {
    match name.strip_suffix('+') {
        Some(prefix) => interface.starts_with(prefix),
        None => interface == name,
    }
}
