//! The IPVS table.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipvs::{
    AddressFamily, Connections, Forwarding, RealServer, RealServerKey, Scheduler, TunnelKind,
    VirtualServer, VirtualServerKey,
};
use model::tables::RealServers;
use model::{NodeTables, Selection, Snapshot, VirtualServerEntry};

use model::kernel::OpErrorKind;

/// Schedulers of Linux 6.1, `net/netfilter/ipvs/Kconfig`.
const SCHEDULERS: [&str; 13] = [
    "rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq",
];

/// `IP_VS_SCHEDNAME_MAXLEN` without the terminating zero.
const SCHEDULER_BYTES: usize = 15;

type FullKey = (VirtualServerKey, RealServerKey);

/// The IPVS table and the kernel's related state.
#[derive(Debug)]
pub(super) struct VirtualServers {
    entries: BTreeMap<VirtualServerKey, Arc<VirtualServerEntry>>,
    schedulers: BTreeSet<Arc<str>>,
    connections: BTreeMap<FullKey, Connections>,
    /// Connections of deleted real servers. A real server that is added again gets them back.
    trash: BTreeMap<FullKey, Connections>,
}

impl Default for VirtualServers {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            schedulers: SCHEDULERS.into_iter().map(Arc::from).collect(),
            connections: BTreeMap::new(),
            trash: BTreeMap::new(),
        }
    }
}

impl VirtualServers {
    pub(super) fn set(&mut self, tables: &NodeTables) {
        self.entries.clone_from(&tables.virtual_servers);
    }

    pub(super) fn set_schedulers(&mut self, schedulers: BTreeSet<Arc<str>>) {
        self.schedulers = schedulers;
    }

    pub(super) fn read(&self, selection: &Selection, snapshot: &mut Snapshot) {
        match selection {
            Selection::All => {
                snapshot.tables.virtual_servers = self.entries.clone();
                snapshot.connections = self.connections.clone();
            }
            Selection::WithoutRealServers => {
                let alone = |entry: &VirtualServerEntry| VirtualServerEntry {
                    server: entry.server.clone(),
                    real_servers: RealServers::new(),
                };
                let entries = self.entries.iter();
                snapshot.tables.virtual_servers = entries
                    .map(|(key, entry)| (*key, Arc::new(alone(entry))))
                    .collect();
            }
            Selection::Only(keys) => {
                for key in keys {
                    if let Some(entry) = self.entries.get(key) {
                        let entry = Arc::clone(entry);
                        snapshot.tables.virtual_servers.insert(*key, entry);
                    }
                }
                let connections = self.connections.iter();
                snapshot.connections = connections
                    .filter(|((key, _), _)| keys.contains(key))
                    .map(|(key, connections)| (*key, *connections))
                    .collect();
            }
        }
    }

    /// Implements `ip_vs_add_service`.
    pub(super) fn add(&mut self, server: &VirtualServer) -> Result<(), OpErrorKind> {
        check_name(&server.scheduler)?;
        if self.entries.contains_key(&server.key) {
            return Err(OpErrorKind::AlreadyExists);
        }
        self.check_settings(server)?;
        let entry = VirtualServerEntry {
            server: server.clone(),
            real_servers: RealServers::new(),
        };
        self.entries.insert(server.key, Arc::new(entry));
        Ok(())
    }

    /// Implements `ip_vs_edit_service`.
    pub(super) fn change(&mut self, server: &VirtualServer) -> Result<(), OpErrorKind> {
        check_name(&server.scheduler)?;
        self.entry(server.key)?;
        self.check_settings(server)?;
        self.entry(server.key)?.server = server.clone();
        Ok(())
    }

    /// Implements `ip_vs_del_service`. It also deletes the real servers.
    pub(super) fn delete(&mut self, key: VirtualServerKey) -> Result<(), OpErrorKind> {
        let gone = self.entries.remove(&key);
        let gone = gone.ok_or(OpErrorKind::NoSuchVirtualServer)?;
        for real in gone.real_servers.keys() {
            self.discard((key, *real));
        }
        Ok(())
    }

    /// Implements `ip_vs_add_dest`.
    pub(super) fn add_real(
        &mut self,
        key: VirtualServerKey,
        real: RealServer,
    ) -> Result<(), OpErrorKind> {
        let entry = self.entry(key)?;
        check_family(key, &real)?;
        check_numbers(&real)?;
        if entry.real_servers.contains_key(&real.key) {
            return Err(OpErrorKind::AlreadyExists);
        }
        check_address(real.key.address)?;
        entry.real_servers.insert(real);
        if let Some(connections) = self.trash.remove(&(key, real.key)) {
            self.connections.insert((key, real.key), connections);
        }
        Ok(())
    }

    /// Implements `ip_vs_edit_dest`.
    pub(super) fn change_real(
        &mut self,
        key: VirtualServerKey,
        real: RealServer,
    ) -> Result<(), OpErrorKind> {
        let entry = self.entry(key)?;
        check_family(key, &real)?;
        check_numbers(&real)?;
        if !entry.real_servers.contains_key(&real.key) {
            return Err(OpErrorKind::NoSuchRealServer);
        }
        entry.real_servers.insert(real);
        Ok(())
    }

