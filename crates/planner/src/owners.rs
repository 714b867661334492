//! Services that ask for an address or for an entry of a set. Several Services may share one.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipset::{Entry, SetName};
use ipvs::{AddressFamily, Protocol, RealServerKey};
use model::config::NodeConfig;
use model::frontend::LocalEndpoint;
use model::names::{ObjectName, ServicePortName};
use model::sets::SetKind;
use model::tables::TableKeys;

use crate::claim_index::{ClaimIndex, ServiceClaims};
use crate::lower::{self, SetEntry};
use crate::node_context::NodeContext;

/// Claims of all Services at the tables of a node, and what they were compiled for, see
/// [`compile_with_claims`].
///
/// [`compile_with_claims`]: crate::compile_with_claims
#[derive(Debug)]
pub struct Claims {
    /// The claims, without the desired tables.
    pub(crate) index: ClaimIndex,
    pub(crate) node: NodeContext,
    pub(crate) config: NodeConfig,
}

/// Services that ask for one entry, each by its first port. The API server's Service comes first,
/// the others follow by name. Never empty. A port's name is empty if the entry belongs to the
/// Service as a whole.
pub type EntryOwner = Vec<Arc<ServicePortName>>;

/// Owners of addresses and of entries of sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryOwners {
    /// Owners of addresses on the dummy device.
    pub addresses: BTreeMap<IpAddr, EntryOwner>,
    /// Owners of entries, by set.
    pub entries: BTreeMap<(SetName, Entry), EntryOwner>,
}

impl Claims {
    /// Returns the owners of the addresses and single entries of `keys`. A key that no Service asks
    /// for has no owner. The cost depends on the number of all claims, not on that of the keys.
    #[must_use]
    pub fn owners(&self, keys: &TableKeys) -> EntryOwners {
        let mut search = Search::new(keys);
        for claim in self.index.winning_claims() {
            for entry in &claim.set_entries {
                search.entry(*entry, &claim.owner);
            }
            if let Some(address) = claim.bound() {
                search.address(address, &claim.owner);
            }
        }
        for (service, part) in self.index.parts() {
            search.part(service, part);
        }
        search.owners()
    }
}

/// Service ports found for the keys of a search.
struct Search {
    names: BTreeMap<(SetKind, AddressFamily), SetName>,
    addresses: BTreeMap<IpAddr, Found>,
    entries: BTreeMap<SetEntry, Found>,
}

/// Ports that ask for one entry, in any order.
#[derive(Default)]
struct Found(Vec<Arc<ServicePortName>>);

impl Search {
    fn new(keys: &TableKeys) -> Self {
        let mut search = Self {
            names: BTreeMap::new(),
            addresses: (keys.addresses.iter())
                .map(|address| (*address, Found::default()))
                .collect(),
            entries: BTreeMap::new(),
        };
        let mut kinds = BTreeMap::new();
        for kind in SetKind::ALL {
            for family in AddressFamily::ALL {
                let name = kind.name(family);
                search.names.insert((kind, family), name.clone());
                kinds.insert(name, (kind, family));
            }
        }
        for (set, entry) in &keys.entries {
            if let Some((kind, family)) = kinds.get(set).copied() {
                let entry = SetEntry {
                    kind,
                    family,
                    entry: *entry,
                };
                search.entries.insert(entry, Found::default());
            }
        }
        search
    }

    fn entry(&mut self, entry: SetEntry, owner: &Arc<ServicePortName>) {
        if let Some(found) = self.entries.get_mut(&entry) {
            found.0.push(owner.clone());
        }
    }

    fn address(&mut self, address: IpAddr, owner: &Arc<ServicePortName>) {
        if let Some(found) = self.addresses.get_mut(&address) {
            found.0.push(owner.clone());
        }
        self.entry(lower::bound(address), owner);
    }

    /// Adds the entries of a Service that belong to no virtual server.
    fn part(&mut self, service: &ObjectName, part: &ServiceClaims) {
        let endpoints: Vec<LocalEndpoint> = (part.local_endpoints.iter().copied())
            .filter(|endpoint| self.entries.contains_key(&lower::loop_back(*endpoint)))
            .collect();
        if !endpoints.is_empty() {
            let ports = ports_by_endpoint(part);
            for endpoint in endpoints {
                let key = lower::real_server_key(endpoint.backend);
                let port = ports
                    .get(&(key, endpoint.protocol))
                    .map(|port| (*port).clone());
                let port = port.unwrap_or_else(|| whole(service, endpoint.protocol));
                self.entry(lower::loop_back(endpoint), &port);
            }
        }
        for entry in (part.health_check.iter()).flat_map(|check| lower::health_check(check)) {
            self.entry(entry, &whole(service, Protocol::Tcp));
        }
    }

    fn owners(self) -> EntryOwners {
        let names = &self.names;
        EntryOwners {
            addresses: (self.addresses.into_iter())
                .filter_map(|(address, found)| Some((address, found.owner()?)))
                .collect(),
            entries: (self.entries.into_iter())
                .filter_map(|(entry, found)| {
                    let set = names.get(&(entry.kind, entry.family))?;
                    Some(((set.clone(), entry.entry), found.owner()?))
                })
                .collect(),
        }
    }
}

impl Found {
    /// Returns the first port of each Service; `None` without ports.
    fn owner(self) -> Option<EntryOwner> {
        let Self(mut ports) = self;
        ports.sort_by(|one, other| {
            let rank = |port: &ServicePortName| !port.service.is_api_server();
            (rank(one), one).cmp(&(rank(other), other))
        });
        ports.dedup_by(|next, port| next.service == port.service);
        (!ports.is_empty()).then_some(ports)
    }
}

/// Returns the first port by name of each endpoint that the Service uses.
fn ports_by_endpoint(
    part: &ServiceClaims,
) -> BTreeMap<(RealServerKey, Protocol), &Arc<ServicePortName>> {
    let mut ports = BTreeMap::new();
    for claim in &part.claims {
        for key in claim.entry.real_servers.keys() {
            let first = (ports.entry((*key, claim.owner.protocol))).or_insert(&claim.owner);
            *first = (*first).min(&claim.owner);
        }
    }
    ports
}

/// Returns the Service as a whole, without the name of a port.
fn whole(service: &ObjectName, protocol: Protocol) -> Arc<ServicePortName> {
    Arc::new(ServicePortName {
        service: service.clone(),
        port: "".into(),
        protocol,
    })
}
