//! Tracks changes of the cluster until they are applied, for kube-proxy's metrics of programming
//! latency.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use ipvs::AddressFamily;
use model::cluster::{ClusterEvent, Object, ObjectKind};
use model::names::ObjectName;

use crate::metrics::Changes;

/// Maximum number of waiting changes whose latency is measured; further ones are not measured.
const MEASURED: usize = 65_536;

/// Maximum number of separate batches; further changes are added to the last batch.
const BATCHES: usize = 1024;

/// Measures the time from the change of a pod or Service until this node serves it, and counts the
/// changes that are not applied yet.
#[derive(Debug)]
pub struct ProgrammingLatency {
    /// Start of the daemon. Earlier changes are not measured: their delay is not this daemon's.
    started: SystemTime,
    /// Number of cluster events so far.
    received: u64,
    services: u64,
    endpoints: u64,
    /// Changes that are not applied yet, oldest first.
    waiting: VecDeque<Batch>,
    /// Changes of slices that are not applied yet, oldest first.
    measured: VecDeque<Measured>,
}

/// Changes that arrived between two calls of [`ProgrammingLatency::applied`].
#[derive(Clone, Copy, Debug, Default)]
struct Batch {
    /// Number of the batch's last event.
    through: u64,
    services: usize,
    endpoints: usize,
}

/// A change of an EndpointSlice.
#[derive(Debug)]
struct Measured {
    /// Number of the event.
    number: u64,
    slice: ObjectName,
    family: AddressFamily,
    /// Time at which the EndpointSlice controller saw the pod or Service change.
    triggered: SystemTime,
}

/// The parts of a [`ClusterEvent`] that are needed after the reconciler has taken it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The start or the end of a list.
    List,
    /// An object of this kind.
    Object(ObjectKind),
    /// An EndpointSlice.
    Slice {
        /// Its name.
        name: ObjectName,
        /// The family of its addresses.
        family: Option<AddressFamily>,
        /// Time at which the EndpointSlice controller saw the pod or Service change.
        triggered: Option<SystemTime>,
    },
    /// An EndpointSlice that was deleted.
    DeletedSlice(ObjectName),
}

impl Arrival {
    /// Extracts the parts of `event`.
    #[must_use]
    pub fn of(event: &ClusterEvent) -> Self {
        match event {
            ClusterEvent::Upsert(Object::EndpointSlice(slice)) => Self::Slice {
                name: slice.name.clone(),
                family: slice.family,
                triggered: slice.triggered,
            },
            ClusterEvent::Delete(ObjectKind::EndpointSlice, name) => {
                Self::DeletedSlice(name.clone())
            }
            ClusterEvent::Upsert(object) => Self::Object(object.kind()),
            ClusterEvent::Undecodable(kind, ..) | ClusterEvent::Delete(kind, _) => {
                Self::Object(*kind)
            }
            ClusterEvent::ListStarted(_) | ClusterEvent::ListDone(_) => Self::List,
        }
    }
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

    /// Records an event. Every event is counted. Only an event that `changed` something is measured
    /// and counts as pending. A deleted slice is not measured, since the time of its last change is
    /// not the time of its deletion (`EndpointsChangeTracker`, pkg/proxy/endpointschangetracker.go,
    /// Kubernetes 1.34).
    pub fn received(&mut self, arrival: &Arrival, changed: bool) {
        self.received += 1;
        let received = self.received;
        let waits = usize::from(changed);
        let kind = match arrival {
            Arrival::List => return,
            Arrival::Object(kind) => *kind,
            Arrival::Slice { .. } | Arrival::DeletedSlice(_) => ObjectKind::EndpointSlice,
        };
        if let Some(batch) = self.waiting.back_mut() {
            batch.through = received;
            match kind {
                ObjectKind::Service => batch.services += waits,
                ObjectKind::EndpointSlice => batch.endpoints += waits,
                ObjectKind::Node | ObjectKind::VirtualServer => {}
            }
        }
        match kind {
            ObjectKind::Service => self.services += 1,
            ObjectKind::EndpointSlice => self.endpoints += 1,
            ObjectKind::Node | ObjectKind::VirtualServer => {}
        }
        match arrival {
            Arrival::Slice {
                name,
                family: Some(family),
                triggered: Some(triggered),
            } if changed && self.measured.len() < MEASURED && *triggered > self.started => {
                self.measured.push_back(Measured {
                    number: received,
                    slice: name.clone(),
                    family: *family,
                    triggered: *triggered,
                });
            }
            Arrival::DeletedSlice(name) => {
                self.measured.retain(|measured| measured.slice != *name);
            }
            _ => {}
        }
    }

    /// Records that the changes of the first `through` events have been tried at `now`. Returns the
    /// time that each took since the pod or Service changed, or nothing if ops `failed`.
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
        // The clocks of two machines may differ: a negative time counts as zero.
        let took = |since| now.duration_since(since).unwrap_or_default();
        done.map(|measured| (measured.family, took(measured.triggered)))
            .collect()
    }

    /// Returns the changes of Services and of slices since the last call, and the pending ones.
    pub fn counts(&mut self) -> (Changes, Changes) {
        let pending = |count: fn(&Batch) -> usize| self.waiting.iter().map(count).sum();
        let services = Changes {
            received: self.services,
            pending: pending(|batch| batch.services),
        };
        let endpoints = Changes {
            received: self.endpoints,
            pending: pending(|batch| batch.endpoints),
        };
        (self.services, self.endpoints) = (0, 0);
        (services, endpoints)
    }
}
