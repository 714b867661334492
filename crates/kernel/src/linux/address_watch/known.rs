//! Interfaces and their addresses according to the notices.

use std::collections::{BTreeMap, BTreeSet};

use ipnetwork::IpNetwork;
use model::DEVICE;
use netlink_packet_core::DecodeError;

use super::changes::Changes;
use crate::linux::messages::{Link, LinkAddress};

/// `RTM_NEWLINK`, `include/uapi/linux/rtnetlink.h`.
pub(super) const NEW_LINK: u16 = 16;
pub(super) const DEL_LINK: u16 = 17;
/// `RTM_NEWADDR`.
pub(super) const NEW_ADDRESS: u16 = 20;
pub(super) const DEL_ADDRESS: u16 = 21;

/// All interfaces, and all addresses except those of the dummy device.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    names: BTreeMap<u32, String>,
    addresses: BTreeSet<(u32, IpNetwork)>,
}

impl Known {
    /// Processes a message and adds its changes to `changes`.
    pub(super) fn take(
        &mut self,
        kind: u16,
        payload: &[u8],
        changes: &mut Changes,
    ) -> Result<(), DecodeError> {
        match kind {
            NEW_LINK if is_of_link(payload) => self.add_link(Link::decode(payload)?, changes),
            DEL_LINK if is_of_link(payload) => {
                self.remove_link(Link::decode(payload)?.index, changes);
            }
            NEW_ADDRESS => {
                if let Some(new) = LinkAddress::decode(payload)? {
                    self.add(new, changes);
                }
            }
            DEL_ADDRESS => {
                if let Some(gone) = LinkAddress::decode(payload)? {
                    self.remove(gone, changes);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns true if there is a device with the dummy device's name.
    pub(super) fn has_device(&self) -> bool {
        self.names.values().any(|name| name == DEVICE)
    }

    fn add_link(&mut self, link: Link, changes: &mut Changes) {
        let is_ours = link.name == DEVICE;
        let is_dummy = link.is_dummy();
        let before = self.names.insert(link.index, link.name);
        let was_ours = before.as_deref() == Some(DEVICE);
        if (was_ours && !is_ours) || (is_ours && !is_dummy) {
            changes.lost.device = true;
        }
        let name = self.names.get(&link.index);
        changes.interfaces |= match &before {
            Some(before) => Some(before) != name,
            None => !is_ours,
        };
    }

    fn remove_link(&mut self, index: u32, changes: &mut Changes) {
        self.addresses.retain(|(link, _)| *link != index);
        match self.names.remove(&index).as_deref() == Some(DEVICE) {
            true => changes.lost.device = true,
            false => changes.interfaces = true,
        }
    }

    fn add(&mut self, new: LinkAddress, changes: &mut Changes) {
        if !self.is_ours(new.link) {
            changes.interfaces |= self.addresses.insert((new.link, new.network));
        }
    }

    /// Reports a change even if the address was unknown, since a list may have missed it.
    fn remove(&mut self, gone: LinkAddress, changes: &mut Changes) {
        self.addresses.remove(&(gone.link, gone.network));
        if !self.is_ours(gone.link) {
            changes.interfaces = true;
        } else if gone.is_host() {
            changes.lost.add_address(gone.network.ip());
        }
    }

    fn is_ours(&self, index: u32) -> bool {
        self.names.get(&index).is_some_and(|name| name == DEVICE)
    }
}

/// Returns false for a notice of a bridge. When a port leaves it, the bridge sends a notice with
/// its own family as if the link were deleted (`br_ifinfo_notify`, `net/bridge/br_netlink.c`, Linux
/// 6.1).
fn is_of_link(payload: &[u8]) -> bool {
    payload.first().copied().map(i32::from) == Some(libc::AF_UNSPEC)
}
