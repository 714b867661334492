//! Restores the route to the API server (deviation D22).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ipset::Entry;
use ipvs::{AddressFamily, Protocol, VirtualServerKey};
use model::config::NodeConfig;
use model::plan::Plan;
use model::sets::SetKind;
use model::snapshot::{Scope, Selection, SetSelection, Snapshot};
use model::tables::{Desired, TableKeys};

use super::{Ownership, diff_keys};

/// Returns the scope that [`captured`] needs.
#[must_use]
pub fn captured_scope(config: &NodeConfig) -> Scope {
    let families = AddressFamily::ALL;
    Scope {
        virtual_servers: Selection::Only(config.api_server.iter().map(key).collect()),
        addresses: true,
        sets: SetSelection::Only(
            families
                .map(|family| SetKind::ClusterIp.name(family))
                .into(),
        ),
        ..Scope::NOTHING
    }
}

/// Returns the addresses on the dummy device that keep the node from its API server:
/// - an address of the API server that is bound although it is not a cluster IP
/// - the endpoints behind an address of the API server that is a cluster IP
///
/// An older version bound such an address for a Service that requested it. The node then cannot
/// complete a list, and without a list nothing else is deleted.
#[must_use]
pub fn captured(live: &Snapshot, config: &NodeConfig) -> BTreeSet<IpAddr> {
    let mut captured = BTreeSet::new();
    for socket in &config.api_server {
        let key = key(socket);
        if is_cluster_ip(live, socket) {
            let server = live.tables.virtual_servers.get(&key);
            let real_servers = server.iter().flat_map(|entry| entry.real_servers.keys());
            captured.extend(real_servers.map(|real| real.address));
        } else {
            captured.insert(socket.ip().to_canonical());
        }
    }
    captured.retain(|address| live.tables.addresses.contains(address));
    captured
}

/// Plans the deletion of the [`captured`] addresses and of the virtual servers at them, within
/// `own`. The next sync updates the sets.
#[must_use]
pub fn release(live: &Snapshot, own: &Ownership, config: &NodeConfig) -> Plan {
    let addresses = captured(live, config);
    let virtual_servers = (addresses.iter())
        .flat_map(|address| live.tables.virtual_servers_at(*address))
        .map(|(key, _)| *key)
        .collect();
    let keys = TableKeys {
        virtual_servers,
        addresses,
        ..TableKeys::default()
    };
    diff_keys(&Desired::default(), live, own, &keys)
}

fn key(socket: &SocketAddr) -> VirtualServerKey {
    VirtualServerKey::Address {
        address: socket.ip().to_canonical(),
        port: socket.port(),
        protocol: Protocol::Tcp,
    }
}

/// Returns true if the sets contain the socket as a cluster IP with its port.
fn is_cluster_ip(live: &Snapshot, socket: &SocketAddr) -> bool {
    let address = socket.ip().to_canonical();
    let tcp = ipset::Protocol(Protocol::Tcp.number());
    let entry = Entry::IpPort(address, tcp, socket.port());
    let name = SetKind::ClusterIp.name(AddressFamily::of(address));
    let set = live.tables.sets.get(&name);
    set.is_some_and(|set| set.entries.contains(&entry))
}

#[cfg(test)]
mod tests;
