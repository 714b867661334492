//! A node, and the ends of paths: places, sockets, unknown listeners.

use std::net::{IpAddr, SocketAddr};

use ipvs::{AddressFamily, Protocol};
use model::NodeTables;
use model::host_rules::HostRules;

use crate::condition::is_local;
use crate::filter::{Entered, Filter, Packet};
use crate::probe::ICMP;
use crate::walk::Walk;
use crate::{At, End, Outcome, Place, Probe, Step, Trace, Unjudged, World};

/// Traces `probe` through `tables`.
#[must_use]
pub fn trace<'a>(tables: &'a NodeTables, world: &'a World, probe: &Probe) -> Trace<'a> {
    let family = AddressFamily::of(probe.address());
    Node::new(tables, world, family).trace(probe)
}

/// A node, for packets of one family.
pub(crate) struct Node<'a> {
    pub(crate) tables: &'a NodeTables,
    pub(crate) world: &'a World,
    pub(crate) family: AddressFamily,
    pub(crate) filter: Filter<'a>,
    pub(crate) host_rules: Option<HostRules>,
}

impl<'a> Node<'a> {
    /// Returns the node with its own rules and those of other programs for packets of `family`.
    pub(crate) fn new(tables: &'a NodeTables, world: &'a World, family: AddressFamily) -> Self {
        let host_rules = world.host_rules.get(&family);
        let host_rules = host_rules.map(|host| match tables.rules.get(&family) {
            Some(ours) => host.beside(ours),
            None => host.clone(),
        });
        Self {
            tables,
            world,
            family,
            filter: Filter::new(tables, world, family),
            host_rules,
        }
    }

    fn trace(&self, probe: &Probe) -> Trace<'a> {
        let mut trace = Trace {
            probe: probe.clone(),
            source: None,
            steps: Vec::new(),
            end: End::Outcome(Outcome::Lost),
        };
        trace.end = match self.from(probe) {
            Ok(Sender::Place(place)) if place.addresses.contains(&probe.address()) => {
                trace.source = Some(probe.address());
                trace.steps.push(Step::WithinPod);
                End::Outcome(self.within(place, probe))
            }
            Ok(sender) => match self.packet(probe, &sender) {
                Ok(packet) => {
                    trace.source = Some(packet.source);
                    let mut walk = Walk::new(self, sender.at());
                    let end = walk.enter(packet);
                    trace.steps = walk.steps;
                    end.unwrap_or_else(End::Unjudged)
                }
                Err(unjudged) => End::Unjudged(unjudged),
            },
            Err(unjudged) => End::Unjudged(unjudged),
        };
        trace
    }

    fn from(&self, probe: &Probe) -> Result<Sender<'a>, Unjudged> {
        match probe.from.as_str() {
            "host" => Ok(Sender::Host),
            name => match self.world.place(name) {
                Some(place) => Ok(Sender::Place(place)),
                None => Err(Unjudged(format!("a packet of {name}, an unknown place"))),
            },
        }
    }

    fn packet(&self, probe: &Probe, sender: &Sender) -> Result<Packet, Unjudged> {
        let to = probe.address();
        let same_family = |address: &&IpAddr| address.is_ipv4() == to.is_ipv4();
        let at = sender.at();
        let source = match sender {
            Sender::Place(place) if at != At::Host => {
                place.addresses.iter().find(same_family).copied()
            }
            _ => self.own_source(to),
        };
        let source = source.ok_or_else(|| Unjudged(format!("a source address for {probe}")))?;
        Ok(Packet {
            source,
            destination: to,
            port: probe.to.port(),
            protocol: probe.protocol,
            mark: 0,
            entered: match &at {
                At::Host => Entered::No,
                other => (other.interface())
                    .map_or(Entered::Unknown, |name| Entered::By(name.to_owned())),
            },
            from_bridge_port: matches!(at, At::Bridge(_)) && self.world.bridge_calls_iptables,
            sent_by: None,
            tracked: true,
            answer: false,
        })
    }

    /// Returns the source that routing chooses. For an address of the node, one on the dummy device
    /// included, it is that address itself, because the route in the table `local` prefers it.
    pub(crate) fn own_source(&self, to: IpAddr) -> Option<IpAddr> {
        if is_local(self.tables, self.world, to) {
            return Some(to);
        }
        if let Some(source) = self.world.sources.get(&to) {
            return Some(*source);
        }
        match self.world.locate(to) {
            Some(at) => self.world.address_at(at.interface(), to),
            // No route: nothing is sent, with any source.
            None => Some(to),
        }
    }

    /// Returns the result of a packet that never leaves its pod.
    fn within(&self, place: &Place, probe: &Probe) -> Outcome {
        if place.listens.contains(&(probe.protocol, probe.to.port())) {
            Outcome::Answered {
                by: place.name.clone(),
                seeing: Some(probe.address()),
            }
        } else {
            self.elsewhere(probe.to, probe.protocol, false, Some(probe.address()))
        }
    }

    /// Returns the result at a place that is not on the node.
    pub(crate) fn arrived(
        &self,
        packet: &Packet,
        seeing: Option<IpAddr>,
    ) -> Result<Outcome, Unjudged> {
        let address = packet.destination;
        let to = SocketAddr::new(address, packet.port);
        let place = (self.world.places.iter()).find(|place| place.addresses.contains(&address));
        let Some(place) = place else {
            return match self.world.complete {
                true => Err(Unjudged(format!("the place at {address}"))),
                false => Ok(self.elsewhere(to, packet.protocol, false, seeing)),
            };
        };
        if packet.protocol == ICMP {
            return Ok(Outcome::Echo);
        }
        Ok(if place.listens.contains(&(packet.protocol, packet.port)) {
            Outcome::Answered {
                by: place.name.clone(),
                seeing,
            }
        } else {
            self.elsewhere(to, packet.protocol, false, seeing)
        })
    }

    /// Returns the result at a socket of the node itself.
    pub(crate) fn socket(&self, packet: &Packet) -> Outcome {
        if packet.protocol == ICMP {
            return Outcome::Echo;
        }
        let (address, port) = (packet.destination, packet.port);
        let seeing = Some(packet.source);
        match self.world.listener(address, packet.protocol, port) {
            Some(place) => Outcome::Answered {
                by: place.name.clone(),
                seeing,
            },
            None => {
                let to = SocketAddr::new(address, port);
                self.elsewhere(to, packet.protocol, true, seeing)
            }
        }
    }

    /// Returns the result where no listener is known.
    fn elsewhere(
        &self,
        to: SocketAddr,
        protocol: Protocol,
        on_node: bool,
        seeing: Option<IpAddr>,
    ) -> Outcome {
        let sockets_known = on_node
            && self.world.sockets_known
            && matches!(protocol, Protocol::Tcp | Protocol::Udp);
        match (self.world.complete || sockets_known, protocol) {
            (false, _) => Outcome::Delivered {
                to,
                on_node,
                seeing,
            },
            (true, Protocol::Udp) => Outcome::Unreachable("port".to_owned()),
            (true, _) => Outcome::Refused,
        }
    }
}

/// The sender of a packet.
enum Sender<'a> {
    Host,
    Place(&'a Place),
}

impl Sender<'_> {
    fn at(&self) -> At {
        match self {
            Self::Host => At::Host,
            Self::Place(place) => place.at.clone(),
        }
    }
}
