//! Marks of node ports: the port alone, or each address with the port.
//!
//! The entry of its port in `KUBE-NODE-PORT-TCP` or `KUBE-NODE-PORT-UDP`, which has no address,
//! marks a virtual server at a node port as ours. If a foreign virtual server has the port at
//! another address, this entry would mark it as well. Such a node port is contested, and stand-ins
//! replace the entry: the address and port of each virtual server of ours are in `KUBE-EXTERNAL-IP`
//! or `KUBE-EXTERNAL-IP-LOCAL`. The rules of these sets treat its packets as those of
//! `KUBE-NODE-PORT` do (ADR 13).

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;

use ipset::{Entry, Set, SetName};
use ipvs::{AddressFamily, Protocol, VirtualServerKey};
use model::sets::{Destination, SetKind, service_entry};
use model::snapshot::Snapshot;
use model::tables::{NodeTables, TableKeys};

use crate::diff::{Differ, address_of};

/// Identifies an entry of the sets that mark node ports without addresses.
pub(in crate::diff) type NodePort = (SetKind, AddressFamily, u16);

/// Sets that mark node ports without addresses.
const NODE_PORT_KINDS: [SetKind; 2] = [SetKind::NodePortTcp, SetKind::NodePortUdp];

/// Sets that contain stand-ins, for externalTrafficPolicy Cluster and Local.
const STAND_IN_KINDS: [SetKind; 2] = [SetKind::ExternalIp, SetKind::ExternalIpLocal];

