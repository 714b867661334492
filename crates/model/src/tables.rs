//! What a node's kernel holds, or should hold: desired and live are this one type.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipset::{Set, SetName};
use ipvs::{AddressFamily, Protocol, RealServer, RealServerKey, VirtualServer, VirtualServerKey};

use crate::frontend::HealthCheck;
use crate::names::{Name, ObjectName, ServicePortName};
use crate::rules::Rules;

/// The tables of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTables {
    /// The IPVS table.
    pub virtual_servers: BTreeMap<VirtualServerKey, Arc<VirtualServerEntry>>,
    /// Host addresses (/32 and /128) on the dummy device `kube-ipvs0`.
    pub addresses: BTreeSet<IpAddr>,
    /// The sets that the rules look into.
    pub sets: BTreeMap<SetName, Set>,
    /// The packet filter's rules, by family.
    pub rules: BTreeMap<AddressFamily, Rules>,
    /// Kernel settings by their name under `/proc/sys`, dots between its parts.
    pub sysctls: BTreeMap<Name, Name>,
}

/// A virtual server and its real servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualServerEntry {
    /// The virtual server's settings.
    pub server: VirtualServer,
    /// Its real servers; `RealServer::key` equals the map's key.
    pub real_servers: BTreeMap<RealServerKey, RealServer>,
}

impl NodeTables {
    /// The virtual servers at `address`, whatever their port and protocol.
    pub fn virtual_servers_at(
        &self,
        address: IpAddr,
    ) -> impl Iterator<Item = (&VirtualServerKey, &Arc<VirtualServerEntry>)> {
        let first = VirtualServerKey::Address {
            address,
            port: 0,
            protocol: Protocol::Tcp,
        };
        self.virtual_servers.range(first..).take_while(
            move |(key, _)| matches!(key, VirtualServerKey::Address { address: at, .. } if *at == address),
        )
    }
}

/// Keys of a node's tables: what a change touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableKeys {
    /// Virtual servers.
    pub virtual_servers: BTreeSet<VirtualServerKey>,
    /// Addresses.
    pub addresses: BTreeSet<IpAddr>,
}

impl TableKeys {
    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.virtual_servers.is_empty() && self.addresses.is_empty()
    }

    /// Whether the two have a key in common.
    #[must_use]
    pub fn touches(&self, other: &Self) -> bool {
        !self.virtual_servers.is_disjoint(&other.virtual_servers)
            || !self.addresses.is_disjoint(&other.addresses)
    }

    /// Adds the keys of `other`.
    pub fn merge(&mut self, other: Self) {
        self.virtual_servers.extend(other.virtual_servers);
        self.addresses.extend(other.addresses);
    }

    /// Every key of `tables`.
    #[must_use]
    pub fn of(tables: &NodeTables) -> Self {
        Self {
            virtual_servers: tables.virtual_servers.keys().copied().collect(),
            addresses: tables.addresses.clone(),
        }
    }
}

/// What the cluster asks of a node, and on whose behalf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// The tables.
    pub tables: NodeTables,
    /// Who asked for each entry.
    pub owners: Owners,
    /// What is answered at health-check node ports, by Service.
    pub health_checks: BTreeMap<ObjectName, HealthCheck>,
}

/// The Service ports behind the entries of a node's tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// Whose each virtual server is.
    pub virtual_servers: BTreeMap<VirtualServerKey, ServicePortName>,
    /// Whose each address is; several ports, even Services, may share one. Never empty.
    pub addresses: BTreeMap<IpAddr, BTreeSet<ServicePortName>>,
}
