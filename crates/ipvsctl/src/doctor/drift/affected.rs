//! The Services that an entry of the tables belongs to.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipset::Entry;
use ipvs::VirtualServerKey;
use model::sets::Destination;
use model::tables::at_address;
use model::{Desired, ObjectName, Op};

/// Finds the Services of entries of the desired tables.
pub(super) struct Affected<'a> {
    desired: &'a Desired,
    /// Services by port of their virtual servers. Computed at the first use.
    by_port: OnceCell<BTreeMap<u16, BTreeSet<&'a ObjectName>>>,
    /// Services by address and port of their endpoints. Computed at the first use.
    by_endpoint: OnceCell<BTreeMap<(IpAddr, u16), BTreeSet<&'a ObjectName>>>,
}

impl<'a> Affected<'a> {
    pub(super) fn new(desired: &'a Desired) -> Self {
        Self {
            desired,
            by_port: OnceCell::new(),
            by_endpoint: OnceCell::new(),
        }
    }

    /// Returns the Services that the entry of `op` serves.
    pub(super) fn by(&self, op: &Op) -> BTreeSet<ObjectName> {
        match op {
            Op::AddVirtualServer(server) | Op::SetVirtualServer(server) => {
                self.of_server(&server.key)
            }
            Op::AddRealServer(key, _) | Op::SetRealServer(key, _) | Op::DelRealServer(key, _) => {
                self.of_server(key)
            }
            Op::AddAddress(address) => self.at(*address),
            Op::AddEntry(_, entry) => self.of_entry(entry),
            Op::CreateSet(name, _) => {
                let set = self.desired.tables.sets.get(name);
                let entries = set.into_iter().flat_map(|set| &set.entries);
                entries.flat_map(|entry| self.of_entry(entry)).collect()
            }
            Op::ReplaceSet(_, set) => {
                let entries = set.entries.iter();
                entries.flat_map(|entry| self.of_entry(entry)).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Returns the Services of a set entry.
    pub(super) fn of_entry(&self, entry: &Entry) -> BTreeSet<ObjectName> {
        match Destination::of(*entry) {
            Destination::Address(address) => self.at(address),
            Destination::Port(port) => self.at_port(port),
            Destination::VirtualServer(key) => {
                let services = self.of_server(&key);
                match (services.is_empty(), key) {
                    // The entries of KUBE-LOOP-BACK are endpoints.
                    (true, VirtualServerKey::Address { address, port, .. }) => {
                        self.of_endpoint(address, port)
                    }
                    _ => services,
                }
            }
        }
    }

    fn of_server(&self, key: &VirtualServerKey) -> BTreeSet<ObjectName> {
        let owner = self.desired.owners.virtual_servers.get(key);
        owner
            .map(|owner| owner.service.clone())
            .into_iter()
            .collect()
    }

    fn at(&self, address: IpAddr) -> BTreeSet<ObjectName> {
        let owners = at_address(&self.desired.owners.virtual_servers, address);
        owners.map(|(_, owner)| owner.service.clone()).collect()
    }

    fn at_port(&self, port: u16) -> BTreeSet<ObjectName> {
        let by_port = self.by_port.get_or_init(|| {
            let mut by_port: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
            for (service, check) in &self.desired.health_checks {
                by_port.entry(check.port.get()).or_default().insert(service);
            }
            for (key, owner) in &self.desired.owners.virtual_servers {
                // Node ports are at addresses of the node.
                if let VirtualServerKey::Address { address, port, .. } = key
                    && !self.desired.tables.addresses.contains(address)
                {
                    by_port.entry(*port).or_default().insert(&owner.service);
                }
            }
            by_port
        });
        let services = by_port.get(&port).into_iter().flatten();
        services.map(|service| (*service).clone()).collect()
    }

    fn of_endpoint(&self, address: IpAddr, port: u16) -> BTreeSet<ObjectName> {
        let by_endpoint = self.by_endpoint.get_or_init(|| {
            let mut by_endpoint: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
            for (key, owner) in &self.desired.owners.virtual_servers {
                let entry = self.desired.tables.virtual_servers.get(key);
                for real in entry
                    .into_iter()
                    .flat_map(|entry| entry.real_servers.keys())
                {
                    let at = (real.address, real.port);
                    by_endpoint.entry(at).or_default().insert(&owner.service);
                }
            }
            by_endpoint
        });
        let services = by_endpoint.get(&(address, port)).into_iter().flatten();
        services.map(|service| (*service).clone()).collect()
    }
}
