//! Real servers that left their Service and still have connections (deviation D6).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipvs::{Connections, Protocol, RealServerKey, VirtualServerKey};
use model::cluster::ClusterState;
use model::config::NodeConfig;
use model::names::{ObjectName, ServicePortName};
use model::plan::Reason;
use model::snapshot::Snapshot;
use model::tables::{Desired, TableKeys, VirtualServerEntry};

/// How often connections of draining real servers are counted. Nothing is read while none drains.
const POLL: Duration = Duration::from_secs(5);

/// A real server that gets no new connections and keeps those it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// The Service port that it left.
    pub owner: Option<Arc<ServicePortName>>,
    /// When it was first seen to drain; a restart of the daemon begins anew.
    pub since: Instant,
    /// When it is deleted at the latest; none is never.
    pub deadline: Option<Instant>,
    /// The connections that it had when they were counted last.
    pub connections: Connections,
    /// Whether its endpoint was seen to terminate, so that its vanishing is no loss.
    terminated: bool,
}

/// A real server by its virtual server's key and its own.
pub type DrainKey = (VirtualServerKey, RealServerKey);

/// Every real server that drains.
#[derive(Debug, Default)]
pub(super) struct Drains {
    drains: BTreeMap<DrainKey, Drain>,
    poll_at: Option<Instant>,
}

impl Drains {
    pub(super) fn all(&self) -> &BTreeMap<DrainKey, Drain> {
        &self.drains
    }

    /// When connections are to be counted next, or a deadline comes.
    pub(super) fn next(&self) -> Option<Instant> {
        let deadlines = self.drains.values().filter_map(|drain| drain.deadline);
        deadlines.chain(self.poll_at).min()
    }

    /// The virtual servers that real servers drain from, if these are due to be read.
    pub(super) fn due(&self, now: Instant) -> Option<TableKeys> {
        self.next().filter(|at| *at <= now)?;
        Some(TableKeys {
            virtual_servers: self.drains.keys().map(|(key, _)| *key).collect(),
            ..TableKeys::default()
        })
    }

    /// Which of the real servers that leave `keys` (none: any) are to be deleted although they have
    /// connections.
    pub(super) fn cut(
        &mut self,
        view: &View<'_>,
        keys: Option<&TableKeys>,
        now: Instant,
    ) -> BTreeMap<DrainKey, Reason> {
        let mut cut: BTreeMap<DrainKey, Reason> = (self.drains.iter())
            .filter(|(_, drain)| drain.deadline.is_some_and(|deadline| deadline <= now))
            .map(|(key, _)| (*key, Reason::DrainExpired))
            .collect();
        if view.config.cut_lost_endpoints {
            let lost = view.leaving(keys).filter(|(key, weight)| {
                let terminated =
                    (self.drains.get(key)).map_or(*weight == 0, |drain| drain.terminated);
                !terminated && view.terminating(key).is_none()
            });
            cut.extend(lost.map(|(key, _)| (key, Reason::Lost)));
        }
        cut
    }

    /// Takes in what the kernel holds after a synchronisation of `keys` (none: of everything).
    pub(super) fn refresh(&mut self, view: &View<'_>, keys: Option<&TableKeys>, now: Instant) {
        let leaving: BTreeSet<DrainKey> = (view.leaving(keys))
            .filter(|(_, weight)| *weight == 0)
            .map(|(key, _)| key)
            .collect();
        let concerned =
            |key: &DrainKey| keys.is_none_or(|keys| keys.virtual_servers.contains(&key.0));
        self.drains
            .retain(|key, _| !concerned(key) || leaving.contains(key));
        for key in leaving {
            let deadline = match view.config.drain_timeout {
                Duration::ZERO => None,
                timeout => Some(now + timeout),
            };
            let drain = self.drains.entry(key).or_insert_with(|| Drain {
                owner: view.desired.owners.virtual_servers.get(&key.0).cloned(),
                since: now,
                deadline,
                connections: Connections::default(),
                // Of one that drained before this process began, nothing is known.
                terminated: view.terminating(&key).is_none(),
            });
            drain.connections = (view.live.connections.get(&key))
                .copied()
                .unwrap_or_default();
            drain.terminated |= view.terminating(&key) == Some(true);
        }
        self.poll_at = (!self.drains.is_empty()).then(|| match self.poll_at {
            Some(at) if at > now => at,
            _ => now + POLL,
        });
    }

    /// Gives every drain the time that `config` gives it now.
    pub(super) fn follow(&mut self, config: &NodeConfig) {
        for drain in self.drains.values_mut() {
            drain.deadline = match config.drain_timeout {
                Duration::ZERO => None,
                timeout => Some(drain.since + timeout),
            };
        }
    }
}

/// What tells which real servers leave, and why.
pub(super) struct View<'a> {
    pub(super) config: &'a NodeConfig,
    pub(super) cluster: &'a ClusterState,
    pub(super) desired: &'a Desired,
    pub(super) live: &'a Snapshot,
}

impl View<'_> {
    /// TCP real servers that virtual servers hold which stay, and that should go; with their weight.
    fn leaving(&self, keys: Option<&TableKeys>) -> impl Iterator<Item = (DrainKey, u32)> {
        let desired = &self.desired.tables.virtual_servers;
        let live = &self.live.tables.virtual_servers;
        let keys: Vec<VirtualServerKey> = match keys {
            Some(keys) => keys.virtual_servers.iter().copied().collect(),
            None => desired.keys().copied().collect(),
        };
        (keys.into_iter())
            .filter(|key| is_tcp(*key))
            .filter_map(move |key| Some((key, desired.get(&key)?, live.get(&key)?)))
            .flat_map(|(key, desired, live)| {
                leaving(desired, live).map(move |(real, weight)| ((key, real), weight))
            })
    }

    /// Whether the endpoint behind a real server terminates; none where the Service has no such
    /// endpoint any more.
    fn terminating(&self, (key, real): &DrainKey) -> Option<bool> {
        let owner = self.desired.owners.virtual_servers.get(key)?;
        let service: &ObjectName = &owner.service;
        (self.cluster.slices(service))
            .flat_map(|slice| slice.endpoints)
            .filter(|endpoint| endpoint.address.as_result() == Ok(&real.address))
            .map(|endpoint| endpoint.terminating)
            .max()
    }
}

fn leaving<'a>(
    desired: &'a VirtualServerEntry,
    live: &'a VirtualServerEntry,
) -> impl Iterator<Item = (RealServerKey, u32)> + 'a {
    (live.real_servers.values())
        .filter(|real| !desired.real_servers.contains_key(&real.key))
        .map(|real| (real.key, real.weight))
}

fn is_tcp(key: VirtualServerKey) -> bool {
    matches!(
        key,
        VirtualServerKey::Address {
            protocol: Protocol::Tcp,
            ..
        }
    )
}
