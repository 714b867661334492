//! Sizes of the node's tables.

use std::collections::BTreeMap;

use ipset::Header;
use ipvs::{AddressFamily, Protocol, VirtualServerKey};
use model::NodeTables;

use super::{Metrics, family_name, set};

/// Sizes of our part of the tables. Counting visits every virtual server, so it runs after audits,
/// not after each change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// Counts of virtual and real servers by family and protocol.
    pub servers: BTreeMap<(AddressFamily, ServerProtocol), ServerCount>,
    /// Sets by name.
    pub sets: BTreeMap<String, SetCount>,
    /// Addresses on the dummy device.
    pub addresses: usize,
}

/// A protocol, or `None` for a firewall mark, which has all protocols.
type ServerProtocol = Option<Protocol>;

/// Counts of one family and protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerCount {
    /// Virtual servers.
    pub virtual_servers: usize,
    /// Real servers of these virtual servers.
    pub real_servers: usize,
    /// Draining real servers: those with weight 0.
    pub drains: usize,
}

/// Size of one set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetCount {
    /// Number of entries.
    pub entries: usize,
    /// Maximum number of entries; `None` if the type of the set is unknown.
    pub limit: Option<u32>,
}

impl TableCounts {
    /// Counts `tables`.
    #[must_use]
    pub fn of(tables: &NodeTables) -> Self {
        let mut counts = Self {
            addresses: tables.addresses.len(),
            ..Self::default()
        };
        for (key, entry) in &tables.virtual_servers {
            let protocol = match key {
                VirtualServerKey::Address { protocol, .. } => Some(*protocol),
                VirtualServerKey::Fwmark { .. } => None,
            };
            let count = counts.servers.entry((key.family(), protocol)).or_default();
            count.virtual_servers += 1;
            count.real_servers += entry.real_servers.len();
            let drains = entry.real_servers.values().filter(|real| real.weight == 0);
            count.drains += drains.count();
        }
        for (name, set) in &tables.sets {
            let count = SetCount {
                entries: set.entries.len(),
                limit: limit(set.header),
            };
            counts.sets.insert(name.to_string(), count);
        }
        counts
    }

    /// Returns the sum over all families and protocols.
    #[must_use]
    pub fn total(&self) -> ServerCount {
        let mut total = ServerCount::default();
        for count in self.servers.values() {
            total.virtual_servers += count.virtual_servers;
            total.real_servers += count.real_servers;
            total.drains += count.drains;
        }
        total
    }
}

fn limit(header: Header) -> Option<u32> {
    match header {
        Header::Hash { max_elements, .. } => Some(max_elements),
        Header::BitmapPort { first, last } => Some(u32::from(last.saturating_sub(first)) + 1),
        Header::Unsupported => None,
    }
}

impl Metrics {
    /// Replaces the sizes of the tables.
    pub fn counted(&self, counts: &TableCounts) {
        let handles = &self.handles;
        for gauges in [
            &handles.virtual_servers,
            &handles.real_servers,
            &handles.drains,
            &handles.set_entries,
            &handles.set_limit,
        ] {
            gauges.reset();
        }
        for family in &self.families {
            // An empty table has a series with value 0, not an ended series.
            self.count(*family, "TCP", ServerCount::default());
        }
        for ((family, protocol), count) in &counts.servers {
            let protocol = protocol.map_or_else(|| "fwmark".to_owned(), |it| it.to_string());
            self.count(*family, &protocol, *count);
        }
        for (name, SetCount { entries, limit }) in &counts.sets {
            set(&handles.set_entries, &[name], *entries as f64);
            if let Some(limit) = limit {
                set(&handles.set_limit, &[name], f64::from(*limit));
            }
        }
    }

    fn count(&self, family: AddressFamily, protocol: &str, count: ServerCount) {
        let labels = [family_name(family), protocol];
        let ServerCount {
            virtual_servers,
            real_servers,
            drains,
        } = count;
        set(
            &self.handles.virtual_servers,
            &labels,
            virtual_servers as f64,
        );
        set(&self.handles.real_servers, &labels, real_servers as f64);
        set(&self.handles.drains, &labels, drains as f64);
    }
}
