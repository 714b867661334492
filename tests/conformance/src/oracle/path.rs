//! The path of a packet through the node.

use std::net::IpAddr;
use std::num::NonZeroU32;

use ipvs::{AddressFamily, Forwarding, Protocol, VirtualServerKey};
use model::NodeTables;
use model::rules::Table;
use model::tables::VirtualServerEntry;

use super::filter::{Fate, Filter, Packet, Unjudged, is_local};
use super::probe::{ICMP, Probe};
use super::{At, Outcome, Place, Verdict, World};

/// Returns the possible results of `probe`.
///
/// # Errors
///
/// The tables have a part that the oracle does not support, or the probe's source is unknown.
pub fn trace(tables: &NodeTables, world: &World, probe: &Probe) -> Result<Verdict, Unjudged> {
    let node = Node {
        tables,
        world,
        filter: Filter::new(tables, world, AddressFamily::of(probe.address())),
    };
    let from = match probe.from.as_str() {
        "host" => At::Host,
        name => match world.place(name) {
            Some(place) if place.addresses.contains(&probe.address()) => {
                return Ok(Verdict([within(place, probe)].into()));
            }
            Some(place) => place.at.clone(),
            None => return Err(Unjudged(format!("a packet of {name}, an unknown place"))),
        },
    };
    let packet = node.packet(probe, &from)?;
    let outcomes = node.enter(packet, &from)?;
    Ok(Verdict(outcomes.into_iter().collect()))
}

struct Node<'a> {
    tables: &'a NodeTables,
    world: &'a World,
    filter: Filter<'a>,
}

type Outcomes = Result<Vec<Outcome>, Unjudged>;

