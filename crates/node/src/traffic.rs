//! Reads the kernel's counters for `/metrics` in a separate thread, so that a list of 45,000
//! virtual servers delays neither the loop nor a scrape.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ipvs::VirtualServerKey;
use kernel::OpenError;
use kernel::linux::{Counted, Counters};
use model::names::ServicePortName;
use tracing::warn;

use crate::health::Moment;
use crate::latest;
use crate::metrics::{Traffic, VirtualServerTraffic};
use crate::run::Observer;
use reconciler::{Reconciler, Report};

/// Time between two readings. Prometheus scrapes every 15 s or less often.
const PERIOD: Duration = Duration::from_secs(10);

/// The pause after a reading is at least this many times its duration.
const SHARE: u32 = 20;

/// Service ports by the virtual servers that they own.
type Owners = BTreeMap<VirtualServerKey, Arc<ServicePortName>>;

/// Sends the owners of the virtual servers to the reader thread whenever they change.
#[derive(Debug)]
pub struct Watcher {
    owners: latest::Sender<Arc<Owners>>,
    changed: bool,
}

impl Watcher {
    /// Starts the reader thread. It reads into `traffic`, in the calling thread's network
    /// namespace, as soon as the owners of the virtual servers are known. With `endpoints` it also
    /// reads real servers.
    ///
    /// # Errors
    ///
    /// IPVS cannot be reached.
    pub fn start(traffic: Traffic, endpoints: bool) -> Result<Self, OpenError> {
        let mut counters = Counters::open()?;
        let (owners, latest) = latest::channel::<Arc<Owners>>();
        thread::spawn(move || {
            while let Some(owners) = latest.latest() {
                let began = Instant::now();
                match counters.read(|key| endpoints && owners.contains_key(key)) {
                    Ok(counted) => traffic.set(attribute(counted, &owners)),
                    Err(problem) => {
                        warn!(
                            "failed to read the counters of IPVS: {}; traffic metrics keep their last values",
                            model::chain(&problem)
                        );
                    }
                }
                latest.rest(pause(began.elapsed()));
            }
        });
        Ok(Self {
            owners,
            changed: true,
        })
    }
}

impl Observer for Watcher {
    // A virtual server may get another owner without a change in the kernel.
    fn reported(&mut self, report: &Report, _now: Moment) {
        self.changed |= matches!(report, Report::Synced { .. });
    }

    fn idle(&mut self, reconciler: &Reconciler, _now: Moment) {
        if self.changed && reconciler.has_synced() {
            self.changed = false;
            let desired = reconciler.desired();
            let mut owners = desired.owners.virtual_servers.clone();
            // Virtual servers that are being replaced.
            let merged = desired.merged_ports.iter();
            owners.extend(merged.map(|(key, merged)| (*key, merged.owner.clone())));
            self.owners.send(Arc::new(owners));
        }
    }
}

/// Returns the pause after a reading that took `took`.
fn pause(took: Duration) -> Duration {
    PERIOD.max(took * SHARE)
}

/// Assigns the counters of our virtual servers to their owners.
fn attribute(counted: Vec<Counted>, owners: &Owners) -> Arc<[VirtualServerTraffic]> {
    let ours = counted.into_iter().filter_map(|counted| {
        let owner = owners.get(&counted.key)?;
        Some(VirtualServerTraffic {
            key: counted.key,
            owner: Some(owner.clone()),
            statistics: counted.statistics,
            real_servers: counted.real_servers,
        })
    });
    ours.collect()
}
