//! The tables of a node's kernel. Desired and live tables have the same type.

mod real_servers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipset::{Entry, Set, SetName};
use ipvs::{
    AddressFamily, Protocol, RealServerKey, SyncDaemon, SyncRole, Timeouts, VirtualServer,
    VirtualServerKey,
};

pub use self::real_servers::RealServers;
use crate::cluster::PolicyScope;
use crate::compact::{pack_map, pack_set};
use crate::config::NodeConfig;
use crate::frontend::HealthCheck;
use crate::names::{Name, ObjectName, ServicePortName};
use crate::policy::{CheckTarget, ServicePolicy, SlowStart, is_gradual};
use crate::rules::Rules;

/// The tables of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTables {
    /// The IPVS table.
    pub virtual_servers: BTreeMap<VirtualServerKey, Arc<VirtualServerEntry>>,
    /// Host addresses (/32 and /128) on the dummy device `kube-ipvs0`.
    pub addresses: BTreeSet<IpAddr>,
    /// The sets that the rules use.
    pub sets: BTreeMap<SetName, Set>,
    /// The packet filter's rules, by family.
    pub rules: BTreeMap<AddressFamily, Rules>,
    /// Kernel settings by their name under `/proc/sys`, with dots between the parts of the path.
    pub sysctls: BTreeMap<Name, Name>,
    /// Idle timeouts of IPVS connections. In desired tables zero leaves the kernel's value
    /// unchanged, as it does for the kernel (`ip_vs_set_timeout`, net/netfilter/ipvs/ip_vs_ctl.c,
    /// Linux 6.1).
    pub timeouts: Timeouts,
    /// Synchronisation daemons of IPVS; `SyncDaemon::role` equals the map's key. In desired tables
    /// a setting that is `None` may have any value, and a role without daemon is not managed.
    pub sync_daemons: BTreeMap<SyncRole, SyncDaemon>,
}

/// A virtual server and its real servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualServerEntry {
    /// Settings of the virtual server.
    pub server: VirtualServer,
    /// The real servers.
    pub real_servers: RealServers,
}

impl NodeTables {
    /// Returns the virtual servers at `address`, whatever their port and protocol.
    pub fn virtual_servers_at(
        &self,
        address: IpAddr,
    ) -> impl Iterator<Item = (&VirtualServerKey, &Arc<VirtualServerEntry>)> {
        at_address(&self.virtual_servers, address)
    }

    /// Rebuilds the large maps and sets so that they use as little memory as possible.
    pub fn pack(&mut self) {
        pack_map(&mut self.virtual_servers);
        pack_set(&mut self.addresses);
        for set in self.sets.values_mut() {
            pack_set(&mut set.entries);
        }
    }

    /// Shares equal virtual servers with `other`, among `keys` or all, so that two equal tables use
    /// the memory of one.
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

    /// Shares the virtual server `key` with `other` if the two are equal.
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

/// Returns the entries at `address` of a map by virtual server, whatever the port and protocol.
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

/// Keys of entries in a node's tables, for example those that a change affects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableKeys {
    /// Virtual servers.
    pub virtual_servers: BTreeSet<VirtualServerKey>,
    /// Addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Sets, each with all its entries.
    pub sets: BTreeSet<SetName>,
    /// Single entries of sets.
    pub entries: BTreeSet<(SetName, Entry)>,
    /// Families of the packet filter's rules.
    pub rules: BTreeSet<AddressFamily>,
    /// Kernel settings.
    pub sysctls: BTreeSet<Name>,
    /// True if the idle timeouts are meant.
    pub timeouts: bool,
    /// Roles of synchronisation daemons.
    pub sync_daemons: BTreeSet<SyncRole>,
    /// True if the dummy device is meant.
    pub device: bool,
}

impl TableKeys {
    /// Returns true if there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if the two have a key in common. A set has its entries in common with single
    /// entries of the set.
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
            || !self.sync_daemons.is_disjoint(&other.sync_daemons)
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
        self.sync_daemons.extend(other.sync_daemons);
        self.device |= other.device;
    }

    /// Returns every key of `tables`.
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
            sync_daemons: tables.sync_daemons.keys().copied().collect(),
            device: false,
        }
    }
}

/// The desired tables of a node and the Services that they follow from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// The tables.
    pub tables: NodeTables,
    /// Owner of each entry.
    pub owners: Owners,
    /// Endpoints of UDP virtual servers that terminate, still serve, and get no new flows. They are
    /// not among the real servers, but a real server that exists for one keeps its flows for a
    /// while (deviation D26). A list is never empty.
    pub finishing: BTreeMap<VirtualServerKey, Arc<[RealServerKey]>>,
    /// Virtual servers of single ports that are not in the tables, because one virtual server with
    /// port 0 serves every port of their Service.
    pub merged_ports: BTreeMap<VirtualServerKey, MergedPort>,
    /// Answers at health-check node ports, by Service.
    pub health_checks: BTreeMap<ObjectName, HealthCheck>,
    /// Services with a policy `Local` that have endpoints, but none on this node: the policies and
    /// families. A set is never empty.
    pub without_local_endpoints: BTreeMap<ObjectName, WithoutLocal>,
    /// Policies of the Services and VirtualServers that have one.
    pub policies: BTreeMap<ObjectName, Arc<ServicePolicy>>,
    /// Targets of health checks, with the Services and VirtualServers that use the result. A set is
    /// never empty.
    pub checks: BTreeMap<CheckTarget, BTreeSet<ObjectName>>,
}