impl Node<'_> {
    fn packet(&self, probe: &Probe, from: &At) -> Result<Packet, Unjudged> {
        let to = probe.address();
        let same_family = |address: &&IpAddr| address.is_ipv4() == to.is_ipv4();
        let source = if *from == At::Host {
            self.own_source(to)
        } else {
            (self.world.place(&probe.from))
                .and_then(|place| place.addresses.iter().find(same_family).copied())
        };
        let source = source.ok_or_else(|| Unjudged(format!("a source address for {probe}")))?;
        let on_bridge = matches!(from, At::Bridge(_));
        Ok(Packet {
            source,
            destination: to,
            port: probe.to.port(),
            protocol: probe.protocol,
            mark: 0,
            in_interface: match from {
                At::Host => String::new(),
                other => other.interface().to_owned(),
            },
            from_bridge_port: on_bridge && self.world.bridge_calls_iptables,
            sent_by: None,
        })
    }

    /// Returns the source that routing chooses. For an address of the node, one on the dummy device
    /// included, it is that address itself, because the route in the table `local` prefers it.
    fn own_source(&self, to: IpAddr) -> Option<IpAddr> {
        if is_local(self.tables, self.world, to) {
            return Some(to);
        }
        match self.world.locate(to) {
            Some(at) => self.world.address_at(at.interface(), to),
            // No route: nothing is sent, with any source.
            None => Some(to),
        }
    }

    fn enter(&self, mut packet: Packet, from: &At) -> Outcomes {
        let ours = *from == At::Host;
        let local = is_local(self.tables, self.world, packet.destination);
        if ours && !local && self.world.locate(packet.destination).is_none() {
            // No route: connect() fails, and no hook sees a packet.
            return Ok(vec![Outcome::Unreachable("host".to_owned())]);
        }
        let chain = if ours { "OUTPUT" } else { "PREROUTING" };
        if let Some(outcome) = stopped(self.filter.hook(Table::Nat, chain, &mut packet)?) {
            return Ok(vec![outcome]);
        }
        if ours && let Some(entry) = self.virtual_server(&packet)? {
            return self.balance(entry, &packet, from);
        }
        if !local {
            return self.forward(packet, from);
        }
        if ours {
            return Ok(vec![self.by_loopback(packet)?]);
        }
        let hook = self.filter.hook(Table::Filter, "INPUT", &mut packet)?;
        if let Some(outcome) = stopped(hook) {
            return Ok(vec![outcome]);
        }
        match self.virtual_server(&packet)? {
            Some(entry) => self.balance(entry, &packet, from),
            None => Ok(vec![self.socket(&packet)]),
        }
    }

    /// Delivers a packet from the node to itself after IPVS: out by `lo` and in again.
    fn by_loopback(&self, mut packet: Packet) -> Result<Outcome, Unjudged> {
        let hook = self.filter.hook(Table::Filter, "OUTPUT", &mut packet)?;
        if let Some(outcome) = stopped_at_output(hook, packet.protocol) {
            return Ok(outcome);
        }
        packet.source = self.after_postrouting(&mut packet, &At::Host)?;
        "lo".clone_into(&mut packet.in_interface);
        let hook = self.filter.hook(Table::Filter, "INPUT", &mut packet)?;
        Ok(stopped(hook).unwrap_or_else(|| self.socket(&packet)))
    }

    /// Returns the virtual server that a packet matches: `ip_vs_service_find`,
    /// net/netfilter/ipvs/ip_vs_ctl.c.
    fn virtual_server(&self, packet: &Packet) -> Result<Option<&VirtualServerEntry>, Unjudged> {
        let key = |port| VirtualServerKey::Address {
            address: packet.destination,
            port,
            protocol: packet.protocol,
        };
        let find = |key| self.tables.virtual_servers.get(&key).map(AsRef::as_ref);
        let by_mark = NonZeroU32::new(packet.mark).and_then(|mark| {
            let family = AddressFamily::of(packet.destination);
            find(VirtualServerKey::Fwmark { family, mark })
        });
        // A proxy for Services does not write such a virtual server.
        if by_mark.is_some() {
            return Err(Unjudged(format!(
                "the virtual server of mark {}",
                packet.mark
            )));
        }
        let found = find(key(packet.port));
        if found.is_none() && find(key(0)).is_some() {
            let address = packet.destination;
            return Err(Unjudged(format!(
                "the virtual server of every port at {address}"
            )));
        }
        Ok(found)
    }

    /// Returns the result at each real server that gets new connections.
    fn balance(&self, entry: &VirtualServerEntry, packet: &Packet, from: &At) -> Outcomes {
        let mut outcomes = Vec::new();
        for real in entry.real_servers.values().filter(|real| real.weight > 0) {
            if real.forwarding != Forwarding::Masquerade {
                let how = format!("the real server {} by {:?}", real.key, real.forwarding);
                return Err(Unjudged(how));
            }
            let mut packet = packet.clone();
            packet.sent_by = Some((packet.destination, packet.port));
            (packet.destination, packet.port) = (real.key.address, real.key.port);
            outcomes.push(self.to_real_server(packet, from)?);
        }
        if outcomes.is_empty() {
            // ip_vs_leave: there is no real server.
            outcomes.push(Outcome::Unreachable("port".to_owned()));
        }
        Ok(outcomes)
    }

    fn to_real_server(&self, mut packet: Packet, from: &At) -> Result<Outcome, Unjudged> {
        let Some(at) = self.world.locate(packet.destination) else {
            return Ok(Outcome::Lost);
        };
        match (&at, from) {
            // The packet continues in the hook where IPVS found it (`ip_vs_nat_send_or_cont`).
            (At::Host, At::Host) => return self.by_loopback(packet),
            (At::Host, _) => return Ok(self.socket(&packet)),
            _ => packet.in_interface.clear(),
        }
        if self.filter.hook(Table::Filter, "OUTPUT", &mut packet)? != Fate::Accept {
            // The packet that IPVS sent is dropped, which the sender of the original packet cannot
            // detect.
            return Ok(Outcome::Lost);
        }
        let source = packet.source;
        packet.source = self.after_postrouting(&mut packet, &at)?;
        let kept = packet.source == source;
        if kept && self.answer_bypasses_node(from, &at) {
            return Ok(Outcome::Lost);
        }
        self.arrived(&packet)
    }

    /// Returns true if the answer reaches the client without passing this node, and therefore with
    /// the real server's address instead of the virtual one.
    fn answer_bypasses_node(&self, from: &At, to: &At) -> bool {
        match (from, to) {
            (At::Node(from), At::Node(to)) => from == to,
            (At::Bridge(from), At::Bridge(to)) => from == to && !self.world.bridge_calls_iptables,
            _ => false,
        }
    }

    fn forward(&self, mut packet: Packet, from: &At) -> Outcomes {
        let Some(at) = self.world.locate(packet.destination) else {
            return Ok(vec![Outcome::Unreachable("host".to_owned())]);
        };
        let chain = match from {
            At::Host => "OUTPUT",
            _ => "FORWARD",
        };
        let bridged = matches!(from, At::Bridge(_)) && *from == at;
        if bridged && !self.world.bridge_calls_iptables {
            return Ok(vec![self.arrived(&packet)?]);
        }
        let hook = self.filter.hook(Table::Filter, chain, &mut packet)?;
        let end = match from {
            At::Host => stopped_at_output(hook, packet.protocol),
            _ => stopped(hook),
        };
        if let Some(outcome) = end {
            return Ok(vec![outcome]);
        }
        packet.source = self.after_postrouting(&mut packet, &at)?;
        Ok(vec![self.arrived(&packet)?])
    }

    /// Returns the source after nat POSTROUTING on the way to `at`.
    fn after_postrouting(&self, packet: &mut Packet, at: &At) -> Result<IpAddr, Unjudged> {
        let fate = self.filter.hook(Table::Nat, "POSTROUTING", packet)?;
        if fate != Fate::Masquerade {
            return Ok(packet.source);
        }
        let address = match at {
            At::Host => self.world.address_by_loopback(packet.destination),
            at => self.world.address_at(at.interface(), packet.destination),
        };
        address.ok_or_else(|| Unjudged(format!("MASQUERADE at {}", at.interface())))
    }

    /// Returns the result at a place that is not on the node.
    fn arrived(&self, packet: &Packet) -> Result<Outcome, Unjudged> {
        let address = packet.destination;
        let place = (self.world.places.iter()).find(|place| place.addresses.contains(&address));
        let place = place.ok_or_else(|| Unjudged(format!("the place at {address}")))?;
        if packet.protocol == ICMP {
            return Ok(Outcome::Echo);
        }
        let listens = place.listens.contains(&(packet.protocol, packet.port));
        Ok(if listens {
            Outcome::Answered {
                by: place.name.clone(),
                seeing: packet.source,
            }
        } else {
            no_listener(packet.protocol)
        })
    }

    /// Returns the result at a socket of the node itself.
    fn socket(&self, packet: &Packet) -> Outcome {
        if packet.protocol == ICMP {
            return Outcome::Echo;
        }
        let (address, port) = (packet.destination, packet.port);
        match self.world.listener(address, packet.protocol, port) {
            Some(place) => Outcome::Answered {
                by: place.name.clone(),
                seeing: packet.source,
            },
            None => no_listener(packet.protocol),
        }
    }
}

