//! Surroundings of a node for a trace: where pods and clients are, and what listens.
//!
//! On a live node the kernel is asked for routes. Elsewhere interfaces, EndpointSlices and Nodes
//! decide, and what they leave open is an assumption, in words.

mod endpoint;
mod location;
mod packet;
mod sockets;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipvs::{AddressFamily, Protocol};
use kernel::linux::{IptablesBackend, Routes, bridges, host_rules, read_setting, routes};
use model::host_rules::HostRules;
use model::{Name, NodeTables};
use sources::config::Resolved;
use trace::{At, Place, Probe, World};

pub use self::endpoint::Endpoint;
use self::endpoint::endpoints;
use self::location::Location;
use self::packet::CLIENT;
pub use self::packet::{Packet, PacketError, Sender, destination};
use super::Input;
use crate::error::Error;

/// Facts that only the machine itself has.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Routes to the addresses of the trace.
    pub routes: Routes,
    /// Names of the bridges.
    pub bridges: BTreeSet<Name>,
    /// True if packets between ports of a bridge pass iptables, by family.
    pub bridge_calls: BTreeMap<AddressFamily, bool>,
    /// True if `net.ipv6.conf.all.forwarding` is 0.
    pub keeps_ipv6: bool,
    /// Sockets that receive new connections, with their protocol.
    pub sockets: BTreeSet<(Protocol, SocketAddr)>,
    /// Rules of other programs.
    pub host_rules: BTreeMap<AddressFamily, HostRules>,
}

impl Machine {
    /// Asks the kernel of this machine.
    ///
    /// # Errors
    ///
    /// The kernel cannot be read.
    pub fn read(addresses: &BTreeSet<IpAddr>, backend: IptablesBackend) -> Result<Self, Error> {
        let host_rules = host_rules(backend).map_err(Error::Observe)?;
        Ok(Self {
            host_rules,
            ..Self::without_rules(addresses)?
        })
    }

    fn without_rules(addresses: &BTreeSet<IpAddr>) -> Result<Self, Error> {
        let calls = |name| {
            let value = read_setting(name).map_err(Error::Observe)?;
            Ok(value.is_some_and(|value| value != "0"))
        };
        Ok(Self {
            routes: routes(addresses).map_err(Error::Observe)?,
            bridges: bridges().map_err(Error::Observe)?,
            bridge_calls: BTreeMap::from([
                (
                    AddressFamily::Ipv4,
                    calls("net.bridge.bridge-nf-call-iptables")?,
                ),
                (
                    AddressFamily::Ipv6,
                    calls("net.bridge.bridge-nf-call-ip6tables")?,
                ),
            ]),
            keeps_ipv6: read_setting("net.ipv6.conf.all.forwarding")
                .map_err(Error::Observe)?
                .is_some_and(|value| value == "0"),
            sockets: sockets::read().map_err(Error::Observe)?,
            host_rules: BTreeMap::new(),
        })
    }
}

/// A packet and its surroundings.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The surroundings.
    pub world: World,
    /// The packet.
    pub probe: Probe,
    /// The sender, as a noun.
    pub sender: String,
    /// Endpoints by address.
    pub endpoints: BTreeMap<IpAddr, Endpoint>,
    /// Assumptions of the trace, a sentence each.
    pub assumptions: Vec<String>,
}

