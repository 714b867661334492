//! Changes that the watch reports.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// Maximum number of addresses that are reported one by one.
const MAX_ADDRESSES: usize = 1024;

/// Changes of one burst.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// True if an interface other than the dummy device appeared, disappeared or was renamed, or
    /// gained or lost an address.
    pub interfaces: bool,
    /// Losses of the dummy device `kube-ipvs0`.
    pub lost: DeviceLosses,
}

/// Losses of the dummy device `kube-ipvs0`, including deletions by this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceLosses {
    /// True if the device disappeared or was renamed, or if the device with its name is not a dummy
    /// device. All its addresses are then lost, whether named or not.
    pub device: bool,
    /// Addresses (/32 and /128) that were deleted from the device.
    pub addresses: LostAddresses,
}

/// Addresses that were deleted from the dummy device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostAddresses {
    /// Lost addresses, at most 1,024. They may have been added again since.
    These(BTreeSet<IpAddr>),
    /// More addresses, or notices were dropped. Any address may be missing.
    Many,
}

impl Default for LostAddresses {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Changes {
    /// Returns the value for dropped notices: everything may have changed.
    pub(super) fn unknown() -> Self {
        Self {
            interfaces: true,
            lost: DeviceLosses {
                device: false,
                addresses: LostAddresses::Many,
            },
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.interfaces && self.lost.is_empty()
    }
}

impl DeviceLosses {
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
