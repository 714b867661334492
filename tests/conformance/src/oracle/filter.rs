//! The path of a packet through chains.

use std::net::IpAddr;

use ipset::{Dimension, Entry, HashType, Header, Set};
use ipvs::{AddressFamily, Protocol};
use model::NodeTables;
use model::rules::{ChainKey, ConnectionState, Match, Rule, Rules, Table, Target};

use super::World;

/// A part of the tables that the oracle does not support. It does not guess.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot judge {0}")]
pub struct Unjudged(pub String);

/// The first packet of a connection on its path.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) mark: u32,
    /// Empty for a packet of the node itself.
    pub(super) in_interface: String,
    pub(super) from_bridge_port: bool,
    /// Address and port of the virtual server by which IPVS sent the packet.
    pub(super) sent_by: Option<(IpAddr, u16)>,
}

/// Result of a table for a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Accept,
    Drop,
    Reject(String),
    Masquerade,
}

/// The rules of one family, and the sets that they use.
pub(super) struct Filter<'a> {
    tables: &'a NodeTables,
    world: &'a World,
    rules: Option<&'a Rules>,
}

impl<'a> Filter<'a> {
    pub(super) fn new(tables: &'a NodeTables, world: &'a World, family: AddressFamily) -> Self {
        Self {
            tables,
            world,
            rules: tables.rules.get(&family),
        }
    }

    /// Passes `packet` through a built-in chain, whose policy is ACCEPT.
    pub(super) fn hook(
        &self,
        table: Table,
        chain: &str,
        packet: &mut Packet,
    ) -> Result<Fate, Unjudged> {
        let key = ChainKey {
            table,
            chain: chain.into(),
        };
        let jumps = self.rules.and_then(|rules| rules.jumps.get(&key));
        let fate = self.chain(table, jumps.map_or(&[], Vec::as_slice), packet)?;
        Ok(fate.unwrap_or(Fate::Accept))
    }

    /// Returns `None` if the packet reaches the end of the chain or RETURN.
    fn chain(
        &self,
        table: Table,
        rules: &[Rule],
        packet: &mut Packet,
    ) -> Result<Option<Fate>, Unjudged> {
        for rule in rules {
            if !self.matches(rule, packet)? {
                continue;
            }
            let fate = match &rule.target {
                Target::Accept => Some(Fate::Accept),
                Target::Drop => Some(Fate::Drop),
                Target::Reject(with) => Some(Fate::Reject(with.to_string())),
                Target::Masquerade { .. } => Some(Fate::Masquerade),
                Target::Return => return Ok(None),
                Target::Mark { value, mask } => {
                    packet.mark = (packet.mark & !mask) ^ value;
                    None
                }
                Target::Nothing => None,
                Target::Jump(chain) => self.jump(table, chain, packet)?,
                Target::Other(text) => return Err(Unjudged(format!("the target {text}"))),
            };
            if fate.is_some() {
                return Ok(fate);
            }
        }
        Ok(None)
    }

    fn jump(
        &self,
        table: Table,
        chain: &str,
        packet: &mut Packet,
    ) -> Result<Option<Fate>, Unjudged> {
        let key = ChainKey {
            table,
            chain: chain.into(),
        };
        let rules = self.rules.and_then(|rules| rules.chains.get(&key));
        let rules =
            rules.ok_or_else(|| Unjudged(format!("a jump to {chain}, which does not exist")))?;
        self.chain(table, rules, packet)
    }

