//! Changes that a watch reports.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// Maximum number of addresses that are named one by one.
const MAX_ADDRESSES: usize = 1024;

/// Changes of one burst.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// An interface other than the dummy device appeared, vanished or was renamed, or gained or lost an address.
    pub interfaces: bool,
    /// Losses of the dummy device `kube-ipvs0`.
    pub lost: Lost,
}

/// Losses of the dummy device `kube-ipvs0`, whoever caused them: deletions of this process are among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// The device vanished or was renamed, or a device of its name is no dummy device. All of its addresses are lost then,
    /// named or not.
    pub device: bool,
    /// Addresses (/32 and /128) that left the device.
    pub addresses: LostAddresses,
}

/// Addresses that left the dummy device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostAddresses {
    /// These, at most 1,024. They may have come back since.
    These(BTreeSet<IpAddr>),
    /// More, or notices were dropped: any address may be missing.
    Many,
}

impl Default for LostAddresses {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Changes {
    /// Everything may have changed.
    pub(super) fn unknown() -> Self {
        Self {
            interfaces: true,
            lost: Lost {
                device: false,
                addresses: LostAddresses::Many,
            },
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.interfaces && self.lost.is_empty()
    }
}

impl Lost {
    /// Returns true if nothing was lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.device && self.addresses == LostAddresses::default()
    }

    pub(super) fn add_address(&mut self, address: IpAddr) {
        if let LostAddresses::These(addresses) = &mut self.addresses {
            addresses.insert(address);
            if addresses.len() > MAX_ADDRESSES {
                self.addresses = LostAddresses::Many;
            }
        }
    }
}