impl Differ<'_> {
    /// Returns true if the desired `entry` belongs in the set `name`. The entry of a contested node
    /// port does not.
    pub(super) fn is_usable(&self, name: &SetName, entry: Entry) -> bool {
        let Entry::Port(port) = entry else {
            return true;
        };
        node_ports_in(name).is_none_or(|(kind, family)| !self.has_stand_ins((kind, family, port)))
    }

    /// Returns true if `entry` of the set `name` stands in for the entry of a node port.
    pub(super) fn is_stand_in(&self, name: &SetName, entry: Entry) -> bool {
        match Destination::of(entry) {
            Destination::VirtualServer(key) => self
                .stand_in_of(key)
                .is_some_and(|of| of == (name.clone(), entry)),
            Destination::Address(_) | Destination::Port(_) => false,
        }
    }

    /// Returns the entries that belong in the set `name` when the set is compared as a whole.
    /// `desired` is the set of the compiler.
    pub(super) fn wanted<'s>(&self, name: &SetName, desired: &'s Set) -> Cow<'s, BTreeSet<Entry>> {
        let mut wanted = Cow::Borrowed(&desired.entries);
        for family in AddressFamily::ALL {
            if NODE_PORT_KINDS.map(|kind| kind.name(family)).contains(name) {
                for (kind, _, port) in self.contested_in(family) {
                    if kind.name(family) == *name {
                        wanted.to_mut().remove(&Entry::Port(port));
                    }
                }
            } else if STAND_IN_KINDS.map(|kind| kind.name(family)).contains(name) {
                let keys = self.contested_in(family).into_iter();
                let keys = keys.flat_map(|node_port| keys_at_node(self.live, node_port));
                let stand_ins = keys.filter_map(|key| self.stand_in_of(key));
                for (_, entry) in stand_ins.filter(|(of, _)| of == name) {
                    wanted.to_mut().insert(entry);
                }
            }
        }
        wanted
    }

    /// Returns the desired node ports of `family` that stand-ins mark, as [`Self::has_stand_ins`]
    /// decides. Only candidates are checked: a node has thousands of node ports, and nearly all of
    /// them have no foreign virtual server.
    fn contested_in(&self, family: AddressFamily) -> BTreeSet<NodePort> {
        let mut candidates: BTreeSet<NodePort> = (self.foreign_at_node().iter())
            .filter(|(_, of, _)| *of == family)
            .copied()
            .collect();
        for kind in NODE_PORT_KINDS {
            let name = kind.name(family);
            let Some(desired) = self.desired.tables.sets.get(&name) else {
                continue;
            };
            let live = self.live.tables.sets.get(&name);
            let is_live = |entry: &&Entry| live.is_some_and(|live| live.entries.contains(*entry));
            let missing = (desired.entries.iter()).filter(|entry| !is_live(entry));
            let ports = missing.filter_map(|entry| match entry {
                Entry::Port(port) => Some((kind, family, *port)),
                _ => None,
            });
            candidates.extend(ports.filter(|port| self.foreign_anywhere().contains(port)));
        }
        candidates.retain(|node_port| self.has_stand_ins(*node_port));
        candidates
    }

    /// Returns the live and desired stand-ins of the virtual servers in `keys`, in sets that are
    /// not compared as a whole.
    pub(super) fn stand_ins_compared(&self, keys: &TableKeys) -> BTreeSet<(SetName, Entry)> {
        let mut compared = BTreeSet::new();
        let tables = [&self.desired.tables, &self.live.tables];
        let at_node = keys.virtual_servers.iter().filter(|key| {
            // Nearly all virtual servers are at addresses of the dummy device, where no node port
            // is served.
            let is_bound = |at| tables.iter().any(|tables| tables.addresses.contains(&at));
            node_port_of(**key).is_some() && !address_of(**key).is_some_and(is_bound)
        });
        for key in at_node {
            let live = STAND_IN_KINDS.into_iter();
            let live = live.map(|kind| entry_in(kind, *key));
            compared.extend(live.filter(|(name, entry)| holds(&self.live.tables, name, entry)));
            compared.extend(self.stand_in_of(*key));
        }
        compared.retain(|(name, _)| {
            !keys.sets.contains(name) && self.desired.tables.sets.contains_key(name)
        });
        compared
    }

    /// Returns the stand-in that marks the virtual server `key`, with its set.
    fn stand_in_of(&self, key: VirtualServerKey) -> Option<(SetName, Entry)> {
        let node_port @ (kind, family, port) = node_port_of(key)?;
        let desired = &self.desired.tables;
        let is_served = desired.virtual_servers.contains_key(&key)
            && holds_node_port(desired, node_port)
            && !holds_service(desired, key)
            && !self.is_foreign(key);
        if !is_served {
            return None;
        }
        let local = match kind {
            SetKind::NodePortUdp => SetKind::NodePortLocalUdp,
            _ => SetKind::NodePortLocalTcp,
        };
        let [cluster_policy, local_policy] = STAND_IN_KINDS;
        let is_local = holds_node_port(desired, (local, family, port));
        let kind = if is_local {
            local_policy
        } else {
            cluster_policy
        };
        let stand_in = entry_in(kind, key);
        let is_last_mark = || {
            let (live, (name, entry)) = (&self.live.tables, &stand_in);
            !self.compares_marks(family)
                && !holds_node_port(live, node_port)
                && holds(live, name, entry)
        };
        (self.has_stand_ins(node_port) || is_last_mark()).then_some(stand_in)
    }

    /// Returns true if stand-ins mark the virtual servers at the desired node port, because its
    /// entry would mark a foreign one.
    ///
    /// Before the entry exists, a foreign virtual server counts even if no interface has its
    /// address, since the node may get the address later.
    ///
    /// The entry and its stand-ins replace each other only if all of them are compared, because one
    /// plan adds before it deletes.
    fn has_stand_ins(&self, node_port @ (_, family, _): NodePort) -> bool {
        if holds_node_port(&self.live.tables, node_port) {
            self.compares_marks(family) && self.foreign_at_node().contains(&node_port)
        } else {
            self.foreign_anywhere().contains(&node_port)
        }
    }

    /// Returns true if all sets that mark node ports or contain stand-ins are compared as a whole.
    fn compares_marks(&self, family: AddressFamily) -> bool {
        (NODE_PORT_KINDS.into_iter().chain(STAND_IN_KINDS))
            .all(|kind| self.keys.sets.contains(&kind.name(family)))
    }

    /// Returns the node ports of foreign virtual servers at addresses of the node.
    fn foreign_at_node(&self) -> &BTreeSet<NodePort> {
        self.foreign_at_node.get_or_init(|| {
            let at_node = (self.live.node.addresses())
                .flat_map(|address| self.live.tables.virtual_servers_at(address));
            self.foreign_ports(at_node.map(|(key, _)| key))
        })
    }

    /// Returns the node ports of foreign virtual servers.
    fn foreign_anywhere(&self) -> &BTreeSet<NodePort> {
        self.foreign_anywhere
            .get_or_init(|| self.foreign_ports(self.live.tables.virtual_servers.keys()))
    }

    fn foreign_ports<'k>(
        &self,
        keys: impl Iterator<Item = &'k VirtualServerKey>,
    ) -> BTreeSet<NodePort> {
        keys.filter_map(|key| Some((node_port_of(*key)?, *key)))
            .filter(|(node_port, key)| {
                holds_node_port(&self.desired.tables, *node_port) && !self.is_ours(*key)
            })
            .map(|(node_port, _)| node_port)
            .collect()
    }
}