/// Returns the packet's surroundings. `config` names the ports at which kube-ipvsd listens;
/// `machine` is `None` if the node is not this machine.
#[must_use]
pub fn scene(
    packet: &Packet,
    input: &Input,
    tables: &NodeTables,
    health_port: Option<u16>,
    machine: Option<&Machine>,
) -> Scene {
    let addresses = packet.addresses(tables);
    let endpoints = endpoints(input, tables, &addresses, packet);
    let location = Location::new(input, &endpoints, machine);
    let family = AddressFamily::of(packet.to.ip());
    let mut world = World {
        node: input.node.clone(),
        bridge_calls_iptables: machine
            .is_none_or(|machine| machine.bridge_calls.get(&family).copied().unwrap_or(false)),
        host_rules: machine
            .map(|machine| machine.host_rules.clone())
            .unwrap_or_default(),
        not_local: machine
            .map(|machine| not_local(&addresses, machine))
            .unwrap_or_default(),
        no_forwarding: no_forwarding(tables, machine),
        first_interface: machine.and_then(|machine| location.first_interface(machine)),
        sources: machine.map(sources).unwrap_or_default(),
        networks: location.networks(&addresses),
        places: own_sockets(input, health_port, machine),
        sockets_known: machine.is_some(),
        ..World::default()
    };
    let own: BTreeSet<IpAddr> = input.node.addresses().collect();
    // Saved tables may be older than the objects.
    let compares = machine.is_some() && input.cluster.service_names().next().is_some();
    if let Some(machine) = machine {
        let ports = endpoints.values().flat_map(|endpoint| &endpoint.ports);
        let ports = ports.map(|(_, port)| *port).chain([packet.to.port()]);
        world
            .places
            .extend(sockets::places(machine, &addresses, &ports.collect()));
    }
    for (address, endpoint) in &endpoints {
        let at = match own.contains(address) {
            // The sockets themselves are known.
            true if machine.is_some() => continue,
            true => Some(At::Host),
            false => location.of(*address),
        };
        world.places.extend(at.map(|at| {
            Place {
                name: address.to_string(),
                addresses: vec![*address],
                at,
                // It is not known what listens at an address that the objects do not have.
                listens: (endpoint.ports.iter().copied())
                    .filter(|_| endpoint.listed || !compares)
                    .collect(),
            }
        }));
    }
    let mut assumptions = assumptions(packet, input, &location, machine.is_some());
    let from = add_sender(&mut world, packet, &location, &mut assumptions);
    let sender = noun(packet, world.place(&from));
    Scene {
        probe: Probe {
            from,
            to: packet.to,
            protocol: packet.protocol,
        },
        world,
        sender,
        endpoints,
        assumptions,
    }
}

fn noun(packet: &Packet, place: Option<&Place>) -> String {
    let name = match &packet.sender {
        Sender::Host => return "host".to_owned(),
        Sender::Outside(Some(interface)) => return format!("outside, by {interface}"),
        Sender::Outside(None) => return "outside".to_owned(),
        Sender::Pod { name, .. } => name,
    };
    let pod = match name {
        Some(name) => format!("pod {name}"),
        None => "pod".to_owned(),
    };
    match (place.map(|place| &place.at), name) {
        (None | Some(At::Host), Some(_)) => format!("{pod}, by the host's own address"),
        (None | Some(At::Host), None) => "host, by its own address".to_owned(),
        (Some(At::Bridge(_) | At::Pod(_)), _) => format!("{pod} on this node"),
        (Some(At::Node { name, .. }), _) => format!("{pod} on node {name}"),
        (Some(At::Link(_) | At::Unknown(_)), _) => pod,
    }
}

/// Adds the sender to the places, and returns its name.
fn add_sender(
    world: &mut World,
    packet: &Packet,
    location: &Location,
    assumptions: &mut Vec<String>,
) -> String {
    let Some(source) = packet.source.filter(|source| !world.is_own(*source)) else {
        return "host".to_owned();
    };
    let at = match &packet.sender {
        Sender::Host => return "host".to_owned(),
        Sender::Outside(Some(interface)) => At::Link(Some(interface.to_string())),
        Sender::Outside(None) => At::Link(location.interface(source)),
        Sender::Pod { .. } => match location.of(source) {
            None | Some(At::Link(_) | At::Unknown(_)) => {
                assumptions.push(format!("{source} is a pod on this node"));
                location.pod(source)
            }
            Some(at) => at,
        },
    };
    let name = source.to_string();
    // A sender that is an endpoint is a place already.
    if let Some(place) = world.places.iter_mut().find(|place| place.name == name) {
        place.at = at;
    } else {
        world.places.push(Place {
            name: name.clone(),
            addresses: vec![source],
            at,
            listens: Vec::new(),
        });
    }
    name
}

