//! Changes of the cluster until they are served, for kube-proxy's metrics of them.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use ipvs::AddressFamily;
use model::cluster::{ClusterEvent, EndpointSlice, Object, ObjectKind};
use model::names::ObjectName;

use crate::metrics::Changes;

/// What came and is not served yet.
#[derive(Debug)]
pub struct Waiting {
    /// What was changed before is nothing that this daemon was slow with.
    started: SystemTime,
    services: Changes,
    endpoints: Changes,
    triggers: Vec<Trigger>,
}

/// A slice that came to be of a change at this time.
#[derive(Debug)]
struct Trigger {
    slice: ObjectName,
    family: AddressFamily,
    time: SystemTime,
}

impl Waiting {
    /// Nothing came before `started`.
    #[must_use]
    pub fn new(started: SystemTime) -> Self {
        Self {
            started,
            services: Changes::default(),
            endpoints: Changes::default(),
            triggers: Vec::new(),
        }
    }

    /// This came; `changed` is whether it is news: all counts, only news waits and is timed. A slice that goes tells
    /// no time: that of its last change is no measure (`EndpointsChangeTracker`,
    /// pkg/proxy/endpointschangetracker.go, Kubernetes 1.34).
    pub fn came(&mut self, event: &ClusterEvent, changed: bool) {
        match event {
            ClusterEvent::Upsert(Object::EndpointSlice(slice)) => {
                add(&mut self.endpoints, changed);
                if changed {
                    self.triggers.extend(self.trigger(slice));
                }
            }
            ClusterEvent::Delete(ObjectKind::EndpointSlice, name) => {
                add(&mut self.endpoints, changed);
                self.triggers.retain(|trigger| trigger.slice != *name);
            }
            ClusterEvent::Upsert(Object::Service(_))
            | ClusterEvent::Delete(ObjectKind::Service, _) => add(&mut self.services, changed),
            _ => {}
        }
    }

    fn trigger(&self, slice: &EndpointSlice) -> Option<Trigger> {
        let time = slice.triggered.filter(|time| *time > self.started)?;
        Some(Trigger {
            slice: slice.name.clone(),
            family: slice.family?,
            time,
        })
    }

    /// A synchronisation of all that came ended at `now`. Where nothing failed, answers how long each change of
    /// pods and Services took to be served here.
    pub fn served(&mut self, failed: usize, now: SystemTime) -> Vec<(AddressFamily, Duration)> {
        self.services.pending = 0;
        self.endpoints.pending = 0;
        let triggers = std::mem::take(&mut self.triggers);
        if failed > 0 {
            return Vec::new();
        }
        // Clocks of two machines may differ: no time is less than none.
        let took = |since| now.duration_since(since).unwrap_or_default();
        let latencies = triggers.into_iter();
        latencies
            .map(|trigger| (trigger.family, took(trigger.time)))
            .collect()
    }

    /// Changes of Services and of slices since this was asked for the last time.
    pub fn counts(&mut self) -> (Changes, Changes) {
        let counts = (self.services, self.endpoints);
        self.services.came = 0;
        self.endpoints.came = 0;
        counts
    }
}

fn add(changes: &mut Changes, changed: bool) {
    changes.came += 1;
    changes.pending += usize::from(changed);
}
