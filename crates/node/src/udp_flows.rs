//! Deletes stale UDP flows in a thread of its own, so that a table of a million flows holds up no rule
//! (deviation D17, k/k#135323).

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
use model::tables::{Desired, NodeTables};
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

/// Returns the servers that may answer at each UDP virtual server with real servers: those that it should have, and those that the
/// kernel has, `live`, for one that drains answers until it is deleted. Where UDP servers do not drain, endpoints that
/// terminate and still serve may answer what they have begun. Virtual servers in `foreign` are left out: their flows lead to real servers
/// that no Service knows.
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
        let finishing = (desired.finishing.get(key)).filter(|_| !udp_drains);
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
    flows
}

/// Returns true if `op` changes where UDP flows may go.
fn concerns_udp(op: &Op) -> bool {
    let key = match op {
        Op::AddVirtualServer(server) => server.key,
        // The first one to serve takes over what led nowhere; one that goes leaves flows behind.
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

/// Asks for a pass at the start, and whenever UDP real servers change.
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
            tell(&outcome, began.elapsed(), &metrics);
            outcome.is_ok()
        });
        Ok(Self {
            cleaner,
            needed: true,
        })
    }
}

fn tell(outcome: &Result<Cleared, ConntrackError>, took: Duration, metrics: &Metrics) {
    match outcome {
        Ok(cleared) => {
            let families = [ipvs::AddressFamily::Ipv4, ipvs::AddressFamily::Ipv6];
            for (family, deleted) in families.into_iter().zip(cleared.deleted) {
                metrics.conntrack_cleaned(family, took, deleted);
            }
            debug!(?cleared, ?took, "looked for stale UDP flows");
        }
        Err(problem) => warn!("stale UDP flows stay: {}", model::chain(problem)),
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

/// A thread that works on the last thing it was asked for. What was asked before and not begun is forgotten.
#[derive(Debug)]
struct Cleaner {
    flows: latest::Sender<UdpFlows>,
}

impl Cleaner {
    /// `work` says whether it succeeded; otherwise it is asked again, unless something newer came.
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
