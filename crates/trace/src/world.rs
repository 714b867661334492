//! The surroundings of the tables: the node's interfaces, pods, clients, and listening sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use ipvs::{AddressFamily, Protocol};
use model::NodeState;
use model::host_rules::HostRules;

/// A node and the places that it can reach.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The node's interfaces, except the dummy device.
    pub node: NodeState,
    /// The places.
    pub places: Vec<Place>,
    /// Networks without a place, and their location. The first network with the address applies.
    pub networks: Vec<(IpNetwork, At)>,
    /// True if packets between ports of a bridge pass iptables
    /// (`net.bridge.bridge-nf-call-iptables`).
    pub bridge_calls_iptables: bool,
    /// The oldest interface except `lo`, see [`World::address_by_loopback`]. `None`: the interface
    /// that has the address in question.
    pub first_interface: Option<String>,
    /// Sources that routing chooses for packets of the node itself, by destination. For others see
    /// [`World::address_at`].
    pub sources: BTreeMap<IpAddr, IpAddr>,
    /// Addresses without a local route: routing does not deliver packets to this node, whatever
    /// device has the address.
    pub not_local: BTreeSet<IpAddr>,
    /// Families whose packets the node does not forward (`net.ipv4.ip_forward`,
    /// `net.ipv6.conf.all.forwarding`).
    pub no_forwarding: BTreeSet<AddressFamily>,
    /// Rules of other programs, by family.
    pub host_rules: BTreeMap<AddressFamily, HostRules>,
    /// True if `places` contains every host, and every socket of the node. Otherwise the result of
    /// a packet to another one is [`Outcome::Delivered`](crate::Outcome::Delivered) or
    /// [`Outcome::Routed`](crate::Outcome::Routed).
    pub complete: bool,
    /// True if `places` contains every TCP and UDP socket of the node.
    pub sockets_known: bool,
    /// True if answers of pods on other nodes to clients outside pass this node. In a cluster they
    /// do not: the other node answers the client directly.
    pub answers_pass_node: bool,
}

/// A host or pod with addresses.
#[derive(Clone, Debug)]
pub struct Place {
    /// Name of the place.
    pub name: String,
    /// One or more addresses.
    pub addresses: Vec<IpAddr>,
    /// Location of the place.
    pub at: At,
    /// The ports at which it listens, with their protocol.
    pub listens: Vec<(Protocol, u16)>,
}

/// Location of a place, relative to the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// On a bridge of the node.
    Bridge(String),
    /// Behind another node.
    Node {
        /// The other node.
        name: String,
        /// The interface towards it, if known.
        interface: Option<String>,
    },
    /// Outside the cluster, behind this interface, if known.
    Link(Option<String>),
    /// A pod of the node behind this interface, if known, and on no bridge.
    Pod(Option<String>),
    /// Behind this interface, if known. It is not known whether the place is a pod of the node, on
    /// another node, or outside the cluster.
    Unknown(Option<String>),
    /// On the node itself. A place without addresses listens at all of them.
    Host,
}

impl At {
    /// Returns the node's interface towards this location, if known.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        match self {
            Self::Bridge(name) => Some(name),
            Self::Node { interface, .. }
            | Self::Link(interface)
            | Self::Pod(interface)
            | Self::Unknown(interface) => interface.as_deref(),
            Self::Host => Some("lo"),
        }
    }
}

impl World {
    /// Returns the place called `name`.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<&Place> {
        self.places.iter().find(|place| place.name == name)
    }

    /// Returns true if an interface of the node has `address`, and routing delivers its packets.
    #[must_use]
    pub fn is_own(&self, address: IpAddr) -> bool {
        let has = self.node.addresses().any(|own| own == address) || address.is_loopback();
        has && !self.not_local.contains(&address)
    }

    /// Returns the location of `address`, or none without a route.
    #[must_use]
    pub fn locate(&self, address: IpAddr) -> Option<At> {
        let at = |place: &&Place| place.addresses.contains(&address);
        let network = || (self.networks.iter()).find(|(network, _)| network.contains(address));
        let connected = || {
            let link = (self.node.interfaces.iter()).find(|link| {
                link.addresses
                    .iter()
                    .any(|network| network.contains(address))
            })?;
            Some(At::Link(Some(link.name.to_string())))
        };
        if self.is_own(address) {
            return Some(At::Host);
        }
        (self.places.iter().find(at).map(|place| place.at.clone()))
            .or_else(|| network().map(|(_, at)| at.clone()))
            .or_else(connected)
    }

    /// Returns the place on the node that listens at `address`.
    #[must_use]
    pub fn listener(&self, address: IpAddr, protocol: Protocol, port: u16) -> Option<&Place> {
        (self.places.iter())
            .filter(|place| place.at == At::Host && place.listens.contains(&(protocol, port)))
            .find(|place| place.addresses.is_empty() || place.addresses.contains(&address))
    }

    /// Returns the node's address at `interface` for packets to `to`, which MASQUERADE and a socket
    /// choose. If there are several IPv4 addresses it is the one in the network of `to`
    /// (`inet_select_addr`, net/ipv4/devinet.c, Linux 6.1). Returns none if this does not determine
    /// it.
    #[must_use]
    pub fn address_at(&self, interface: Option<&str>, to: IpAddr) -> Option<IpAddr> {
        let networks = self.global_networks(interface?, to.is_ipv4());
        match networks.as_slice() {
            [only] => Some(only.ip()),
            several => {
                let near = several.iter().find(|network| network.contains(to));
                near.filter(|_| to.is_ipv4()).map(IpNetwork::ip)
            }
        }
    }

    /// Returns the source that MASQUERADE chooses at `lo`, for packets to `to` on the node itself.
    /// `lo` has no IPv4 address of global scope, so it is the first one of the oldest interface;
    /// IPv6 prefers `to` itself (`inet_select_addr`; rule 1 of `ipv6_get_saddr_eval`,
    /// net/ipv6/addrconf.c).
    #[must_use]
    pub fn address_by_loopback(&self, to: IpAddr) -> Option<IpAddr> {
        if to.is_ipv6() {
            return Some(to);
        }
        match &self.first_interface {
            Some(first) => {
                let networks = self.global_networks(first, true);
                networks.first().map(IpNetwork::ip)
            }
            None => Some(to),
        }
    }

    fn global_networks(&self, interface: &str, ipv4: bool) -> Vec<IpNetwork> {
        let link_local = |at: IpAddr| matches!(at, IpAddr::V6(v6) if v6.is_unicast_link_local());
        (self.node.interfaces.iter())
            .filter(|link| *link.name == *interface)
            .flat_map(|link| link.addresses.iter().copied())
            .filter(|at| at.is_ipv4() == ipv4 && !link_local(at.ip()))
            .collect()
    }
}
