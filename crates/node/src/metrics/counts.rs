//! Sizes of the node's tables.

use std::collections::BTreeMap;

use ipset::Header;
use ipvs::{AddressFamily, Protocol, VirtualServerKey};
use model::NodeTables;

use super::{Metrics, family_name, set};

/// Sizes of our part of the tables. Counting costs a look at every virtual server: at an audit, not at each change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// Virtual servers, real servers and, of these, draining ones.
    pub servers: BTreeMap<(AddressFamily, ServerProtocol), ServerCount>,
    /// Sets by name.
    pub sets: BTreeMap<String, SetCount>,
    /// Addresses on the dummy device.
    pub addresses: usize,
}

/// A protocol, or the traffic of a firewall mark, which has every one.
type ServerProtocol = Option<Protocol>;

/// Servers of one family and protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerCount {
    /// Virtual servers.
    pub virtual_servers: usize,
    /// Their real servers.
    pub real_servers: usize,
    /// Of these, those of weight 0: the weight is the drain.
    pub drains: usize,
}

/// One set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetCount {
    /// Its entries.
    pub entries: usize,
    /// Maximum number of entries; none where its type is not known.
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

    /// All virtual servers and real servers together.
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
    /// Replaces what is shown of the tables.
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
            // Nothing is shown as nothing, not as a series that ends.
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
