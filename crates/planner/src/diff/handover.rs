//! Hand-over between the virtual servers of single ports and that of every port of an address.
//!
//! A connection belongs to its virtual server for good: the kernel drops its packets once its real
//! server was deleted there (`ip_vs_in_hook`, net/netfilter/ipvs/ip_vs_core.c, Linux 6.12). A
//! virtual server that was replaced therefore stays while it has TCP connections.

use std::sync::Arc;

use ipvs::{Protocol, VirtualServerKey};
use model::plan::Reason;
use model::snapshot::Snapshot;
use model::tables::{Desired, RealServers, VirtualServerEntry, at_address, every_port_of};

use super::{Differ, Retire};

/// Direction of a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// From the virtual server of one port to that of every port. The kernel prefers the former, so
    /// it gets new connections as long as it exists, and its real servers follow the endpoints.
    ToEveryPort,
    /// From the virtual server of every port to those of single ports. New connections reach the
    /// latter at once, and the real servers of the former drain.
    ToPorts,
}

impl HandOver {
    /// Returns the hand-over of the virtual server `key` of `live`, if it is one; `key` must be
    /// ours.
    #[must_use]
    pub fn of(desired: &Desired, live: &Snapshot, key: VirtualServerKey) -> Option<Self> {
        let VirtualServerKey::Address {
            address,
            port,
            protocol: Protocol::Tcp,
        } = key
        else {
            return None;
        };
        let servers = &desired.tables.virtual_servers;
        if servers.contains_key(&key) || !live.tables.virtual_servers.contains_key(&key) {
            return None;
        }
        // The bound address marks a virtual server as ours whose own set entry is gone.
        if !desired.tables.addresses.contains(&address) {
            return None;
        }
        if desired.merged_ports.contains_key(&key) {
            return Some(Self::ToEveryPort);
        }
        let mut others = at_address(servers, address).map(|(other, _)| *other);
        let has_port = |other| every_port_of(other) == Some(key);
        (port == 0 && others.any(has_port)).then_some(Self::ToPorts)
    }
}

/// Returns the entry that the virtual server `key` should have now: the desired one, or during a
/// hand-over the one that is replaced. `key` must be ours.
#[must_use]
pub fn entry_now(
    desired: &Desired,
    live: &Snapshot,
    key: VirtualServerKey,
) -> Option<Arc<VirtualServerEntry>> {
    match HandOver::of(desired, live, key) {
        None => desired.tables.virtual_servers.get(&key).cloned(),
        Some(HandOver::ToEveryPort) => Some(desired.merged_ports.get(&key)?.entry.clone()),
        Some(HandOver::ToPorts) => {
            let live = live.tables.virtual_servers.get(&key)?;
            Some(Arc::new(VirtualServerEntry {
                server: live.server.clone(),
                real_servers: RealServers::new(),
            }))
        }
    }
}

/// Returns true if the kernel has the virtual servers that replace `key`, with real servers if they
/// should have any. The hand-over does not end earlier.
fn is_replaced(desired: &Desired, live: &Snapshot, key: VirtualServerKey) -> bool {
    let VirtualServerKey::Address { address, port, .. } = key else {
        return true;
    };
    let is_successor = |other: &VirtualServerKey| match port {
        0 => every_port_of(*other) == Some(key),
        _ => Some(*other) == every_port_of(key),
    };
    at_address(&desired.tables.virtual_servers, address)
        .filter(|(other, _)| is_successor(other))
        .all(|(other, wanted)| {
            let live = live.tables.virtual_servers.get(other);
            live.is_some_and(|live| wanted.real_servers.is_empty() || !live.real_servers.is_empty())
        })
}

impl Differ<'_> {
    /// Returns the reason to delete `live`, which another virtual server replaces; `None` as long
    /// as it stays.
    pub(super) fn end_of(
        &self,
        hand_over: HandOver,
        key: VirtualServerKey,
        live: &VirtualServerEntry,
    ) -> Option<Reason> {
        if !is_replaced(self.desired, self.live, key) {
            return None;
        }
        let mut reason = Reason::Drained;
        for real in live.real_servers.values() {
            let place = (key, real.key);
            match &self.own.retire {
                Retire::Only(ended) => reason = ended.get(&place)?.clone(),
                Retire::Idle => {
                    let rests = hand_over == HandOver::ToEveryPort || real.weight == 0;
                    if !rests || self.has_connections(place) {
                        return None;
                    }
                }
            }
        }
        Some(reason)
    }
}