    fn matches(&self, rule: &Rule, packet: &Packet) -> Result<bool, Unjudged> {
        for condition in &rule.matches {
            if !self.holds(condition, packet)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn holds(&self, condition: &Match, packet: &Packet) -> Result<bool, Unjudged> {
        Ok(match condition {
            Match::Comment(_) => true,
            Match::Source { negated, network } => network.contains(packet.source) != *negated,
            Match::Destination { negated, network } => {
                network.contains(packet.destination) != *negated
            }
            Match::InInterface { negated, name } => {
                let same = match name.strip_suffix('+') {
                    Some(prefix) => packet.in_interface.starts_with(prefix),
                    None => *packet.in_interface == **name,
                };
                same != *negated
            }
            Match::Protocol(protocol) => *protocol == packet.protocol,
            Match::Mark {
                negated,
                value,
                mask,
            } => (packet.mark & mask == *value) != *negated,
            Match::Local { negated, end } => {
                let address = match end {
                    Dimension::Src => packet.source,
                    Dimension::Dst => packet.destination,
                };
                is_local(self.tables, self.world, address) != *negated
            }
            Match::PhysdevIsIn { negated } => packet.from_bridge_port != *negated,
            Match::ConnectionState(states) => states.contains(&ConnectionState::New),
            Match::Set {
                negated,
                name,
                dimensions,
            } => {
                let set = self.tables.sets.get(name);
                let set =
                    set.ok_or_else(|| Unjudged(format!("the set {name}, which does not exist")))?;
                in_set(set, dimensions, packet)? != *negated
            }
            Match::Other(text) => {
                let known = of_virtual_server(text, packet);
                known.ok_or_else(|| Unjudged(format!("the condition {text}")))?
            }
        })
    }
}

/// Evaluates `-m ipvs --vproto 6 --vaddr 203.0.113.16 --vport 80`, in any order: true if IPVS sent
/// the packet for that virtual server (net/netfilter/xt_ipvs.c). Returns `None` for any other text.
fn of_virtual_server(text: &str, packet: &Packet) -> Option<bool> {
    let mut words = text.strip_prefix("-m ipvs")?.split_whitespace();
    let (mut protocol, mut address, mut port) = (None, None, None);
    while let Some(option) = words.next() {
        let value = words.next()?;
        match option {
            "--vproto" => protocol = Some(value.parse::<u8>().ok()?),
            "--vaddr" => address = Some(value.parse::<IpAddr>().ok()?),
            "--vport" => port = Some(value.parse::<u16>().ok()?),
            _ => return None,
        }
    }
    let wanted = (protocol?, (address?, port?));
    Some(
        packet
            .sent_by
            .is_some_and(|by| (packet.protocol.number(), by) == wanted),
    )
}

/// Returns true if the node accepts packets to `address`: an interface or the dummy device has it.
pub(super) fn is_local(tables: &NodeTables, world: &World, address: IpAddr) -> bool {
    world.is_own(address) || tables.addresses.contains(&address)
}

fn in_set(set: &Set, dimensions: &[Dimension], packet: &Packet) -> Result<bool, Unjudged> {
    let address = |end: Dimension| match end {
        Dimension::Src => packet.source,
        Dimension::Dst => packet.destination,
    };
    let port = |end: Dimension| match end {
        Dimension::Dst => Ok(packet.port),
        Dimension::Src => Err(Unjudged("a set of source ports".to_owned())),
    };
    let protocol = ipset::Protocol(packet.protocol.number());
    let has = |entry: Entry| set.entries.contains(&entry);
    let kind = match set.header {
        Header::BitmapPort { .. } => None,
        Header::Unsupported => return Err(Unjudged("a set that is not supported".to_owned())),
        Header::Hash { hash_type, .. } => Some(hash_type),
    };
    // A rule with fewer dimensions than the type never matches, one with more is matched without
    // them (ip_set_test, net/netfilter/ipset/ip_set_core.c): either is a mistake.
    Ok(match (kind, dimensions) {
        // Only TCP and UDP: ip_set_get_ip_port, net/netfilter/ipset/ip_set_getport.c.
        (None, &[at]) => {
            matches!(packet.protocol, Protocol::Tcp | Protocol::Udp) && has(Entry::Port(port(at)?))
        }
        (Some(HashType::Ip), &[ip]) => has(Entry::Ip(address(ip))),
        (Some(HashType::IpPort), &[ip, at]) => has(Entry::IpPort(address(ip), protocol, port(at)?)),
        (Some(HashType::IpPortIp), &[ip, at, third]) => {
            let third = address(third);
            has(Entry::IpPortIp(address(ip), protocol, port(at)?, third))
        }
        (Some(HashType::IpPortNet), &[ip, at, third]) => {
            let (ip, at, third) = (address(ip), port(at)?, address(third));
            set.entries.iter().any(|entry| match entry {
                Entry::IpPortNet(a, b, c, network) => {
                    (*a, *b, *c) == (ip, protocol, at) && network.contains(third)
                }
                _ => false,
            })
        }
        (_, other) => {
            let count = other.len();
            return Err(Unjudged(format!("{count} dimensions of {:?}", set.header)));
        }
    })
}
