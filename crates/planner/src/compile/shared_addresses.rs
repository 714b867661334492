//! Cluster IPs that an interface of the node has as well.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::names::ObjectName;

/// Addresses that are both cluster IPs and on an interface. A node-local DNS cache, for example,
/// has the DNS address of the cluster on its own device. The cost of a replacement depends on the
/// addresses of one Service.
#[derive(Debug, Default)]
pub(super) struct SharedAddresses {
    of_services: BTreeMap<ObjectName, BTreeSet<IpAddr>>,
    /// Number of Services that have each address.
    holders: BTreeMap<IpAddr, usize>,
    is_changed: bool,
}

impl SharedAddresses {
    /// Replaces the addresses of `service`.
    pub(super) fn set(&mut self, service: &ObjectName, addresses: BTreeSet<IpAddr>) {
        if addresses.is_empty() && !self.of_services.contains_key(service) {
            return;
        }
        for address in &addresses {
            let holders = self.holders.entry(*address).or_default();
            *holders += 1;
            self.is_changed |= *holders == 1;
        }
        let before = if addresses.is_empty() {
            self.of_services.remove(service)
        } else {
            self.of_services.insert(service.clone(), addresses)
        };
        for address in before.into_iter().flatten() {
            let left = self.holders.get_mut(&address).map(|holders| {
                *holders -= 1;
                *holders
            });
            if left == Some(0) {
                self.holders.remove(&address);
                self.is_changed = true;
            }
        }
    }

    /// Returns all addresses if they changed since the last call.
    pub(super) fn take_changed(&mut self) -> Option<BTreeSet<IpAddr>> {
        std::mem::take(&mut self.is_changed).then(|| self.holders.keys().copied().collect())
    }
}
