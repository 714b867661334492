//! Events of the node for the loop. Bounded, whatever the kernel reports: an event that repeats another is kept once.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Finding, NodeConfig};
use reconciler::{Event, Lost};
use tokio::sync::Notify;

/// Addresses that are named one by one. Above that the device counts as lost, which leads to the same reading.
const MOST_ADDRESSES: usize = 1024;

/// Changes of findings that wait at most.
const MOST_FINDINGS: usize = 64;

/// Sends events to a [`NodeInbox`]. A clone sends to the same one.
#[derive(Clone, Debug)]
pub struct NodeEvents {
    shared: Arc<Shared>,
}

/// Receives the events of [`NodeEvents`].
#[derive(Debug)]
pub struct NodeInbox {
    shared: Arc<Shared>,
}

/// A mailbox without events.
#[must_use]
pub fn mailbox() -> (NodeEvents, NodeInbox) {
    let shared = Arc::<Shared>::default();
    let inbox = NodeInbox {
        shared: Arc::clone(&shared),
    };
    (NodeEvents { shared }, inbox)
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    interfaces: bool,
    lost: Option<Lost>,
    config: Option<Box<NodeConfig>>,
    /// Findings that came, with true, or went.
    found: BTreeMap<Finding, bool>,
}

impl NodeEvents {
    /// An interface of the node changed.
    pub fn interfaces_changed(&self) {
        self.change(|pending| pending.interfaces = true);
    }

    /// Entries left the dummy device: these addresses, or the device itself.
    pub fn lost(&self, device: bool, addresses: impl IntoIterator<Item = IpAddr>) {
        self.change(|pending| {
            let lost = pending.lost.get_or_insert_default();
            lost.device |= device;
            lost.addresses.extend(addresses);
            if lost.addresses.len() > MOST_ADDRESSES {
                lost.device = true;
                lost.addresses.clear();
            }
        });
    }

    /// The configuration is another one. Only the last one is kept.
    pub fn configured(&self, config: NodeConfig) {
        self.change(|pending| pending.config = Some(Box::new(config)));
    }

    /// Something was found on the node that no sync solves.
    pub fn found(&self, finding: Finding) {
        self.set_found(finding, true);
    }

    /// Withdraws a finding that was reported before.
    pub fn gone(&self, finding: Finding) {
        self.set_found(finding, false);
    }

    fn set_found(&self, finding: Finding, exists: bool) {
        self.change(|pending| {
            if pending.found.len() < MOST_FINDINGS || pending.found.contains_key(&finding) {
                pending.found.insert(finding, exists);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Pending)) {
        change(&mut self.shared.pending());
        self.shared.arrived.notify_one();
    }
}

impl NodeInbox {
    /// Waits for events, and takes all that there are.
    pub async fn recv(&mut self) -> Vec<Event> {
        loop {
            let events = self.try_take();
            if !events.is_empty() {
                return events;
            }
            self.shared.arrived.notified().await;
        }
    }

    /// Takes the events that there are.
    pub fn try_take(&mut self) -> Vec<Event> {
        let Pending {
            interfaces,
            lost,
            config,
            found,
        } = std::mem::take(&mut *self.shared.pending());
        (config.map(Event::Configured).into_iter())
            .chain(interfaces.then_some(Event::NodeChanged))
            .chain(lost.map(Event::Lost))
            .chain(found.into_iter().map(|(finding, exists)| match exists {
                true => Event::Found(finding),
                false => Event::Gone(finding),
            }))
            .collect()
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
