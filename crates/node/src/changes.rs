//! Changes of the cluster until they are applied, for kube-proxy's metrics of them.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use ipvs::AddressFamily;
use model::cluster::{ClusterEvent, EndpointSlice, Object, ObjectKind};
use model::names::ObjectName;

use crate::metrics::Changes;

/// Maximum number of changes whose time is measured at once; later ones are not measured.
const MEASURED: usize = 65_536;

/// Maximum number of batches whose changes are counted apart; later changes count to the last one.
const BATCHES: usize = 1024;

/// Measures the time from the change of a pod or Service until this node serves it, and counts the changes that
/// wait.
#[derive(Debug)]
pub struct ProgrammingLatency {
    /// A change before this is not this daemon's delay.
    started: SystemTime,
    /// Cluster events so far.
    received: u64,
    services: u64,
    endpoints: u64,
    /// Changes that wait, oldest first.
    waiting: VecDeque<Batch>,
    /// Slices that wait, oldest first.
    measured: VecDeque<Measured>,
}

/// Changes that arrived between two calls of [`ProgrammingLatency::applied`].
#[derive(Clone, Copy, Debug, Default)]
struct Batch {
    /// Number of its last event.
    through: u64,
    services: usize,
    endpoints: usize,
}

/// A change of a slice.
#[derive(Debug)]
struct Measured {
    /// Number of its event.
    number: u64,
    slice: ObjectName,
    family: AddressFamily,
    /// When the slice's controller saw the pod or Service change.
    triggered: SystemTime,
}

impl ProgrammingLatency {
    /// Measures changes since `started`.
    #[must_use]
    pub fn new(started: SystemTime) -> Self {
        Self {
            started,
            received: 0,
            services: 0,
            endpoints: 0,
            waiting: VecDeque::from([Batch::default()]),
            measured: VecDeque::new(),
        }
    }

    /// An event arrived. All events count; only one that `changed` something waits and is measured. A deleted
    /// slice is not measured: the time of its last change says nothing about the deletion
    /// (`EndpointsChangeTracker`, pkg/proxy/endpointschangetracker.go, Kubernetes 1.34).
    pub fn received(&mut self, event: &ClusterEvent, changed: bool) {
        self.received += 1;
        let received = self.received;
        let waits = usize::from(changed);
        let kind = match event {
            ClusterEvent::Upsert(object) => object.kind(),
            ClusterEvent::Undecodable(kind, ..) | ClusterEvent::Delete(kind, _) => *kind,
            ClusterEvent::ListStarted(_) | ClusterEvent::ListDone(_) => return,
        };
        if let Some(batch) = self.waiting.back_mut() {
            batch.through = received;
            match kind {
                ObjectKind::Service => batch.services += waits,
                ObjectKind::EndpointSlice => batch.endpoints += waits,
                ObjectKind::Node => {}
            }
        }
        match kind {
            ObjectKind::Service => self.services += 1,
            ObjectKind::EndpointSlice => self.endpoints += 1,
            ObjectKind::Node => {}
        }
        match event {
            ClusterEvent::Upsert(Object::EndpointSlice(slice))
                if changed && self.measured.len() < MEASURED =>
            {
                self.measured.extend(self.measure(slice));
            }
            ClusterEvent::Delete(ObjectKind::EndpointSlice, name) => {
                self.measured.retain(|measured| measured.slice != *name);
            }
            _ => {}
        }
    }

    fn measure(&self, slice: &EndpointSlice) -> Option<Measured> {
        let triggered = slice.triggered.filter(|time| *time > self.started)?;
        Some(Measured {
            number: self.received,
            slice: slice.name.clone(),
            family: slice.family?,
            triggered,
        })
    }

    /// The changes of the first `through` events have been tried at `now`, whatever led to it. Unless ops
    /// `failed`, returns how long each took from the change of the pod or Service.
    pub fn applied(
        &mut self,
        through: u64,
        failed: usize,
        now: SystemTime,
    ) -> Vec<(AddressFamily, Duration)> {
        while (self.waiting.front()).is_some_and(|batch| batch.through <= through) {
            self.waiting.pop_front();
        }
        let counted = |batch: &Batch| batch.services + batch.endpoints > 0;
        if self.waiting.back().is_none_or(counted) && self.waiting.len() < BATCHES {
            self.waiting.push_back(Batch::default());
        }
        let done = (self.measured).partition_point(|measured| measured.number <= through);
        let done = self.measured.drain(..done);
        if failed > 0 {
            return Vec::new();
        }
        // Clocks of two machines may differ: no time is below zero.
        let took = |since| now.duration_since(since).unwrap_or_default();
        done.map(|measured| (measured.family, took(measured.triggered)))
            .collect()
    }

    /// Changes of Services and of slices since the last call, and those that wait.
    pub fn counts(&mut self) -> (Changes, Changes) {
        let pending = |count: fn(&Batch) -> usize| self.waiting.iter().map(count).sum();
        let services = Changes {
            came: self.services,
            pending: pending(|batch| batch.services),
        };
        let endpoints = Changes {
            came: self.endpoints,
            pending: pending(|batch| batch.endpoints),
        };
        (self.services, self.endpoints) = (0, 0);
        (services, endpoints)
    }
}
