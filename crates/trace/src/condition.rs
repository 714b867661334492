//! Conditions of rules.

use std::net::IpAddr;

use ipset::{Dimension, Entry, HashType, Header, Set, SetName};
use ipvs::Protocol;
use model::NodeTables;
use model::rules::{ConnectionState, Match};

use crate::filter::{Entered, Filter, Packet};
use crate::{SetTest, Unjudged, World};

/// A packet at a rule.
pub(crate) struct Condition<'a, 'b> {
    pub(crate) filter: &'b Filter<'a>,
    pub(crate) packet: &'b Packet,
}

impl<'a> Condition<'a, '_> {
    /// Returns true if the condition holds. Adds a tested set to `tests`.
    pub(crate) fn holds(
        &self,
        condition: &'a Match,
        tests: &mut Vec<SetTest<'a>>,
    ) -> Result<bool, Unjudged> {
        let packet = self.packet;
        Ok(match condition {
            Match::Comment(_) => true,
            Match::Source { negated, network } => network.contains(packet.source) != *negated,
            Match::Destination { negated, network } => {
                network.contains(packet.destination) != *negated
            }
            Match::InInterface { negated, name } => entered_by(name, packet)? != *negated,
            Match::Protocol(protocol) => *protocol == packet.protocol,
            Match::Mark {
                negated,
                value,
                mask,
            } => (packet.mark & mask == *value) != *negated,
            Match::Local { negated, end } => {
                let address = address(packet, *end);
                is_local(self.filter.tables, self.filter.world, address) != *negated
            }
            Match::PhysdevIsIn { negated } => packet.from_bridge_port != *negated,
            Match::ConnectionState(states) => {
                state(packet).is_some_and(|state| states.contains(&state))
            }
            Match::Set {
                negated,
                name,
                dimensions,
            } => {
                let test = self.in_set(name, dimensions)?;
                let found = test.found;
                tests.push(test);
                found != *negated
            }
            Match::Other(text) => {
                let known = of_virtual_server(text, packet);
                known.ok_or_else(|| Unjudged(format!("the condition {text}")))?
            }
        })
    }

    fn in_set(&self, name: &'a SetName, dimensions: &[Dimension]) -> Result<SetTest<'a>, Unjudged> {
        let set = self.filter.tables.sets.get(name);
        let set = set.ok_or_else(|| Unjudged(format!("the set {name}, which does not exist")))?;
        let wanted = element(set, dimensions, self.packet)?;
        let found = match wanted {
            Element::Entry(entry) => set.entries.get(&entry).copied(),
            Element::InNetwork(ip, protocol, port, third) => {
                let contains = |entry: &&Entry| match entry {
                    Entry::IpPortNet(a, b, c, network) => {
                        (*a, *b, *c) == (ip, protocol, port) && network.contains(third)
                    }
                    _ => false,
                };
                set.entries.iter().find(contains).copied()
            }
            Element::NoPort => None,
        };
        Ok(SetTest {
            set: name,
            element: match (found, wanted) {
                (Some(entry), _) | (None, Element::Entry(entry)) => entry.to_string(),
                (None, Element::InNetwork(ip, protocol, port, third)) => {
                    Entry::IpPortIp(ip, protocol, port, third).to_string()
                }
                (None, Element::NoPort) => self.packet.protocol.to_string(),
            },
            found: found.is_some(),
        })
    }
}

/// Returns the state of the packet in connection tracking; `None` for UNTRACKED and INVALID.
///
/// The answers to an untracked packet begin a flow of their own: those of TCP after the handshake,
/// which the tracker takes for the middle of a connection (`nf_conntrack_tcp_loose`, `tcp_new`,
/// net/netfilter/nf_conntrack_proto_tcp.c).
fn state(packet: &Packet) -> Option<ConnectionState> {
    match (packet.tracked, packet.answer) {
        (true, false) => Some(ConnectionState::New),
        (true, true) => Some(ConnectionState::Established),
        (false, true) if matches!(packet.protocol, Protocol::Tcp | Protocol::Udp) => {
            Some(ConnectionState::New)
        }
        (false, _) => None,
    }
}

fn address(packet: &Packet, end: Dimension) -> IpAddr {
    match end {
        Dimension::Src => packet.source,
        Dimension::Dst => packet.destination,
    }
}

fn entered_by(name: &str, packet: &Packet) -> Result<bool, Unjudged> {
    let by = match &packet.entered {
        Entered::No => "",
        Entered::By(interface) => interface,
        // Only packets of the node itself enter by `lo`.
        Entered::Unknown if name == "lo" => return Ok(false),
        Entered::Unknown => {
            let problem = "the interface by which the packet enters the node is not known";
            return Err(Unjudged(format!("the condition -i {name}: {problem}")));
        }
    };
    Ok(match name.strip_suffix('+') {
        Some(prefix) => by.starts_with(prefix),
        None => by == name,
    })
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

/// Returns true if the node accepts packets to `address`: an interface or the dummy device has it,
/// and routing delivers them.
pub(crate) fn is_local(tables: &NodeTables, world: &World, address: IpAddr) -> bool {
    let on_device = || tables.addresses.contains(&address) && !world.not_local.contains(&address);
    world.is_own(address) || on_device()
}

/// The element that a set is searched for.
#[derive(Clone, Copy)]
enum Element {
    Entry(Entry),
    /// An entry of `hash:ip,port,net` whose network contains the last address.
    InNetwork(IpAddr, ipset::Protocol, u16, IpAddr),
    /// Nothing: the set has ports, and the packet has none.
    NoPort,
}

fn element(set: &Set, dimensions: &[Dimension], packet: &Packet) -> Result<Element, Unjudged> {
    let address = |end: Dimension| address(packet, end);
    let port = |end: Dimension| match end {
        Dimension::Dst => Ok(packet.port),
        Dimension::Src => Err(Unjudged("a set of source ports".to_owned())),
    };
    let protocol = ipset::Protocol(packet.protocol.number());
    let kind = match set.header {
        Header::BitmapPort { .. } => None,
        Header::Unsupported => return Err(Unjudged("a set that is not supported".to_owned())),
        Header::Hash { hash_type, .. } => Some(hash_type),
    };
    // A rule with fewer dimensions than the type never matches, one with more is matched without
    // them (ip_set_test, net/netfilter/ipset/ip_set_core.c): either is a mistake.
    Ok(match (kind, dimensions) {
        // Only TCP and UDP: ip_set_get_ip_port, net/netfilter/ipset/ip_set_getport.c.
        (None, &[at]) => match (port(at)?, packet.protocol) {
            (port, Protocol::Tcp | Protocol::Udp) => Element::Entry(Entry::Port(port)),
            _ => Element::NoPort,
        },
        (Some(HashType::Ip), &[ip]) => Element::Entry(Entry::Ip(address(ip))),
        (Some(HashType::IpPort), &[ip, at]) => {
            Element::Entry(Entry::IpPort(address(ip), protocol, port(at)?))
        }
        (Some(HashType::IpPortIp), &[ip, at, third]) => Element::Entry(Entry::IpPortIp(
            address(ip),
            protocol,
            port(at)?,
            address(third),
        )),
        (Some(HashType::IpPortNet), &[ip, at, third]) => {
            Element::InNetwork(address(ip), protocol, port(at)?, address(third))
        }
        (_, other) => {
            let count = other.len();
            return Err(Unjudged(format!("{count} dimensions of {:?}", set.header)));
        }
    })
}