/// Returns the sockets of kube-ipvsd. On a machine only those that are there.
fn own_sockets(input: &Input, health_port: Option<u16>, machine: Option<&Machine>) -> Vec<Place> {
    let socket = |name: String, port: u16| Place {
        name,
        addresses: Vec::new(),
        at: At::Host,
        listens: vec![(Protocol::Tcp, port)],
    };
    let checks = input.desired.health_checks.iter();
    checks
        .map(|(service, check)| {
            let name = format!("kube-ipvsd (health check of {service})");
            socket(name, check.port.get())
        })
        .chain(health_port.map(|port| socket("kube-ipvsd (healthz)".to_owned(), port)))
        .filter(|place| machine.is_none_or(|machine| has_socket(machine, place)))
        .collect()
}

fn has_socket(machine: &Machine, place: &Place) -> bool {
    let mut sockets = machine.sockets.iter();
    sockets.any(|(protocol, socket)| place.listens.contains(&(*protocol, socket.port())))
}

/// Returns the port at which kube-ipvsd serves `/healthz`.
#[must_use]
pub fn health_port(config: &Resolved) -> Option<u16> {
    (config.settings.healthz_bind_address).map(|address| address.port())
}

/// Returns the addresses to which routing does not deliver packets to this machine.
fn not_local(addresses: &BTreeSet<IpAddr>, machine: &Machine) -> BTreeSet<IpAddr> {
    let routes = &machine.routes.routes;
    let is_local = |to: &&IpAddr| routes.get(*to).is_some_and(|route| route.local);
    (addresses.iter().filter(|to| !is_local(to)).copied()).collect()
}

/// Returns the families whose packets the node does not forward. Saved tables have the setting of
/// IPv4 only.
fn no_forwarding(tables: &NodeTables, machine: Option<&Machine>) -> BTreeSet<AddressFamily> {
    let ipv4 = tables.sysctls.get("net.ipv4.ip_forward");
    let ipv4 = ipv4.is_some_and(|value| &**value == "0");
    let ipv6 = machine.is_some_and(|machine| machine.keeps_ipv6);
    [(AddressFamily::Ipv4, ipv4), (AddressFamily::Ipv6, ipv6)]
        .into_iter()
        .filter_map(|(family, is_off)| is_off.then_some(family))
        .collect()
}

fn sources(machine: &Machine) -> BTreeMap<IpAddr, IpAddr> {
    let routes = machine.routes.routes.iter();
    routes
        .filter_map(|(to, route)| Some((*to, route.source?)))
        .collect()
}

fn assumptions(packet: &Packet, input: &Input, location: &Location, live: bool) -> Vec<String> {
    let mut all = Vec::new();
    let rules = match live {
        true => "rules of other programs in nat",
        false => "rules of other programs",
    };
    all.push(format!("{rules} do not affect the packet"));
    if live {
        all.push("rp_filter and a full connection tracker do not drop the packet".to_owned());
    }
    all.push("pods and other endpoints answer at the ports of their EndpointSlices".to_owned());
    if let (Sender::Outside(_), Some(source)) = (&packet.sender, packet.source)
        && CLIENT.contains(&&*source.to_string())
    {
        all.push(format!(
            "the client is {source}; give its address with --source-address"
        ));
    }
    if live && packet.to.is_ipv4() {
        all.push("sockets at [::] accept IPv4 too".to_owned());
    }
    if !live {
        all.push("packets between pods of one bridge pass iptables".to_owned());
        match location.default_interface() {
            Some(interface) => all.push(format!("the default route is by {interface}")),
            None => all.push(format!(
                "the interfaces of node {} are not known; --node-state describes them",
                input.config.node_name
            )),
        }
    }
    all
}
