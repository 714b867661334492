//! Readings of a node's kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use ipset::SetName;
use ipvs::{AddressFamily, Connections, RealServerKey, VirtualServerKey};

use crate::cluster::Node;
use crate::host_rules::HostRules;
use crate::keepalive::Keepalive;
use crate::missing_family::MissingFamily;
use crate::names::Name;
use crate::rules::ChainKey;
use crate::tables::{NodeTables, TableKeys};

/// The parts of the kernel's tables to read. A reading costs a dump for each virtual server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Virtual servers to read, with their real servers.
    pub virtual_servers: Selection,
    /// True to read the dummy device with its addresses, and the other interfaces.
    pub addresses: bool,
    /// Sets of ours to read.
    pub sets: SetSelection,
    /// True to read the packet filter's rules, which runs a process for each family.
    pub rules: bool,
    /// True to read kernel settings and the properties of the machine.
    pub settings: bool,
    /// True to read the synchronisation daemons.
    pub sync_daemons: bool,
}

impl Scope {
    /// Every part.
    pub const EVERYTHING: Self = Self {
        virtual_servers: Selection::All,
        addresses: true,
        sets: SetSelection::All,
        rules: true,
        settings: true,
        sync_daemons: true,
    };

    /// No part.
    pub const NOTHING: Self = Self {
        virtual_servers: Selection::Only(BTreeSet::new()),
        addresses: false,
        sets: SetSelection::Only(BTreeSet::new()),
        rules: false,
        settings: false,
        sync_daemons: false,
    };

    /// Returns the scope that reads `keys`.
    #[must_use]
    pub fn of(keys: &TableKeys) -> Self {
        Self {
            virtual_servers: Selection::Only(keys.virtual_servers.clone()),
            addresses: keys.device || !keys.addresses.is_empty(),
            sets: SetSelection::Only(
                (keys.entries.iter().map(|(set, _)| set))
                    .chain(&keys.sets)
                    .cloned()
                    .collect(),
            ),
            rules: !keys.rules.is_empty(),
            settings: keys.timeouts || !keys.sysctls.is_empty(),
            sync_daemons: !keys.sync_daemons.is_empty(),
        }
    }
}

/// Selection of the virtual servers to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every virtual server.
    All,
    /// Every virtual server without its real servers: one dump, whatever their number.
    WithoutRealServers,
    /// The given virtual servers, if they exist.
    Only(BTreeSet<VirtualServerKey>),
}

/// Selection of the sets of ours to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetSelection {
    /// Every set of ours.
    All,
    /// The given sets, if they exist.
    Only(BTreeSet<SetName>),
}

/// One reading of the kernel. Parts outside its [`Scope`] are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The tables.
    pub tables: NodeTables,
    /// True if the dummy device exists.
    pub device: bool,
    /// Number of connections of each real server that has any.
    pub connections: BTreeMap<(VirtualServerKey, RealServerKey), Connections>,
    /// The node's other interfaces, and the properties of the machine.
    pub node: NodeState,
    /// Chains of ours to which rules of other programs jump. They cannot be deleted.
    pub held_chains: BTreeMap<AddressFamily, BTreeSet<ChainKey>>,
    /// Rules of other programs that could drop packets of Services or exempt them from connection
    /// tracking.
    pub host_rules: BTreeMap<AddressFamily, HostRules>,
    /// True if a table changed while it was read. An entry that is missing here may exist, so
    /// nothing is deleted because of this reading.
    pub torn: bool,
}

