//! Entries of the kernel's tables that are retried one by one.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use ipset::SetName;
use ipvs::{AddressFamily, SyncRole, VirtualServerKey};
use model::names::Name;
use model::tables::TableKeys;

use crate::column::Column;

/// An entry that is read, compared and written as one unit.
///
/// A set is one unit with all its entries, because reading it again costs little.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKey {
    /// The idle timeouts of IPVS.
    Timeouts,
    /// The synchronisation daemon of a role.
    SyncDaemon(SyncRole),
    /// The dummy device.
    Device,
    /// A set with its entries.
    Set(SetName),
    /// The rules of one family.
    Rules(AddressFamily),
    /// A kernel setting.
    Sysctl(Name),
    /// An address of the dummy device.
    Address(IpAddr),
    /// A virtual server with its real servers.
    VirtualServer(VirtualServerKey),
}

impl EntryKey {
    /// The first key in order.
    pub(crate) const FIRST: Self = Self::Timeouts;

    /// All values of [`Self::kind`].
    pub const KINDS: [&str; 8] = [
        "timeouts",
        "sync_daemon",
        "device",
        "set",
        "rules",
        "setting",
        "address",
        "virtual_server",
    ];

    /// Returns the kind of the entry, as a metric label.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Timeouts => "timeouts",
            Self::SyncDaemon(_) => "sync_daemon",
            Self::Device => "device",
            Self::Set(_) => "set",
            Self::Rules(_) => "rules",
            Self::Sysctl(_) => "setting",
            Self::Address(_) => "address",
            Self::VirtualServer(_) => "virtual_server",
        }
    }

    /// Returns the column that holds the entry.
    #[must_use]
    pub fn column(&self) -> Column {
        match self {
            Self::VirtualServer(_) => Column::VirtualServers,
            Self::Device | Self::Address(_) => Column::Addresses,
            Self::Set(_) => Column::Sets,
            Self::Rules(_) => Column::Rules,
            Self::Timeouts | Self::Sysctl(_) => Column::Settings,
            Self::SyncDaemon(_) => Column::SyncDaemons,
        }
    }

    /// Returns true if other entries depend on this one: a set, rules or the device.
    pub(crate) fn blocks_others(&self) -> bool {
        matches!(self, Self::Device | Self::Set(_) | Self::Rules(_))
    }

    /// Returns true if each Service may have an entry of this kind. These kinds are the last in
    /// order.
    pub(crate) fn is_one_of_many(&self) -> bool {
        matches!(self, Self::Address(_) | Self::VirtualServer(_))
    }

    /// Adds the entry's key to `keys`.
    pub(crate) fn add_to(&self, keys: &mut TableKeys) {
        match self {
            Self::VirtualServer(key) => {
                keys.virtual_servers.insert(*key);
            }
            Self::Address(address) => {
                keys.addresses.insert(*address);
            }
            Self::Set(name) => {
                keys.sets.insert(name.clone());
            }
            Self::Rules(family) => {
                keys.rules.insert(*family);
            }
            Self::Sysctl(name) => {
                keys.sysctls.insert(name.clone());
            }
            Self::Device => keys.device = true,
            Self::Timeouts => keys.timeouts = true,
            Self::SyncDaemon(role) => {
                keys.sync_daemons.insert(*role);
            }
        }
    }

    /// Removes the entry's keys from `keys`.
    pub(crate) fn remove_from(&self, keys: &mut TableKeys) {
        match self {
            Self::VirtualServer(key) => {
                keys.virtual_servers.remove(key);
            }
            Self::Address(address) => {
                keys.addresses.remove(address);
            }
            Self::Set(name) => {
                keys.sets.remove(name);
                keys.entries.retain(|(set, _)| set != name);
            }
            Self::Rules(family) => {
                keys.rules.remove(family);
            }
            Self::Sysctl(name) => {
                keys.sysctls.remove(name);
            }
            Self::Device => keys.device = false,
            Self::Timeouts => keys.timeouts = false,
            Self::SyncDaemon(role) => {
                keys.sync_daemons.remove(role);
            }
        }
    }

    /// Returns the entries of `keys`, each once.
    pub(crate) fn all_of(keys: &TableKeys) -> impl Iterator<Item = Self> {
        let sets: BTreeSet<&SetName> = (keys.entries.iter().map(|(set, _)| set))
            .chain(&keys.sets)
            .collect();
        let servers = keys.virtual_servers.iter().copied();
        let addresses = keys.addresses.iter().copied();
        (servers.map(Self::VirtualServer))
            .chain(addresses.map(Self::Address))
            .chain(sets.into_iter().cloned().map(Self::Set))
            .chain(keys.rules.iter().copied().map(Self::Rules))
            .chain(keys.sysctls.iter().cloned().map(Self::Sysctl))
            .chain(keys.timeouts.then_some(Self::Timeouts))
            .chain(keys.sync_daemons.iter().copied().map(Self::SyncDaemon))
            .chain(keys.device.then_some(Self::Device))
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeouts => f.write_str("IPVS timeouts"),
            Self::SyncDaemon(role) => write!(f, "{role} synchronisation daemon"),
            Self::Device => write!(f, "device {}", model::DEVICE),
            Self::Set(name) => write!(f, "set {name}"),
            Self::Rules(family) => write!(f, "{family} rules"),
            Self::Sysctl(name) => write!(f, "setting {name}"),
            Self::Address(address) => write!(f, "address {address}"),
            Self::VirtualServer(key) => write!(f, "virtual server {key}"),
        }
    }
}
