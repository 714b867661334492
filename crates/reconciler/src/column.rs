//! Parts of the kernel's tables that are read and compared separately.

use std::collections::BTreeSet;
use std::fmt;

use model::snapshot::{Scope, Selection, SetSelection, Snapshot};
use model::tables::{NodeTables, TableKeys};

/// A part of the kernel's tables. A failed reading of one column blocks only the writes that depend
/// on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// The IPVS table. Without it nothing is written, since it decides which entries are foreign.
    VirtualServers,
    /// The dummy device with its addresses, and the other interfaces of the node.
    Addresses,
    /// Our sets.
    Sets,
    /// The packet filter's rules.
    Rules,
    /// Kernel settings.
    Settings,
    /// Synchronisation daemons.
    SyncDaemons,
}

impl Column {
    /// All columns, in the order in which they are read.
    pub const ALL: [Self; 6] = [
        Self::VirtualServers,
        Self::Addresses,
        Self::Sets,
        Self::Rules,
        Self::Settings,
        Self::SyncDaemons,
    ];

    /// Returns the name used as a metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::VirtualServers => "virtual_servers",
            Self::Addresses => "addresses",
            Self::Sets => "sets",
            Self::Rules => "rules",
            Self::Settings => "settings",
            Self::SyncDaemons => "sync_daemons",
        }
    }

    /// Returns the scope that reads this column. `servers` selects the virtual servers.
    pub(crate) fn scope(self, servers: Selection) -> Scope {
        let nothing = Scope::NOTHING;
        match self {
            Self::VirtualServers => Scope {
                virtual_servers: servers,
                ..nothing
            },
            Self::Addresses => Scope {
                addresses: true,
                ..nothing
            },
            Self::Sets => Scope {
                sets: SetSelection::All,
                ..nothing
            },
            Self::Rules => Scope {
                rules: true,
                ..nothing
            },
            Self::Settings => Scope {
                settings: true,
                ..nothing
            },
            Self::SyncDaemons => Scope {
                sync_daemons: true,
                ..nothing
            },
        }
    }

    /// Adds every key of this column in `tables` to `keys`.
    fn add_keys(self, tables: &NodeTables, keys: &mut TableKeys) {
        match self {
            Self::VirtualServers => keys.virtual_servers.extend(tables.virtual_servers.keys()),
            Self::Addresses => {
                keys.addresses.extend(&tables.addresses);
                keys.device = true;
            }
            Self::Sets => keys.sets.extend(tables.sets.keys().cloned()),
            Self::Rules => keys.rules.extend(tables.rules.keys()),
            Self::Settings => {
                keys.sysctls.extend(tables.sysctls.keys().cloned());
                keys.timeouts = true;
            }
            Self::SyncDaemons => keys.sync_daemons.extend(tables.sync_daemons.keys()),
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VirtualServers => f.write_str("virtual servers"),
            Self::SyncDaemons => f.write_str("synchronisation daemons"),
            column => f.write_str(column.name()),
        }
    }
}

/// Returns every key of `columns` in the desired or the live tables.
pub(crate) fn keys_of(
    columns: &BTreeSet<Column>,
    desired: &NodeTables,
    live: &NodeTables,
) -> TableKeys {
    let mut keys = TableKeys::default();
    for column in columns {
        column.add_keys(desired, &mut keys);
        column.add_keys(live, &mut keys);
    }
    keys
}

/// Removes keys that cannot be compared yet because a column was never read.
///
/// No new virtual server is served before addresses, sets and rules are known. Without its rules a
/// virtual server would be open to every client. The first reading of a column compares everything,
/// so the removed keys are not lost.
pub(crate) fn restrict(keys: &mut TableKeys, known: &BTreeSet<Column>, live: &Snapshot) {
    let knows = |column| known.contains(&column);
    if !knows(Column::Addresses) {
        keys.addresses.clear();
    }
    if !knows(Column::Sets) {
        keys.sets.clear();
        keys.entries.clear();
    }
    if !knows(Column::Rules) {
        keys.rules.clear();
    }
    if !knows(Column::Settings) {
        keys.sysctls.clear();
        keys.timeouts = false;
    }
    if !knows(Column::SyncDaemons) {
        keys.sync_daemons.clear();
    }
    let guards = [Column::Addresses, Column::Sets, Column::Rules];
    if !guards.into_iter().all(knows) {
        let servers = &live.tables.virtual_servers;
        keys.virtual_servers.retain(|key| servers.contains_key(key));
        keys.addresses
            .retain(|address| live.tables.addresses.contains(address));
    }
}
