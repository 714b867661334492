//! The contents of a node's kernel, as they are or should be: desired and live are this one type.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipset::{Entry, Set, SetName};
use ipvs::{
    AddressFamily, Protocol, RealServer, RealServerKey, Timeouts, VirtualServer, VirtualServerKey,
};
use litemap::LiteMap;

use crate::cluster::PolicyScope;
use crate::compact::{pack_map, pack_set};
use crate::frontend::HealthCheck;
use crate::names::{Name, ObjectName, ServicePortName};
use crate::rules::Rules;

/// The tables of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTables {
    /// The IPVS table.
    pub virtual_servers: BTreeMap<VirtualServerKey, Arc<VirtualServerEntry>>,
    /// Host addresses (/32 and /128) on the dummy device `kube-ipvs0`.
    pub addresses: BTreeSet<IpAddr>,
    /// The sets that the rules look into.
    pub sets: BTreeMap<SetName, Set>,
    /// The packet filter's rules, by family.
    pub rules: BTreeMap<AddressFamily, Rules>,
    /// Kernel settings by their name under `/proc/sys`, dots between its parts.
    pub sysctls: BTreeMap<Name, Name>,
    /// The idle timeouts of IPVS' connections. In desired tables zero means: as they are, as it does to
    /// the kernel (`ip_vs_set_timeout`, net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1).
    pub timeouts: Timeouts,
}

/// A virtual server and its real servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualServerEntry {
    /// The virtual server's settings.
    pub server: VirtualServer,
    /// Its real servers; `RealServer::key` equals the map's key.
    pub real_servers: RealServers,
}

/// The real servers of one virtual server, ordered by their keys. In one piece: most are few, and a `BTreeMap` takes room for
/// eleven.
pub type RealServers = LiteMap<RealServerKey, RealServer>;

/// Collects real servers in no more room than they need.
pub fn collect_real_servers(real_servers: impl IntoIterator<Item = RealServer>) -> RealServers {
    let real_servers = real_servers.into_iter().map(|real| (real.key, real));
    let mut sorted = real_servers.collect::<RealServers>().into_tuple_vec();
    sorted.shrink_to_fit();
    RealServers::from_sorted_store_unchecked(sorted)
}

impl NodeTables {
    /// The virtual servers at `address`, whatever their port and protocol.
    pub fn virtual_servers_at(
        &self,
        address: IpAddr,
    ) -> impl Iterator<Item = (&VirtualServerKey, &Arc<VirtualServerEntry>)> {
        at_address(&self.virtual_servers, address)
    }

    /// Packs all that may be large.
    pub fn pack(&mut self) {
        pack_map(&mut self.virtual_servers);
        pack_set(&mut self.addresses);
        for set in self.sets.values_mut() {
            pack_set(&mut set.entries);
        }
    }

    /// Shares with `other` what is equal to it, among `keys`, or all: two tables that are equal take the room of one.
    pub fn share(&mut self, other: &Self, keys: Option<&TableKeys>) {
        match keys {
            None => {
                for (key, entry) in &mut self.virtual_servers {
                    share_entry(entry, other.virtual_servers.get(key));
                }
            }
            Some(keys) => {
                for key in &keys.virtual_servers {
                    self.share_virtual_server(other, key);
                }
            }
        }
    }

    /// The same of one virtual server.
    pub fn share_virtual_server(&mut self, other: &Self, key: &VirtualServerKey) {
        if let Some(entry) = self.virtual_servers.get_mut(key) {
            share_entry(entry, other.virtual_servers.get(key));
        }
    }
}

fn share_entry(entry: &mut Arc<VirtualServerEntry>, other: Option<&Arc<VirtualServerEntry>>) {
    if let Some(other) = other
        && entry == other
    {
        *entry = other.clone();
    }
}

/// Returns the entries of a map of virtual servers at `address`, whatever the port and protocol.
pub fn at_address<T>(
    map: &BTreeMap<VirtualServerKey, T>,
    address: IpAddr,
) -> impl Iterator<Item = (&VirtualServerKey, &T)> {
    (map.range(first_at(address)..)).take_while(move |(key, _)| is_at(key, address))
}

/// Returns the virtual servers of `keys` at `address`, whatever the port and protocol.
pub fn keys_at(
    keys: &BTreeSet<VirtualServerKey>,
    address: IpAddr,
) -> impl Iterator<Item = &VirtualServerKey> {
    (keys.range(first_at(address)..)).take_while(move |key| is_at(key, address))
}

