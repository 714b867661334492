//! Draining real servers as kube-ipvsd and the kernel report them.

use std::collections::BTreeMap;

use ipvs::Connections;
use model::Snapshot;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;

#[cfg(test)]
mod tests;

/// List of draining real servers, which get no new connections and keep their open ones.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drains {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// `Drains`.
    pub kind: &'static str,
    /// Drains, ordered by virtual server and real server.
    pub drains: Vec<Drain>,
}

impl Drains {
    /// Returns the object with `drains`.
    #[must_use]
    pub fn new(drains: Vec<Drain>) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "Drains",
            drains,
        }
    }
}

/// Draining real server. Null means unknown; for the deadline see its description.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// The virtual server, `10.96.0.10:80/TCP`.
    pub virtual_server: String,
    /// The real server, `10.1.2.3:8080`.
    pub real_server: String,
    /// Service port of the real server before the drain, `namespace/name:port`.
    pub service: Option<String>,
    /// Start of the drain, RFC 3339.
    pub since: Option<String>,
    /// Number of active connections.
    pub active_connections: Option<u32>,
    /// Number of connections in any other state.
    pub inactive_connections: Option<u32>,
    /// Time of the deletion at the latest, RFC 3339. Null with `known_to_daemon` means that the
    /// drain has no deadline.
    pub deadline: Option<String>,
    /// True if kube-ipvsd reports the drain. Otherwise only the kernel does, by weight 0.
    pub known_to_daemon: bool,
}

/// Drain that kube-ipvsd reports at `/drains`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonDrain {
    virtual_server: String,
    real_server: String,
    service: Option<String>,
    since: Option<String>,
    active_connections: u32,
    inactive_connections: u32,
    ends: Option<String>,
}

/// Merges the drains of kube-ipvsd with those of the kernel, ordered as text. If the kernel was
/// read:
///
/// - its real servers of weight 0 of our virtual servers are the drains,
/// - connection counts are the kernel's,
/// - drains that only kube-ipvsd reports have just been deleted and are left out.
#[must_use]
pub fn drains(daemon: &[DaemonDrain], kernel: Option<&Snapshot>) -> Vec<Drain> {
    let mut drains: BTreeMap<(String, String), Drain> = BTreeMap::new();
    for drain in daemon {
        let drain = Drain::from(drain);
        drains.insert(drain.key(), drain);
    }
    let Some(kernel) = kernel else {
        return drains.into_values().collect();
    };
    let found = of_kernel(kernel).map(|drain| match drains.remove(&drain.key()) {
        None => drain,
        Some(known) => Drain {
            active_connections: drain.active_connections.or(known.active_connections),
            inactive_connections: drain.inactive_connections.or(known.inactive_connections),
            ..known
        },
    });
    let mut found: Vec<Drain> = found.collect();
    found.sort_by_key(Drain::key);
    found
}

/// Returns the real servers of weight 0 of our virtual servers.
fn of_kernel(kernel: &Snapshot) -> impl Iterator<Item = Drain> {
    let servers =
        (kernel.tables.virtual_servers.iter()).filter(|(key, _)| planner::is_marked(kernel, **key));
    servers.flat_map(|(key, entry)| {
        let drained = entry.real_servers.values().filter(|real| real.weight == 0);
        drained.map(|real| {
            let counts = kernel.connections.get(&(*key, real.key));
            Drain {
                virtual_server: key.to_string(),
                real_server: real.key.to_string(),
                service: None,
                since: None,
                active_connections: counts.map(|Connections { active, .. }| *active),
                inactive_connections: counts.map(|Connections { inactive, .. }| *inactive),
                deadline: None,
                known_to_daemon: false,
            }
        })
    })
}

impl Drain {
    fn key(&self) -> (String, String) {
        (self.virtual_server.clone(), self.real_server.clone())
    }
}

impl From<&DaemonDrain> for Drain {
    fn from(drain: &DaemonDrain) -> Self {
        let DaemonDrain {
            virtual_server,
            real_server,
            service,
            since,
            active_connections,
            inactive_connections,
            ends,
        } = drain.clone();
        Self {
            virtual_server,
            real_server,
            service,
            since,
            active_connections: Some(active_connections),
            inactive_connections: Some(inactive_connections),
            deadline: ends,
            known_to_daemon: true,
        }
    }
}
