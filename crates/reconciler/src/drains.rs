//! Draining of real servers whose endpoints left their Service (deviations D6 and D26).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ownership::Owned;
use ipvs::{Connections, Protocol, RealServerKey, VirtualServerKey};
use model::cluster::ClusterState;
use model::config::NodeConfig;
use model::names::{ObjectName, ServicePortName};
use model::plan::Reason;
use model::snapshot::Snapshot;
use model::tables::{Desired, TableKeys, VirtualServerEntry};
use planner::HandOver;

/// Time between two counts of the connections of draining real servers. No reading happens while no
/// real server drains.
const POLL: Duration = Duration::from_secs(5);

/// Time between the weight 0 of a real server and the first reading that may end its drain. A
/// packet that was being scheduled when the weight was written has created its connection by then,
/// so the reading shows it.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// A real server that gets no new connections and keeps its existing ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// The Service port that it left.
    pub owner: Option<Arc<ServicePortName>>,
    /// Time when its weight 0 was first seen. A restart of the daemon restarts the drain, and so
    /// does a weight that another program set.
    pub since: Instant,
    /// Latest time of its deletion; `None` if it has no deadline.
    pub deadline: Option<Instant>,
    /// Connections at the last count.
    pub connections: Connections,
    /// True if a reading at least [`GRACE`] after `since` showed no connection.
    idle: bool,
    /// True if its endpoint was seen terminating, so that its removal does not count as a loss.
    terminated: bool,
}

/// Identifies a draining real server by the key of its virtual server and its own key.
pub type DrainKey = (VirtualServerKey, RealServerKey);

/// All draining real servers.
#[derive(Debug, Default)]
pub(crate) struct Drains {
    drains: BTreeMap<DrainKey, Drain>,
    /// Virtual servers of single ports that wait for the end of their connections, because the one
    /// of every port replaces them, with the time when they were first seen.
    handing_over: BTreeMap<VirtualServerKey, Instant>,
}

impl Drains {
    pub(crate) fn all(&self) -> &BTreeMap<DrainKey, Drain> {
        &self.drains
    }

    /// Returns the real servers that drain from `server`.
    pub(crate) fn of(&self, server: VirtualServerKey) -> impl Iterator<Item = (&DrainKey, &Drain)> {
        at(&self.drains, server)
    }

    /// Counts the connections after a reading that started at `began` and is now in `live`. `keys`
    /// names the virtual servers that were read, `None` stands for all.
    pub(crate) fn counted(
        &mut self,
        keys: Option<&BTreeSet<VirtualServerKey>>,
        live: &Snapshot,
        began: Instant,
    ) {
        let counted: Vec<DrainKey> = match keys {
            None => self.drains.keys().copied().collect(),
            Some(keys) => (keys.iter())
                .flat_map(|server| at(&self.drains, *server))
                .map(|(key, _)| *key)
                .collect(),
        };
        for key in counted {
            if weight(live, &key).is_some_and(|weight| weight != 0) {
                // The sync that read this weight writes 0 again, which starts another drain.
                self.drains.remove(&key);
            } else if let Some(drain) = self.drains.get_mut(&key) {
                drain.connections = live.connections.get(&key).copied().unwrap_or_default();
                let Connections {
                    active, inactive, ..
                } = drain.connections;
                drain.idle = began >= drain.since + GRACE && active == 0 && inactive == 0;
            }
        }
    }

    /// Returns the real servers leaving `keys` that are to be deleted, each with the reason.
    ///
    /// A drain ends only at a virtual server that this sync has `read`. Another program may have
    /// set a weight since, and the real server may have got new connections.
    pub(crate) fn ended(
        &self,
        view: &View<'_>,
        keys: &TableKeys,
        read: impl Fn(VirtualServerKey) -> bool,
        now: Instant,
    ) -> BTreeMap<DrainKey, Reason> {
        let mut ended = BTreeMap::new();
        for server in keys.virtual_servers.iter().filter(|key| read(**key)) {
            ended.extend(self.handed_over(view, *server, now));
            for (key, drain) in at(&self.drains, *server) {
                if drain.idle {
                    ended.insert(*key, Reason::Drained);
                } else if is_over(drain.since, view.deadline(*server, drain.since), now) {
                    ended.insert(*key, Reason::DrainExpired);
                }
            }
        }
        if view.config.cut_lost_endpoints {
            let leaving: BTreeMap<DrainKey, u32> = view.leaving(keys).collect();
            let terminating = view.terminating(leaving.keys());
            let lost = leaving.iter().filter(|(key, weight)| {
                let terminated =
                    (self.drains.get(key)).map_or(**weight == 0, |drain| drain.terminated);
                !terminated && !terminating.contains_key(key)
            });
            ended.extend(lost.map(|(key, _)| (*key, Reason::Lost)));
        }
        ended
    }

