//! Synchronisation daemons.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipvs::{SyncDaemon, SyncRole};
use model::kernel::OpErrorKind;
use model::{NodeTables, Snapshot};

use super::addresses::Addresses;

/// The running daemons, at most one for each role. A daemon outlives its interface.
#[derive(Debug, Default)]
pub(super) struct SyncDaemons {
    running: BTreeMap<SyncRole, SyncDaemon>,
}

impl SyncDaemons {
    pub(super) fn set(&mut self, tables: &NodeTables) {
        let daemons = tables.sync_daemons.iter();
        self.running = daemons
            .map(|(role, daemon)| (*role, resolved(daemon)))
            .collect();
    }

    pub(super) fn read(&self, snapshot: &mut Snapshot) {
        (snapshot.tables.sync_daemons).clone_from(&self.running);
    }

    /// Starts a daemon. The checks have the order of `ip_vs_genl_new_daemon` and
    /// `start_sync_thread`.
    pub(super) fn start(
        &mut self,
        daemon: &SyncDaemon,
        addresses: &Addresses,
    ) -> Result<(), OpErrorKind> {
        if daemon.group.is_some_and(|group| !group.is_multicast()) {
            return Err(OpErrorKind::Invalid);
        }
        if !addresses.has_interface(&daemon.interface) {
            return Err(OpErrorKind::NoSuchInterface);
        }
        if self.running.contains_key(&daemon.role) {
            return Err(OpErrorKind::AlreadyExists);
        }
        self.running.insert(daemon.role, resolved(daemon));
        Ok(())
    }

    pub(super) fn stop(&mut self, role: SyncRole) -> Result<(), OpErrorKind> {
        let stopped = self.running.remove(&role);
        stopped.map(drop).ok_or(OpErrorKind::NoSuchSyncDaemon)
    }
}

/// Returns the daemon as the kernel lists it, with its defaults for an MTU of 1500 bytes.
fn resolved(daemon: &SyncDaemon) -> SyncDaemon {
    let group = (daemon.group).unwrap_or_else(|| Ipv4Addr::new(224, 0, 0, 81).into());
    let headers = match group {
        IpAddr::V4(_) => 28,
        IpAddr::V6(_) => 48,
    };
    let least = match daemon.role {
        SyncRole::Backup => 1024,
        _ => 1,
    };
    let length = daemon.maximum_length.filter(|length| *length > 0);
    let length = length.map_or(1500 - headers, |length| {
        length.clamp(least, u16::MAX - headers)
    });
    SyncDaemon {
        maximum_length: Some(length),
        group: Some(group),
        port: Some(daemon.port.filter(|port| *port > 0).unwrap_or(8848)),
        time_to_live: Some(daemon.time_to_live.filter(|hops| *hops > 0).unwrap_or(1)),
        ..daemon.clone()
    }
}
