//! Deletes stale UDP flows in a separate thread, so that a table of a million flows does not delay
//! the loop (deviation D17, k/k#135323).

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{process, thread};

use ipvs::{Protocol, VirtualServerKey};
use kernel::OpOutcome;
use kernel::linux::{Cleared, Conntrack, ConntrackError};
use model::plan::{Op, Stage};
use model::tables::{Desired, NodeTables, every_port_of};
use model::udp_flows::UdpFlows;
use model::{Backoff, BackoffSettings};
use tracing::{debug, warn};

use crate::health::Moment;
use crate::latest;
use crate::metrics::Metrics;
use crate::run::Observer;
use reconciler::Reconciler;

/// Waits after failed passes.
const WAITS: BackoffSettings = BackoffSettings {
    base: Duration::from_secs(5),
    max: Duration::from_secs(300),
};

/// Returns the real servers that may answer for each UDP virtual server with real servers:
///
/// - its desired real servers
/// - its real servers in the kernel (`live`), since a draining one answers until it is deleted
/// - if UDP servers do not drain, terminating endpoints that still serve, since they may finish
///   their answers
///
/// Virtual servers in `foreign` are skipped, since their flows use real servers that no Service
/// has.
#[must_use]
pub fn wanted(
    desired: &Desired,
    live: &NodeTables,
    foreign: &BTreeSet<VirtualServerKey>,
    udp_drains: bool,
) -> UdpFlows {
    let mut flows = UdpFlows::default();
    for (key, entry) in &desired.tables.virtual_servers {
        let VirtualServerKey::Address {
            address,
            port,
            protocol: Protocol::Udp,
        } = key
        else {
            continue;
        };
        if entry.real_servers.is_empty() || foreign.contains(key) {
            continue;
        }
        let live = (live.virtual_servers.get(key)).map(|live| live.real_servers.keys());
        let finishing =
            (desired.finishing.get(key)).filter(|_| !desired.drains_udp(*key, udp_drains));
        let servers = (entry.real_servers.keys())
            .chain(live.into_iter().flatten())
            .chain(finishing.into_iter().flat_map(|all| all.iter()));
        flows.served.insert(
            SocketAddr::new(*address, *port),
            servers
                .map(|real| SocketAddr::new(real.address, real.port))
                .collect(),
        );
    }
    for (key, merged) in &desired.merged_ports {
        let VirtualServerKey::Address {
            address,
            port,
            protocol: Protocol::Udp,
        } = *key
        else {
            continue;
        };
        let every = every_port_of(*key);
        let every = every.and_then(|every| {
            let servers = [&desired.tables, live].map(|tables| tables.virtual_servers.get(&every));
            (!foreign.contains(key) && !foreign.contains(&every)).then_some((every, servers))
        });
        let Some((every, servers)) = every else {
            continue;
        };
        if merged.entry.real_servers.is_empty() {
            continue;
        }
        let finishing =
            (desired.finishing.get(&every)).filter(|_| !desired.drains_udp(every, udp_drains));
        let servers = (servers.into_iter().flatten())
            .flat_map(|entry| entry.real_servers.keys())
            .chain(finishing.into_iter().flat_map(|all| all.iter()));
        // The real servers of every port keep the packet's port.
        let answering = servers.map(|real| SocketAddr::new(real.address, port));
        let place = SocketAddr::new(address, port);
        flows.served.insert(place, answering.collect());
    }
    flows
}

/// Returns true if `op` changes the allowed real servers of UDP flows.
fn concerns_udp(op: &Op) -> bool {
    let key = match op {
        Op::AddVirtualServer(server) => server.key,
        // Flows that had no real server may use the first one. A deleted real server leaves stale
        // flows.
        Op::AddRealServer(key, _) | Op::DelRealServer(key, _) => *key,
        _ => return false,
    };
    matches!(
        key,
        VirtualServerKey::Address {
            protocol: Protocol::Udp,
            ..
        }
    )
}

/// Requests a pass at the start and whenever UDP real servers change.
#[derive(Debug)]
pub struct Watcher {
    cleaner: Cleaner,
    needed: bool,
}

impl Watcher {
    /// Starts the cleaner in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// The connection tracker cannot be reached.
    pub fn start(metrics: Arc<Metrics>) -> Result<Self, ConntrackError> {
        let mut conntrack = Conntrack::open()?;
        let cleaner = Cleaner::start(move |flows| {
            let began = Instant::now();
            let outcome = conntrack.clear_stale(flows);
            report(&outcome, began.elapsed(), &metrics);
            outcome.is_ok()
        });
        Ok(Self {
            cleaner,
            needed: true,
        })
    }
}

fn report(outcome: &Result<Cleared, ConntrackError>, took: Duration, metrics: &Metrics) {
    match outcome {
        Ok(cleared) => {
            let families = [ipvs::AddressFamily::Ipv4, ipvs::AddressFamily::Ipv6];
            for (family, deleted) in families.into_iter().zip(cleared.deleted) {
                metrics.conntrack_cleaned(family, took, deleted);
            }
            debug!(?cleared, ?took, "checked for stale UDP flows");
        }
        Err(problem) => warn!(
            "failed to delete stale UDP flows: {}; trying again",
            model::chain(problem)
        ),
    }
}

impl Observer for Watcher {
    fn applied(&mut self, stage: &Stage, _outcomes: &[OpOutcome]) {
        self.needed |= stage.ops.iter().any(|planned| concerns_udp(&planned.op));
    }

    fn idle(&mut self, reconciler: &Reconciler, _now: Moment) {
        if self.needed
            && reconciler.has_synced()
            && let Some(live) = reconciler.live()
        {
            self.needed = false;
            let foreign = reconciler.foreign().collect();
            let udp_drains = !reconciler.config().udp_drain_timeout.is_zero();
            let flows = wanted(reconciler.desired(), &live.tables, &foreign, udp_drains);
            self.cleaner.request(flows);
        }
    }
}

/// A thread that works on the latest request. A newer request replaces one that has not begun.
#[derive(Debug)]
struct Cleaner {
    flows: latest::Sender<UdpFlows>,
}

impl Cleaner {
    /// Starts the thread. `work` returns true on success. After a failure the request is repeated,
    /// unless there is a newer one.
    fn start(mut work: impl FnMut(&UdpFlows) -> bool + Send + 'static) -> Self {
        let (flows, latest) = latest::channel();
        thread::spawn(move || {
            let mut backoff = Backoff::new(WAITS, u64::from(process::id()));
            let mut failures = 0;
            while let Some(flows) = latest.take() {
                if work(&flows) {
                    failures = 0;
                } else {
                    failures += 1;
                    if latest.pause(backoff.wait(failures)) {
                        latest.put_back(flows);
                    }
                }
            }
        });
        Self { flows }
    }

    fn request(&self, flows: UdpFlows) {
        self.flows.send(flows);
    }
}
