//! The interfaces and their addresses, as notices tell.

use std::collections::{BTreeMap, BTreeSet};

use ipnetwork::IpNetwork;
use model::DEVICE;
use netlink_packet_core::DecodeError;

use crate::linux::messages::{Link, LinkAddress};

/// `RTM_NEWLINK`, `include/uapi/linux/rtnetlink.h`.
pub(super) const NEW_LINK: u16 = 16;
pub(super) const DEL_LINK: u16 = 17;
/// `RTM_NEWADDR`.
pub(super) const NEW_ADDRESS: u16 = 20;
pub(super) const DEL_ADDRESS: u16 = 21;

/// Every interface, and every address of those that are not the dummy device.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    names: BTreeMap<u32, String>,
    addresses: BTreeSet<(u32, IpNetwork)>,
}

impl Known {
    /// Takes over what a message says; whether that is a change.
    pub(super) fn take(&mut self, kind: u16, payload: &[u8]) -> Result<bool, DecodeError> {
        Ok(match kind {
            NEW_LINK if is_of_link(payload) => self.add_link(Link::decode(payload)?),
            DEL_LINK if is_of_link(payload) => self.remove_link(Link::decode(payload)?.index),
            NEW_ADDRESS => LinkAddress::decode(payload)?.is_some_and(|new| self.add(new)),
            DEL_ADDRESS => LinkAddress::decode(payload)?.is_some_and(|gone| self.remove(gone)),
            _ => false,
        })
    }

    fn add_link(&mut self, link: Link) -> bool {
        let is_ours = link.name == DEVICE;
        let renamed = |before: &String| *before != link.name;
        let before = self.names.get(&link.index);
        let changed = before.map_or(!is_ours, renamed);
        self.names.insert(link.index, link.name);
        changed
    }

    fn remove_link(&mut self, index: u32) -> bool {
        self.addresses.retain(|(link, _)| *link != index);
        self.names.remove(&index).as_deref() != Some(DEVICE)
    }

    fn add(&mut self, new: LinkAddress) -> bool {
        !self.is_ours(new.link) && self.addresses.insert((new.link, new.network))
    }

    /// A change also where it was not known: it may have been missing in a list.
    fn remove(&mut self, gone: LinkAddress) -> bool {
        self.addresses.remove(&(gone.link, gone.network));
        !self.is_ours(gone.link)
    }

    fn is_ours(&self, index: u32) -> bool {
        self.names.get(&index).is_some_and(|name| name == DEVICE)
    }
}

/// Not of a bridge: when a port leaves it, the bridge says that the link is gone, with its own family
/// (`br_ifinfo_notify`, `net/bridge/br_netlink.c`, Linux 6.1).
fn is_of_link(payload: &[u8]) -> bool {
    payload.first().copied().map(i32::from) == Some(libc::AF_UNSPEC)
}