    /// Returns the real servers of `server`, which the virtual server of every port replaces, if
    /// its hand-over ends: none of them has a connection, or the time of a drain has passed.
    fn handed_over(
        &self,
        view: &View<'_>,
        server: VirtualServerKey,
        now: Instant,
    ) -> Vec<(DrainKey, Reason)> {
        let (Some(since), Some(live)) = (
            self.handing_over.get(&server),
            view.live.tables.virtual_servers.get(&server),
        ) else {
            return Vec::new();
        };
        let keys = || live.real_servers.keys().map(|real| (server, *real));
        let is_busy = |key| {
            let connections = view.live.connections.get(&key);
            connections.is_some_and(|count| count.active > 0 || count.inactive > 0)
        };
        let deadline = deadline(view.desired, view.config, server, *since);
        let reason = if !keys().any(is_busy) {
            Reason::Drained
        } else if deadline.is_some_and(|deadline| deadline <= now) {
            Reason::DrainExpired
        } else {
            return Vec::new();
        };
        keys().map(|key| (key, reason.clone())).collect()
    }

    /// Updates the hand-overs of `keys` after a sync, and returns the time of the next count for
    /// each of them.
    fn refresh_handovers(
        &mut self,
        view: &View<'_>,
        keys: &TableKeys,
        now: Instant,
    ) -> BTreeMap<VirtualServerKey, Instant> {
        let mut next = BTreeMap::new();
        for server in &keys.virtual_servers {
            let hand_over = HandOver::of(view.desired, view.live, *server)
                .filter(|_| view.owned.is_ours(view.live, *server));
            if hand_over != Some(HandOver::ToEveryPort) {
                self.handing_over.remove(server);
            }
            let at = match hand_over {
                None => continue,
                Some(HandOver::ToEveryPort) => {
                    let since = *self.handing_over.entry(*server).or_insert(now);
                    let count = if since == now {
                        now + GRACE
                    } else {
                        now + POLL
                    };
                    match deadline(view.desired, view.config, *server, since) {
                        Some(deadline) if deadline > now => count.min(deadline),
                        _ => count,
                    }
                }
                // Its real servers drain; without any it is deleted.
                Some(HandOver::ToPorts) => now + POLL,
            };
            next.insert(*server, at);
        }
        next
    }

    /// Updates the drains after a sync of `keys`. Returns the time of the next count for each
    /// virtual server of `keys` that has draining real servers.
    pub(crate) fn refresh(
        &mut self,
        view: &View<'_>,
        keys: &TableKeys,
        now: Instant,
    ) -> BTreeMap<VirtualServerKey, Instant> {
        let leaving: BTreeSet<DrainKey> = (view.leaving(keys))
            .filter(|(_, weight)| *weight == 0)
            .map(|(key, _)| key)
            .collect();
        for server in &keys.virtual_servers {
            let gone: Vec<DrainKey> = at(&self.drains, *server)
                .map(|(key, _)| *key)
                .filter(|key| !leaving.contains(key))
                .collect();
            for key in gone {
                self.drains.remove(&key);
            }
        }
        let terminating = view.terminating(&leaving);
        let mut next = self.refresh_handovers(view, keys, now);
        for key in leaving {
            let terminating = terminating.get(&key).copied();
            let drain = self.drains.entry(key).or_insert_with(|| Drain {
                owner: view.desired.owner(key.0).cloned(),
                since: now,
                deadline: None,
                connections: Connections::default(),
                idle: false,
                // The state of its endpoint before the start of this process is unknown.
                terminated: terminating.is_none(),
            });
            drain.terminated |= terminating == Some(true);
            // The policy of the Service may have changed.
            drain.deadline = view.deadline(key.0, drain.since);
            let first = drain.since + GRACE;
            let count = if first > now { first } else { now + POLL };
            let at = match drain.deadline {
                Some(deadline) if deadline > now => count.min(deadline),
                _ => count,
            };
            let first = next.entry(key.0).or_insert(at);
            *first = at.min(*first);
        }
        next
    }

    /// Recomputes the deadlines of all drains for `config`.
    pub(crate) fn follow(&mut self, desired: &Desired, config: &NodeConfig) {
        for ((server, _), drain) in &mut self.drains {
            drain.deadline = deadline(desired, config, *server, drain.since);
        }
    }
}