    /// Implements `ip_vs_del_dest`.
    pub(super) fn delete_real(
        &mut self,
        key: VirtualServerKey,
        real: RealServerKey,
    ) -> Result<(), OpErrorKind> {
        let gone = self.entry(key)?.real_servers.remove(&real);
        gone.ok_or(OpErrorKind::NoSuchRealServer)?;
        self.discard((key, real));
        Ok(())
    }

    /// Sets the connections of a real server that exists or is in the trash.
    pub(super) fn set_connections(&mut self, key: FullKey, connections: Connections) {
        let exists = self
            .entries
            .get(&key.0)
            .is_some_and(|entry| entry.real_servers.contains_key(&key.1));
        let place = if exists {
            &mut self.connections
        } else {
            &mut self.trash
        };
        if connections == Connections::default() {
            place.remove(&key);
        } else {
            place.insert(key, connections);
        }
    }

    /// Ends the connections of all real servers, existing or in the trash.
    pub(super) fn end_connections(&mut self) {
        self.connections.clear();
        self.trash.clear();
    }

    /// Returns a real server with its connections.
    pub(super) fn real_server(&self, key: FullKey) -> Option<(RealServer, Connections)> {
        let real = *self.entries.get(&key.0)?.real_servers.get(&key.1)?;
        let connections = self.connections.get(&key).copied();
        Some((real, connections.unwrap_or_default()))
    }

    /// Opens a connection without data to the first real server with a weight.
    pub(super) fn connect(&mut self, key: VirtualServerKey) -> Option<RealServerKey> {
        let entry = self.entries.get(&key)?;
        let mut reals = entry.real_servers.values();
        let real = reals.find(|real| real.weight > 0)?.key;
        self.connections.entry((key, real)).or_default().inactive += 1;
        Some(real)
    }

    fn discard(&mut self, key: FullKey) {
        if let Some(connections) = self.connections.remove(&key) {
            self.trash.insert(key, connections);
        }
    }

    fn entry(&mut self, key: VirtualServerKey) -> Result<&mut VirtualServerEntry, OpErrorKind> {
        let entry = self.entries.get_mut(&key).map(Arc::make_mut);
        entry.ok_or(OpErrorKind::NoSuchVirtualServer)
    }

    fn check_settings(&self, server: &VirtualServer) -> Result<(), OpErrorKind> {
        if !self.schedulers.contains(&server.scheduler.0) {
            return Err(OpErrorKind::UnknownScheduler(server.scheduler.clone()));
        }
        let prefixes = match family(server.key) {
            AddressFamily::Ipv4 => 0..=32,
            AddressFamily::Ipv6 => 1..=128,
        };
        if !prefixes.contains(&server.persistence_prefix) {
            return Err(OpErrorKind::Invalid);
        }
        Ok(())
    }
}

fn family(key: VirtualServerKey) -> AddressFamily {
    match key {
        VirtualServerKey::Address { address, .. } => AddressFamily::of(address),
        VirtualServerKey::Fwmark { family, .. } => family,
    }
}

/// Checks the length of the name, before any lookup.
fn check_name(scheduler: &Scheduler) -> Result<(), OpErrorKind> {
    if scheduler.0.len() > SCHEDULER_BYTES {
        return Err(OpErrorKind::Invalid);
    }
    Ok(())
}

/// Checks that the families match. Only tunnels allow another family than that of the virtual
/// server (`ip_vs_genl_set_cmd`).
fn check_family(key: VirtualServerKey, real: &RealServer) -> Result<(), OpErrorKind> {
    let same = AddressFamily::of(real.key.address) == family(key);
    if same || matches!(real.forwarding, Forwarding::Tunnel(_)) {
        Ok(())
    } else {
        Err(OpErrorKind::Invalid)
    }
}

fn check_numbers(real: &RealServer) -> Result<(), OpErrorKind> {
    if real.weight > i32::MAX as u32 || real.lower_threshold > real.upper_threshold {
        return Err(OpErrorKind::OutOfRange);
    }
    match real.forwarding {
        Forwarding::Tunnel(tunnel) if tunnel.kind == TunnelKind::Gue && tunnel.port == 0 => {
            Err(OpErrorKind::Invalid)
        }
        _ => Ok(()),
    }
}

/// Checks that a host can have the address of a real server (`ip_vs_new_dest`).
fn check_address(address: IpAddr) -> Result<(), OpErrorKind> {
    let good = match address {
        IpAddr::V4(v4) => v4.octets()[0] != 0 && !v4.is_multicast() && v4 != Ipv4Addr::BROADCAST,
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast() && !v6.is_unicast_link_local(),
    };
    if good {
        Ok(())
    } else {
        Err(OpErrorKind::Invalid)
    }
}
