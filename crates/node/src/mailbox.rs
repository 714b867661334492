//! Events of the node for the loop. Equal events are merged, so the mailbox stays bounded whatever
//! the kernel reports.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::policy::CheckTarget;
use model::{Finding, Name, NodeConfig};
use reconciler::{Event, LostEntries};
use tokio::sync::Notify;

/// Maximum number of lost addresses that are listed. Above it the device counts as lost, which
/// causes the same reading.
const MOST_ADDRESSES: usize = 1024;

/// Maximum number of waiting changes of findings.
const MOST_FINDINGS: usize = 64;

/// Sends events to a [`NodeInbox`]. Clones send to the same inbox.
#[derive(Clone, Debug)]
pub struct NodeEvents {
    shared: Arc<Shared>,
}

/// Receives the events of [`NodeEvents`].
#[derive(Debug)]
pub struct NodeInbox {
    shared: Arc<Shared>,
}

/// Returns the two ends of a mailbox without events.
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
    lost: Option<LostEntries>,
    config: Option<Box<NodeConfig>>,
    /// Results of health checks. The number of targets limits them.
    checked: BTreeMap<CheckTarget, Option<Name>>,
    /// Changed findings: true if raised, false if withdrawn.
    found: BTreeMap<Finding, bool>,
}

impl NodeEvents {
    /// Reports that an interface of the node changed.
    pub fn interfaces_changed(&self) {
        self.change(|pending| pending.interfaces = true);
    }

    /// Reports that `addresses` were deleted from the dummy device, or with `device` that the
    /// device itself was deleted.
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

    /// Reports a new configuration. Only the latest one is kept.
    pub fn configured(&self, config: NodeConfig) {
        self.change(|pending| pending.config = Some(Box::new(config)));
    }

    /// Reports results of health checks: the error of a target that fails, or `None`. Only the
    /// latest result of a target is kept.
    pub fn checked(&self, results: BTreeMap<CheckTarget, Option<Name>>) {
        self.change(|pending| pending.checked.extend(results));
    }

    /// Reports a finding that no sync clears.
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
    /// Waits for events and takes all of them.
    pub async fn recv(&mut self) -> Vec<Event> {
        loop {
            let events = self.try_take();
            if !events.is_empty() {
                return events;
            }
            self.shared.arrived.notified().await;
        }
    }

    /// Takes all events without waiting.
    pub fn try_take(&mut self) -> Vec<Event> {
        let Pending {
            interfaces,
            lost,
            config,
            checked,
            found,
        } = std::mem::take(&mut *self.shared.pending());
        (config.map(Event::Configured).into_iter())
            .chain(interfaces.then_some(Event::NodeChanged))
            .chain(lost.map(Event::Lost))
            .chain((!checked.is_empty()).then_some(Event::Checked(checked)))
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
