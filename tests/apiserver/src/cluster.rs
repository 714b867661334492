//! The store, shared by requests and watches.

use crate::resource::Resource;
use crate::store::{Compacted, Event, Store};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// All objects of a cluster. They are stored unchanged: without defaults, allocations and
/// validation.
#[derive(Debug)]
pub(crate) struct Cluster {
    store: Mutex<Store>,
    changed: [watch::Sender<()>; Resource::ALL.len()],
}

impl Cluster {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store: Mutex::new(store),
            changed: std::array::from_fn(|_| watch::Sender::new(())),
        }
    }

    /// Returns the store, for everything except changes of objects.
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes objects of a kind, and wakes its watches.
    pub(crate) fn write<T>(&self, resource: Resource, change: impl FnOnce(&mut Store) -> T) -> T {
        let done = change(&mut self.store());
        self.changed[resource.index()].send_replace(());
        done
    }

    /// Returns the changes of a kind after `revision`, and the revision up to which they are
    /// complete.
    pub(crate) fn events_after(
        &self,
        resource: Resource,
        revision: u64,
        most: usize,
    ) -> Result<(Vec<Arc<Event>>, u64), Compacted> {
        let store = self.store();
        let events = store.events_after(resource, revision, most)?;
        let complete = match events.last() {
            Some(last) if events.len() == most => last.revision,
            _ => store.revision().max(revision),
        };
        Ok((events, complete))
    }

    /// Returns a receiver that wakes at every change of a kind.
    pub(crate) fn subscribe(&self, resource: Resource) -> watch::Receiver<()> {
        self.changed[resource.index()].subscribe()
    }
}