/// Virtual server of one port as it would be without the virtual server of every port, which
/// replaces it ([`Desired::merged_ports`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedPort {
    /// The virtual server and its real servers.
    pub entry: Arc<VirtualServerEntry>,
    /// Its Service port.
    pub owner: Arc<ServicePortName>,
}

/// Returns the key of the virtual server that serves every port at the address of `key`, with the
/// same protocol; `None` for a firewall mark.
#[must_use]
pub fn every_port_of(key: VirtualServerKey) -> Option<VirtualServerKey> {
    match key {
        VirtualServerKey::Address {
            address, protocol, ..
        } => Some(VirtualServerKey::Address {
            address,
            port: 0,
            protocol,
        }),
        VirtualServerKey::Fwmark { .. } => None,
    }
}

impl Desired {
    /// Returns the Service port that the virtual server `key` belongs to, also if the virtual
    /// server of every port replaces it.
    #[must_use]
    pub fn owner(&self, key: VirtualServerKey) -> Option<&Arc<ServicePortName>> {
        let merged = || Some(&self.merged_ports.get(&key)?.owner);
        (self.owners.virtual_servers.get(&key)).or_else(merged)
    }

    /// Returns true if `real` gets no new flows of the UDP virtual server `server` and may still
    /// answer existing ones:
    ///
    /// - an endpoint of a Service does if it terminates and still serves
    /// - a real server that left a VirtualServer does if the object has a UDP drain timeout:
    ///   no state of an endpoint tells whether it still serves
    #[must_use]
    pub fn finishes(&self, server: VirtualServerKey, real: RealServerKey) -> bool {
        let owner = self.owners.virtual_servers.get(&server);
        if owner.is_some_and(|owner| owner.service.is_virtual_server()) {
            return self.drains_udp(server, false);
        }
        (self.finishing.get(&server)).is_some_and(|all| all.binary_search(&real).is_ok())
    }

    /// Returns the policy of the Service or VirtualServer that `server` belongs to; `None` if it
    /// has none.
    #[must_use]
    pub fn policy(&self, server: VirtualServerKey) -> Option<&ServicePolicy> {
        if self.policies.is_empty() {
            return None;
        }
        let owner = self.owner(server)?;
        self.policies.get(&owner.service).map(Arc::as_ref)
    }

    /// Returns the time over which the weight of a new real server of `server` grows; `None` if real
    /// servers start with their full weight. The scheduler decides too, see [`is_gradual`].
    #[must_use]
    pub fn slow_start(&self, server: VirtualServerKey) -> Option<Duration> {
        let time = self.policy(server)?.slow_start.and_then(SlowStart::time)?;
        let entry = self.tables.virtual_servers.get(&server)?;
        is_gradual(&entry.server.scheduler.0).then_some(time)
    }

    /// Returns true if real servers of the UDP virtual server `server` drain. `default` applies to
    /// Services without a policy about it.
    #[must_use]
    pub fn drains_udp(&self, server: VirtualServerKey, default: bool) -> bool {
        let timeout = self
            .policy(server)
            .and_then(|policy| policy.udp_drain_timeout);
        timeout.map_or(default, |timeout| !timeout.0.is_zero())
    }

    /// Returns the maximum time for which real servers of `server` drain; zero sets no limit for
    /// TCP, and deletes UDP real servers at once.
    #[must_use]
    pub fn drain_timeout(&self, server: VirtualServerKey, config: &NodeConfig) -> Duration {
        let policy = self.policy(server);
        match server {
            VirtualServerKey::Address {
                protocol: Protocol::Udp,
                ..
            } => (policy.and_then(|policy| policy.udp_drain_timeout))
                .map_or(config.udp_drain_timeout, |timeout| timeout.0),
            _ => (policy.and_then(|policy| policy.drain_timeout))
                .map_or(config.drain_timeout, |timeout| timeout.0),
        }
    }
}

/// Policies `Local` of one Service without endpoint on this node, by family.
pub type WithoutLocal = BTreeSet<(AddressFamily, PolicyScope)>;

/// The Service ports that the entries of a node's tables belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// Owner of each virtual server.
    pub virtual_servers: BTreeMap<VirtualServerKey, Arc<ServicePortName>>,
    /// Owner of each address. If several Service ports share an address, it is a port of the API
    /// server's Service, otherwise the first port by name.
    pub addresses: BTreeMap<IpAddr, Arc<ServicePortName>>,
}
