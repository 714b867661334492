//! Reads the kernel's counters for `/metrics`, in a thread of its own: a list of 45,000 virtual servers holds up no
//! rule and no scrape.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ipvs::VirtualServerKey;
use kernel::OpenError;
use kernel::linux::{Counted, Counters};
use model::names::ServicePortName;
use tracing::warn;

use crate::health::Moment;
use crate::metrics::{Traffic, VirtualServerTraffic};
use crate::run::Observer;
use reconciler::{Reconciler, Report};

/// The time from one reading to the next: Prometheus asks every 15 s or less often.
const PERIOD: Duration = Duration::from_secs(10);

/// Readings take one part in so many of a processor's time at most.
const SHARE: u32 = 20;

/// Owners of the virtual servers.
type Owners = BTreeMap<VirtualServerKey, Arc<ServicePortName>>;

/// Tells the reader whose the virtual servers are, whenever that changes.
#[derive(Debug)]
pub struct Watcher {
    slot: Arc<Slot>,
    changed: bool,
}

impl Watcher {
    /// Starts to read into `traffic`, in the calling thread's network namespace, once it is known whose the
    /// virtual servers are; with `endpoints` real servers too.
    ///
    /// # Errors
    ///
    /// IPVS cannot be reached.
    pub fn start(traffic: Traffic, endpoints: bool) -> Result<Self, OpenError> {
        let mut counters = Counters::open()?;
        let slot = Arc::new(Slot::default());
        let theirs = Arc::clone(&slot);
        thread::spawn(move || {
            while let Some(owners) = theirs.owners() {
                let began = Instant::now();
                match counters.read(|key| endpoints && owners.contains_key(key)) {
                    Ok(counted) => traffic.set(attribute(counted, &owners)),
                    Err(problem) => {
                        warn!("traffic metrics are old: {}", model::chain(&problem));
                    }
                }
                theirs.rest(pause(began.elapsed()));
            }
        });
        Ok(Self {
            slot,
            changed: true,
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.slot.state().ended = true;
        self.slot.woken.notify_all();
    }
}

impl Observer for Watcher {
    // A virtual server may come to be another Service's without any change of the kernel.
    fn reported(&mut self, report: &Report, _now: Moment) {
        self.changed |= matches!(report, Report::Synced { .. });
    }

    fn idle(&mut self, reconciler: &Reconciler, _now: Moment) {
        if self.changed && reconciler.has_synced() {
            self.changed = false;
            let owners = reconciler.desired().owners.virtual_servers.clone();
            self.slot.state().owners = Some(Arc::new(owners));
            self.slot.woken.notify_all();
        }
    }
}

/// Returns the time to rest after a reading that took so long.
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

/// State that the loop and the reader share.
#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// `None` before they are known.
    owners: Option<Arc<Owners>>,
    ended: bool,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is known whose the virtual servers are; none at the end.
    fn owners(&self) -> Option<Arc<Owners>> {
        let unknown = |state: &mut State| state.owners.is_none() && !state.ended;
        let waited = self.woken.wait_while(self.state(), unknown);
        let state = waited.unwrap_or_else(PoisonError::into_inner);
        match state.ended {
            true => None,
            false => state.owners.clone(),
        }
    }

    /// Waits that long, or for the end.
    fn rest(&self, time: Duration) {
        let going = |state: &mut State| !state.ended;
        drop(self.woken.wait_timeout_while(self.state(), time, going));
    }
}