impl Snapshot {
    /// Replaces the parts of `scope` by those of `read`. The rest stays as it was, including
    /// [`torn`](Self::torn).
    ///
    /// A list without real servers only removes virtual servers that no longer exist. Those that
    /// are [unlike](Self::unlike) the known ones have to be read with their real servers.
    pub fn update(&mut self, scope: &Scope, read: Self) {
        match &scope.virtual_servers {
            Selection::All => {
                self.tables.virtual_servers = read.tables.virtual_servers;
                self.connections = read.connections;
            }
            Selection::WithoutRealServers => {
                let listed = &read.tables.virtual_servers;
                let servers = self.tables.virtual_servers.keys();
                let gone: Vec<_> = (servers.filter(|key| !listed.contains_key(key)))
                    .copied()
                    .collect();
                gone.iter().for_each(|key| self.forget(key));
            }
            Selection::Only(keys) => {
                for key in keys {
                    self.forget(key);
                }
                let servers = read.tables.virtual_servers.into_iter();
                (self.tables.virtual_servers).extend(servers.filter(|(key, _)| keys.contains(key)));
                let connections = read.connections.into_iter();
                (self.connections).extend(connections.filter(|((key, _), _)| keys.contains(key)));
            }
        }
        if scope.addresses {
            self.tables.addresses = read.tables.addresses;
            self.device = read.device;
            self.node.interfaces = read.node.interfaces;
        }
        match &scope.sets {
            SetSelection::All => self.tables.sets = read.tables.sets,
            SetSelection::Only(names) => {
                for name in names {
                    self.tables.sets.remove(name);
                }
                let sets = read.tables.sets.into_iter();
                (self.tables.sets).extend(sets.filter(|(name, _)| names.contains(name)));
            }
        }
        if scope.rules {
            self.tables.rules = read.tables.rules;
            self.held_chains = read.held_chains;
            self.host_rules = read.host_rules;
        }
        if scope.settings {
            self.tables.sysctls = read.tables.sysctls;
            self.tables.timeouts = read.tables.timeouts;
            self.node.machine = read.node.machine;
            self.node.missing = read.node.missing;
        }
        if scope.sync_daemons {
            self.tables.sync_daemons = read.tables.sync_daemons;
        }
    }

    /// Adds `read`, a possibly incomplete list of `scope`. Virtual servers that it lacks stay as
    /// they were.
    pub fn add_listed(&mut self, scope: &Scope, read: Self) {
        if scope.virtual_servers == Selection::All {
            for key in read.tables.virtual_servers.keys() {
                self.forget(key);
            }
            let tables = &mut self.tables.virtual_servers;
            tables.extend(read.tables.virtual_servers);
            self.connections.extend(read.connections);
        }
    }

    /// Returns the virtual servers of `listed`, a reading without real servers, that are unknown or
    /// have other settings than the known ones.
    #[must_use]
    pub fn unlike(&self, listed: &Self) -> BTreeSet<VirtualServerKey> {
        let known = &self.tables.virtual_servers;
        let listed = listed.tables.virtual_servers.iter();
        listed
            .filter(|(key, entry)| {
                (known.get(key)).is_none_or(|known| known.server != entry.server)
            })
            .map(|(key, _)| *key)
            .collect()
    }

    /// Removes a virtual server from the snapshot.
    pub(crate) fn forget(&mut self, key: &VirtualServerKey) {
        let gone = self.tables.virtual_servers.remove(key);
        for real in gone.iter().flat_map(|entry| entry.real_servers.keys()) {
            self.connections.remove(&(*key, *real));
        }
    }
}

/// State of the node besides its tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeState {
    /// Interfaces other than the dummy device, ordered by name.
    pub interfaces: Vec<Interface>,
    /// Properties of the machine that decide settings.
    pub machine: Machine,
    /// The family that the node cannot serve, with the reason. `None` if both families have a gap:
    /// then both are tried, and their ops fail with the reason.
    pub missing: Option<MissingFamily>,
}

/// Properties of the machine and its kernel that decide which settings a node needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// The kernel's version, if known.
    pub kernel: Option<KernelVersion>,
    /// Number of processors, if known.
    pub processors: Option<u32>,
    /// TCP keepalive of the node's network namespace, if known.
    pub keepalive: Option<Keepalive>,
}

/// Version of a kernel: the numbers that behaviour depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The first number of `uname -r`.
    pub major: u16,
    /// The second number of `uname -r`.
    pub minor: u16,
}

impl std::str::FromStr for KernelVersion {
    type Err = String;

    /// Parses a release as `uname -r` prints it, for example `6.1.0-42-cloud-amd64`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(|c: char| !c.is_ascii_digit());
        let mut number = || parts.next().and_then(|part| part.parse().ok());
        match (number(), number()) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(format!(
                "`{text}` is not a kernel release such as 6.1.0-42-amd64"
            )),
        }
    }
}

impl std::fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The interface's name.
    pub name: Name,
    /// The interface's addresses with their prefix lengths.
    pub addresses: Vec<IpNetwork>,
}

impl NodeState {
    /// Returns the state of a node of which only the Node object is known: one interface with the
    /// addresses of `status.addresses`.
    #[must_use]
    pub fn of_status(node: &Node) -> Self {
        Self {
            interfaces: vec![Interface {
                name: "status.addresses".into(),
                addresses: node.addresses.iter().copied().map(Into::into).collect(),
            }],
            machine: Machine::default(),
            missing: None,
        }
    }

    /// Returns every address of every interface.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.interfaces
            .iter()
            .flat_map(|interface| interface.addresses.iter().map(IpNetwork::ip))
    }
}
