//! Compares synchronisation daemons.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ipvs::{SyncDaemon, SyncRole};
use model::plan::{Difference, Op, Reason};
use model::snapshot::Interface;

/// Returns the changes that turn the daemon `live` into `wanted`, which has the same role. The
/// kernel changes no running daemon, so a daemon with other settings is stopped and started again.
///
/// The kernel keeps a daemon whose interface is deleted. Its sockets send and receive nothing any
/// more, not even after the interface is back, so it is restarted too. No interface counts as
/// deleted if `interfaces` is empty, because they were not read then.
pub(super) fn changes(
    live: Option<&SyncDaemon>,
    wanted: &SyncDaemon,
    interfaces: &[Interface],
) -> Vec<(Op, Reason)> {
    let start = Op::StartSyncDaemon(wanted.clone());
    let Some(live) = live else {
        return vec![(start, Reason::Missing)];
    };
    let mut differences = differences(live, wanted);
    let is_at = |interface: &Interface| *interface.name == *live.interface;
    if differences.is_empty() && !interfaces.is_empty() && !interfaces.iter().any(is_at) {
        differences.push(Difference {
            field: "interface",
            live: format!("{} (deleted)", live.interface),
            desired: wanted.interface.to_string(),
        });
    }
    if differences.is_empty() {
        return Vec::new();
    }
    let reason = Reason::Differs(differences);
    vec![
        (Op::StopSyncDaemon(live.role), reason.clone()),
        (start, reason),
    ]
}

/// Returns true if a daemon with the role and the settings of `wanted` is among `running`.
#[must_use]
pub fn sync_daemon_runs(running: &BTreeMap<SyncRole, SyncDaemon>, wanted: &SyncDaemon) -> bool {
    let live = running.get(&wanted.role);
    live.is_some_and(|live| differences(live, wanted).is_empty())
}

/// Returns the settings of `wanted` with a value that `live` does not have.
fn differences(live: &SyncDaemon, wanted: &SyncDaemon) -> Vec<Difference> {
    let fields = |daemon: &SyncDaemon| {
        [
            ("interface", Some(daemon.interface.to_string())),
            ("syncid", Some(daemon.sync_id.to_string())),
            ("group", daemon.group.map(|group| group.to_string())),
            ("port", daemon.port.map(|port| port.to_string())),
            ("ttl", daemon.time_to_live.map(|hops| hops.to_string())),
            (
                "maxlen",
                daemon.maximum_length.map(|length| length.to_string()),
            ),
        ]
    };
    (fields(live).into_iter())
        .zip(fields(wanted))
        .filter_map(|((field, live), (_, desired))| {
            let desired = desired.filter(|desired| live.as_ref() != Some(desired))?;
            Some(Difference {
                field,
                live: live.unwrap_or_else(|| "unknown".to_owned()),
                desired,
            })
        })
        .collect()
}
