//! Arrival times of unapplied changes, by Service.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use model::names::ObjectName;

/// Maximum number of unapplied changes with a known arrival. Further changes have no latency.
const MEASURED: usize = 65_536;

/// Arrival times of the changes of Services that are not applied yet.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Number of cluster events so far.
    received: u64,
    /// Unapplied changes, oldest first: the number of the event, and the Service.
    waiting: VecDeque<(u64, ObjectName)>,
    /// Arrivals of the waiting changes of each Service, oldest first.
    times: BTreeMap<ObjectName, VecDeque<Instant>>,
}

impl Arrivals {
    /// Counts a cluster event.
    pub(super) fn count(&mut self) {
        self.received += 1;
    }

    /// Records that the last counted event changed `services`.
    pub(super) fn add(&mut self, services: &BTreeSet<ObjectName>, arrived: Instant) {
        for service in services {
            if self.waiting.len() >= MEASURED {
                return;
            }
            self.waiting.push_back((self.received, service.clone()));
            let times = self.times.entry(service.clone()).or_default();
            times.push_back(arrived);
        }
    }

    /// Returns the arrival of the oldest unapplied change of `service`.
    pub(super) fn oldest(&self, service: &ObjectName) -> Option<Instant> {
        self.times.get(service)?.front().copied()
    }

    /// Drops the changes of the first `through` events.
    pub(super) fn applied(&mut self, through: u64) {
        while let Some((_, service)) = (self.waiting).pop_front_if(|(number, _)| *number <= through)
        {
            if let Some(times) = self.times.get_mut(&service) {
                times.pop_front();
                if times.is_empty() {
                    self.times.remove(&service);
                }
            }
        }
    }
}
