//! Locations of addresses around a node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use model::snapshot::Interface;
use model::{Name, NodeState};
use trace::At;

use super::{Endpoint, Machine};
use crate::input::Input;

/// Finds where addresses are.
pub(super) struct Location<'a> {
    input: &'a Input,
    endpoints: &'a BTreeMap<IpAddr, Endpoint>,
    machine: Option<&'a Machine>,
    default: Option<String>,
}

impl<'a> Location<'a> {
    pub(super) fn new(
        input: &'a Input,
        endpoints: &'a BTreeMap<IpAddr, Endpoint>,
        machine: Option<&'a Machine>,
    ) -> Self {
        Self {
            input,
            endpoints,
            machine,
            default: default_interface(input),
        }
    }

    /// Returns the interface of the default route, if the interfaces of the node tell it.
    pub(super) fn default_interface(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// Returns the location of an address that is not one of the node, or none without a route.
    pub(super) fn of(&self, address: IpAddr) -> Option<At> {
        if let Some(machine) = self.machine
            && !machine.routes.routes.contains_key(&address)
        {
            return None;
        }
        let interface = self.interface(address);
        let only_in_tables = (self.endpoints.get(&address)).is_some_and(|known| !known.listed);
        Some(match self.node_of(address) {
            Some(name) if *name == self.input.config.node_name => self.pod(address),
            Some(name) => At::Node {
                name: name.to_string(),
                interface,
            },
            None if self.is_bridged(address, interface.as_deref()) => self.pod(address),
            None if only_in_tables => At::Unknown(interface),
            None => At::Link(interface),
        })
    }

    /// Returns the location of `address` as that of a pod on this node.
    pub(super) fn pod(&self, address: IpAddr) -> At {
        match self.interface(address) {
            Some(name) if self.is_bridged(address, Some(&name)) => At::Bridge(name),
            other => At::Pod(other),
        }
    }

    /// Returns the interface towards `address`, if known.
    pub(super) fn interface(&self, address: IpAddr) -> Option<String> {
        if let Some(machine) = self.machine {
            let route = machine.routes.routes.get(&address);
            return route.map(|route| route.interface.to_string());
        }
        let connected = self.connected(address).map(|link| link.name.to_string());
        let here = || {
            self.node_of(address)
                .is_some_and(|name| *name == self.input.config.node_name)
        };
        connected.or_else(|| self.default.clone().filter(|_| !here()))
    }

    /// Returns networks for addresses without an endpoint.
    pub(super) fn networks(&self, addresses: &BTreeSet<IpAddr>) -> Vec<(IpNetwork, At)> {
        let located = |address: &IpAddr| Some(((*address).into(), self.of(*address)?));
        let known = addresses.iter().filter_map(located);
        let everything = [
            IpNetwork::new(Ipv4Addr::UNSPECIFIED.into(), 0),
            IpNetwork::new(Ipv6Addr::UNSPECIFIED.into(), 0),
        ];
        let everything = everything.into_iter().flatten();
        let default = everything.map(|network| (network, At::Link(self.default.clone())));
        known
            .chain(default.filter(|_| self.machine.is_none()))
            .collect()
    }

    /// Returns the oldest interface except `lo` that has an IPv4 address.
    pub(super) fn first_interface(&self, machine: &Machine) -> Option<String> {
        let has_address = |name: &&Name| {
            let mut interfaces = self.input.node.interfaces.iter();
            ***name != *"lo"
                && interfaces.any(|link| {
                    link.name == **name && link.addresses.iter().any(IpNetwork::is_ipv4)
                })
        };
        let first = machine.routes.interfaces.iter().find(has_address);
        first.map(ToString::to_string)
    }

    /// Returns true if `address` is on a bridge. Elsewhere than on the machine itself every
    /// interface is one whose network is a network of pods.
    fn is_bridged(&self, address: IpAddr, interface: Option<&str>) -> bool {
        match (self.machine, interface) {
            (Some(machine), Some(name)) => {
                machine.bridges.contains(name) && self.connected(address).is_some()
            }
            (None, Some(_)) => {
                let node = self.input.cluster.node(&self.input.config.node_name);
                let pods = node.is_some_and(|node| {
                    node.pod_cidrs
                        .iter()
                        .any(|network| network.contains(address))
                });
                let here = (self.endpoints.get(&address))
                    .and_then(|endpoint| endpoint.node.as_deref())
                    .is_some_and(|name| *name == *self.input.config.node_name);
                (pods || here) && self.connected(address).is_some()
            }
            (_, None) => false,
        }
    }

    /// Returns the node that `address` is on: that of its endpoint, the one whose pods have such
    /// addresses, or the one with this address.
    fn node_of(&self, address: IpAddr) -> Option<&Name> {
        let endpoint = self.endpoints.get(&address);
        let endpoint = endpoint.and_then(|endpoint| endpoint.node.as_ref());
        endpoint.or_else(|| {
            let mut nodes = self.input.cluster.nodes();
            let node = nodes.find(|node| {
                node.addresses.contains(&address)
                    || node
                        .pod_cidrs
                        .iter()
                        .any(|network| network.contains(address))
            });
            node.map(|node| &node.name)
        })
    }

    /// Returns the interface in whose network `address` is, the smallest one.
    fn connected(&self, address: IpAddr) -> Option<&Interface> {
        let interfaces = self.input.node.interfaces.iter();
        interfaces
            .filter_map(|link| {
                let networks = link.addresses.iter();
                let near = networks.filter(|network| network.contains(address));
                Some((near.map(IpNetwork::prefix).max()?, link))
            })
            .max_by_key(|(prefix, _)| *prefix)
            .map(|(_, link)| link)
    }
}

/// Returns the interface with the node's own address, or the only interface besides `lo`.
fn default_interface(input: &Input) -> Option<String> {
    let Input {
        cluster,
        config,
        node: NodeState { interfaces, .. },
        ..
    } = input;
    // The interfaces of a node of which only the object is known have no names.
    let mut known = interfaces
        .iter()
        .filter(|link| &*link.name != "status.addresses");
    let own = cluster.node(&config.node_name);
    let own = own
        .map(|node| node.addresses.as_slice())
        .unwrap_or_default();
    let has_own = |link: &&Interface| {
        let mut addresses = link.addresses.iter();
        addresses.any(|network| own.contains(&network.ip()))
    };
    let mut others = known.clone().filter(|link| &*link.name != "lo");
    let only = others.next().filter(|_| others.next().is_none());
    let chosen = known.find(has_own).or(only);
    chosen.map(|link| link.name.to_string())
}