/// Returns the result of a packet that never leaves its pod.
fn within(place: &Place, probe: &Probe) -> Outcome {
    if place.listens.contains(&(probe.protocol, probe.to.port())) {
        Outcome::Answered {
            by: place.name.clone(),
            seeing: probe.address(),
        }
    } else {
        no_listener(probe.protocol)
    }
}

/// Returns the answer of a host on which no program listens.
fn no_listener(protocol: Protocol) -> Outcome {
    match protocol {
        Protocol::Udp => Outcome::Unreachable("port".to_owned()),
        _ => Outcome::Refused,
    }
}

fn stopped(fate: Fate) -> Option<Outcome> {
    match fate {
        Fate::Accept | Fate::Masquerade => None,
        Fate::Drop => Some(Outcome::Lost),
        // icmp-port-unreachable, icmp6-port-unreachable.
        Fate::Reject(with) if with == "tcp-reset" => Some(Outcome::Refused),
        Fate::Reject(with) => {
            let what = with
                .trim_start_matches("icmp6-")
                .trim_start_matches("icmp-");
            Some(Outcome::Unreachable(
                what.trim_end_matches("-unreachable").to_owned(),
            ))
        }
    }
}

/// Returns the same as [`stopped`] for a packet that the node itself sends by a socket. A drop is
/// an error of the system call, EPERM. TCP and SCTP do not report it and retry (`tcp_connect`,
/// net/ipv4/tcp_output.c).
fn stopped_at_output(fate: Fate, protocol: Protocol) -> Option<Outcome> {
    match (fate, protocol) {
        (Fate::Drop, Protocol::Udp | ICMP) => Some(Outcome::NotPermitted),
        (fate, _) => stopped(fate),
    }
}