/// Returns true if the deadline has passed and the weight has been 0 for at least [`GRACE`].
fn is_over(since: Instant, deadline: Option<Instant>, now: Instant) -> bool {
    now >= since + GRACE && deadline.is_some_and(|deadline| deadline <= now)
}

/// Returns the weight of a real server in the kernel.
fn weight(live: &Snapshot, (server, real): &DrainKey) -> Option<u32> {
    let server = live.tables.virtual_servers.get(server)?;
    server.real_servers.get(real).map(|real| real.weight)
}

/// Returns the deadline of a drain from `server`.
///
/// The kernel does not know the end of a UDP flow, so a UDP drain always has a deadline. With a UDP
/// drain timeout of zero, no UDP real server drains.
fn deadline(
    desired: &Desired,
    config: &NodeConfig,
    server: VirtualServerKey,
    since: Instant,
) -> Option<Instant> {
    let timeout = desired.drain_timeout(server, config);
    let is_udp = matches!(
        server,
        VirtualServerKey::Address {
            protocol: Protocol::Udp,
            ..
        }
    );
    (is_udp || !timeout.is_zero()).then(|| since + timeout)
}

fn first_of(server: VirtualServerKey) -> DrainKey {
    let first = RealServerKey {
        address: Ipv4Addr::UNSPECIFIED.into(),
        port: 0,
    };
    (server, first)
}

fn at(
    drains: &BTreeMap<DrainKey, Drain>,
    server: VirtualServerKey,
) -> impl Iterator<Item = (&DrainKey, &Drain)> {
    (drains.range(first_of(server)..)).take_while(move |((at, _), _)| *at == server)
}

/// The state that decides which real servers leave, and for which reason.
pub(crate) struct View<'a> {
    pub(crate) config: &'a NodeConfig,
    pub(crate) cluster: &'a ClusterState,
    pub(crate) desired: &'a Desired,
    pub(crate) live: &'a Snapshot,
    pub(crate) owned: &'a Owned,
}

impl View<'_> {
    /// Returns the deadline of a drain from `server` under the current policy of its Service, which
    /// may have changed since the drain was last refreshed.
    fn deadline(&self, server: VirtualServerKey, since: Instant) -> Option<Instant> {
        deadline(self.desired, self.config, server, since)
    }

    /// Returns the real servers that are not desired and drain, with their weights, at those
    /// virtual servers of `keys` that are ours and desired.
    fn leaving(&self, keys: &TableKeys) -> impl Iterator<Item = (DrainKey, u32)> {
        let live = &self.live.tables.virtual_servers;
        let udp = !self.config.udp_drain_timeout.is_zero();
        (keys.virtual_servers.iter().copied())
            .filter(|key| self.owned.is_ours(self.live, *key))
            .filter_map(move |key| {
                let wanted = planner::entry_now(self.desired, self.live, key)?;
                Some((key, wanted, live.get(&key)?))
            })
            .flat_map(|(key, wanted, live)| {
                let leaving = leaving(&wanted, live).collect::<Vec<_>>();
                (leaving.into_iter()).map(move |(real, weight)| ((key, real), weight))
            })
            .filter(move |(place, _)| planner::drains(self.desired, udp, *place))
    }

    /// Returns for each endpoint behind `leaving` whether it terminates. Endpoints that their
    /// Service no longer has are left out.
    ///
    /// The endpoints of a Service are read once for each virtual server, however many of them
    /// leave.
    fn terminating<'k>(
        &self,
        leaving: impl IntoIterator<Item = &'k DrainKey>,
    ) -> BTreeMap<DrainKey, bool> {
        let mut by_server: BTreeMap<VirtualServerKey, BTreeMap<IpAddr, Option<bool>>> =
            BTreeMap::new();
        let leaving: Vec<&DrainKey> = leaving.into_iter().collect();
        for (server, real) in &leaving {
            let addresses = by_server.entry(*server).or_default();
            addresses.insert(real.address, None);
        }
        for (server, addresses) in &mut by_server {
            let Some(owner) = self.desired.owner(*server) else {
                continue;
            };
            let service: &ObjectName = &owner.service;
            for endpoint in (self.cluster.slices(service)).flat_map(|slice| slice.endpoints) {
                let address = endpoint.address.as_result().ok();
                if let Some(known) = address.and_then(|address| addresses.get_mut(address)) {
                    *known = (*known).max(Some(endpoint.terminating));
                }
            }
        }
        let known = |key: &DrainKey| *by_server.get(&key.0)?.get(&key.1.address)?;
        (leaving.into_iter())
            .filter_map(|key| Some((*key, known(key)?)))
            .collect()
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
