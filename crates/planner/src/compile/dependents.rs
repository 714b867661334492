//! Services whose tables depend on addresses of nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::cluster::Service;
use model::names::ObjectName;
use model::pack::{pack_map, pack_set};

/// Services by the node addresses that they depend on. Services without node ports, external and load-balancer addresses depend on
/// none and take no room here.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    node_ports: BTreeSet<ObjectName>,
    /// External and load-balancer addresses of each Service that has any, also those that are not served.
    addresses: BTreeMap<ObjectName, Box<[IpAddr]>>,
    /// The reverse.
    services: BTreeSet<(IpAddr, ObjectName)>,
}

impl Dependents {
    /// Replaces what is known of the Service `name`. `service` is none if it is gone.
    pub(super) fn set(&mut self, name: &ObjectName, service: Option<&Service>) {
        let has_node_ports = service
            .is_some_and(|service| service.ports.iter().any(|port| port.node_port.is_some()));
        if has_node_ports {
            self.node_ports.insert(name.clone());
        } else {
            self.node_ports.remove(name);
        }
        let addresses: Box<[IpAddr]> = service.into_iter().flat_map(asked_for).collect();
        let before = if addresses.is_empty() {
            self.addresses.remove(name)
        } else if self.addresses.get(name) == Some(&addresses) {
            return;
        } else {
            self.addresses.insert(name.clone(), addresses.clone())
        };
        for address in before.into_iter().flatten() {
            self.services.remove(&(address, name.clone()));
        }
        let asked_for = addresses.iter().map(|address| (*address, name.clone()));
        self.services.extend(asked_for);
    }

    /// Returns the Services with node ports.
    pub(super) fn with_node_ports(&self) -> impl Iterator<Item = &ObjectName> {
        self.node_ports.iter()
    }

    /// Returns the Services that ask for `address` from outside the cluster.
    pub(super) fn at(&self, address: IpAddr) -> impl Iterator<Item = &ObjectName> {
        let first = (address, ObjectName::default());
        (self.services.range(first..))
            .take_while(move |(at, _)| *at == address)
            .map(|(_, name)| name)
    }

    /// Packs the maps, once they are filled.
    pub(super) fn pack(&mut self) {
        pack_set(&mut self.node_ports);
        pack_map(&mut self.addresses);
        pack_set(&mut self.services);
    }
}

fn asked_for(service: &Service) -> impl Iterator<Item = IpAddr> {
    (service.external_ips.iter())
        .chain(&service.load_balancer_ips)
        .filter_map(|address| address.as_result().ok().copied())
}