fn first_at(address: IpAddr) -> VirtualServerKey {
    VirtualServerKey::Address {
        address,
        port: 0,
        protocol: Protocol::Tcp,
    }
}

fn is_at(key: &VirtualServerKey, address: IpAddr) -> bool {
    matches!(key, VirtualServerKey::Address { address: at, .. } if *at == address)
}

/// Keys of a node's tables: what a change touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableKeys {
    /// Virtual servers.
    pub virtual_servers: BTreeSet<VirtualServerKey>,
    /// Addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Sets, each with all that it holds.
    pub sets: BTreeSet<SetName>,
    /// Single entries of sets.
    pub entries: BTreeSet<(SetName, Entry)>,
    /// The packet filter's rules.
    pub rules: BTreeSet<AddressFamily>,
    /// Kernel settings.
    pub sysctls: BTreeSet<Name>,
    /// The idle timeouts.
    pub timeouts: bool,
    /// The dummy device.
    pub device: bool,
}

impl TableKeys {
    /// Returns true if there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if the two have a key in common.
    #[must_use]
    pub fn touches(&self, other: &Self) -> bool {
        !self.virtual_servers.is_disjoint(&other.virtual_servers)
            || !self.addresses.is_disjoint(&other.addresses)
            || !self.sets.is_disjoint(&other.sets)
            || !self.entries.is_disjoint(&other.entries)
            || self.holds_set_of(other)
            || other.holds_set_of(self)
            || !self.rules.is_disjoint(&other.rules)
            || !self.sysctls.is_disjoint(&other.sysctls)
            || (self.timeouts && other.timeouts)
            || (self.device && other.device)
    }

    fn holds_set_of(&self, other: &Self) -> bool {
        !self.sets.is_empty() && (other.entries.iter()).any(|(set, _)| self.sets.contains(set))
    }

    /// Adds the keys of `other`.
    pub fn merge(&mut self, other: Self) {
        self.virtual_servers.extend(other.virtual_servers);
        self.addresses.extend(other.addresses);
        self.sets.extend(other.sets);
        self.entries.extend(other.entries);
        self.rules.extend(other.rules);
        self.sysctls.extend(other.sysctls);
        self.timeouts |= other.timeouts;
        self.device |= other.device;
    }

    /// Every key of `tables`.
    #[must_use]
    pub fn of(tables: &NodeTables) -> Self {
        Self {
            virtual_servers: tables.virtual_servers.keys().copied().collect(),
            addresses: tables.addresses.clone(),
            sets: tables.sets.keys().cloned().collect(),
            entries: BTreeSet::new(),
            rules: tables.rules.keys().copied().collect(),
            sysctls: tables.sysctls.keys().cloned().collect(),
            timeouts: tables.timeouts != Timeouts::default(),
            device: false,
        }
    }
}

/// The tables that the cluster asks of a node, and on whose behalf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// The tables.
    pub tables: NodeTables,
    /// The owner of each entry.
    pub owners: Owners,
    /// Endpoints of UDP virtual servers that terminate and still serve, and get no new flows: they are not among the real servers, but
    /// one that was keeps its flows for a while (deviation D26). Never empty.
    pub finishing: BTreeMap<VirtualServerKey, Arc<[RealServerKey]>>,
    /// The answers at health-check node ports, by Service.
    pub health_checks: BTreeMap<ObjectName, HealthCheck>,
    /// Services with a policy `Local` and no endpoint here, though there are some elsewhere: which policy, in which
    /// family. Never empty.
    pub without_local_endpoints: BTreeMap<ObjectName, WithoutLocal>,
}

impl Desired {
    /// Returns true if `real` is an endpoint of the UDP virtual server `server` that terminates, still serves, and gets no new flows.
    #[must_use]
    pub fn finishes(&self, server: VirtualServerKey, real: RealServerKey) -> bool {
        (self.finishing.get(&server)).is_some_and(|all| all.binary_search(&real).is_ok())
    }
}

/// The policies `Local` of one Service that find no endpoint on this node, by family.
pub type WithoutLocal = BTreeSet<(AddressFamily, PolicyScope)>;

/// The Service ports behind the entries of a node's tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// The Service port that each virtual server belongs to.
    pub virtual_servers: BTreeMap<VirtualServerKey, Arc<ServicePortName>>,
    /// The Service port that each address belongs to. Of several ports, even Services, that share one it is a port of the API
    /// server's Service, else the first by name.
    pub addresses: BTreeMap<IpAddr, Arc<ServicePortName>>,
}