/// Returns the keys at `node_port` of each address of the node.
fn keys_at_node(
    live: &Snapshot,
    (kind, family, port): NodePort,
) -> impl Iterator<Item = VirtualServerKey> {
    let protocol = match kind {
        SetKind::NodePortUdp => Protocol::Udp,
        _ => Protocol::Tcp,
    };
    (live.node.addresses())
        .filter(move |address| AddressFamily::of(*address) == family)
        .map(move |address| VirtualServerKey::Address {
            address,
            port,
            protocol,
        })
}

/// Returns true if the sets of `live` mark the virtual server `key` as ours. They contain its
/// address and port, its firewall mark or, if its address is on an interface, its port as a node port.
pub(in crate::diff) fn is_recorded(live: &Snapshot, key: VirtualServerKey) -> bool {
    holds_service(&live.tables, key)
        || (node_port_of(key).is_some_and(|node_port| holds_node_port(&live.tables, node_port))
            && address_of(key).is_some_and(|address| is_at_node(live, address)))
}
/// Returns true if the set of `tables` that marks node ports without addresses contains this one.
fn holds_node_port(tables: &NodeTables, (kind, family, port): NodePort) -> bool {
    holds(tables, &kind.name(family), &Entry::Port(port))
}

/// Returns true if a set of `tables` contains the entry of `key`.
fn holds_service(tables: &NodeTables, key: VirtualServerKey) -> bool {
    let kinds = [
        SetKind::ClusterIp,
        SetKind::ExternalIp,
        SetKind::ExternalIpLocal,
        SetKind::LoadBalancer,
        SetKind::NodePortSctp,
    ];
    (kinds.into_iter().map(|kind| entry_in(kind, key)))
        .any(|(name, entry)| holds(tables, &name, &entry))
}

/// Returns the entry of `key` in a set of this kind, and the name of the set.
fn entry_in(kind: SetKind, key: VirtualServerKey) -> (SetName, Entry) {
    (kind.name(key.family()), service_entry(key))
}

fn holds(tables: &NodeTables, name: &SetName, entry: &Entry) -> bool {
    let set = tables.sets.get(name);
    set.is_some_and(|set| set.entries.contains(entry))
}

/// Returns the node port of `key`.
fn node_port_of(key: VirtualServerKey) -> Option<NodePort> {
    let VirtualServerKey::Address {
        address,
        port,
        protocol,
    } = key
    else {
        return None;
    };
    let kind = match protocol {
        Protocol::Tcp => SetKind::NodePortTcp,
        Protocol::Udp => SetKind::NodePortUdp,
        _ => return None,
    };
    Some((kind, AddressFamily::of(address), port))
}

/// Returns the kind and family of the set `name` if it marks node ports without addresses.
fn node_ports_in(name: &SetName) -> Option<(SetKind, AddressFamily)> {
    (NODE_PORT_KINDS.into_iter())
        .flat_map(|kind| AddressFamily::ALL.map(|family| (kind, family)))
        .find(|(kind, family)| kind.name(*family) == *name)
}

fn is_at_node(live: &Snapshot, address: IpAddr) -> bool {
    live.node.addresses().any(|at| at == address)
}
