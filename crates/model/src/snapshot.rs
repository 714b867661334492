//! The reading of a node's kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use ipset::SetName;
use ipvs::{AddressFamily, Connections, RealServerKey, VirtualServerKey};

use crate::cluster::Node;
use crate::host_rules::HostRules;
use crate::missing_family::MissingFamily;
use crate::names::Name;
use crate::rules::ChainKey;
use crate::tables::{NodeTables, TableKeys};

/// The parts to read: reading costs a dump for each virtual server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The virtual servers to read, with their real servers.
    pub virtual_servers: Selection,
    /// True to read the dummy device and its addresses, and the other interfaces.
    pub addresses: bool,
    /// The sets of ours to read.
    pub sets: SetSelection,
    /// True to read the packet filter's rules: a process for each family.
    pub rules: bool,
    /// True to read kernel settings and what the machine is.
    pub settings: bool,
}

impl Scope {
    /// All there is.
    pub const EVERYTHING: Self = Self {
        virtual_servers: Selection::All,
        addresses: true,
        sets: SetSelection::All,
        rules: true,
        settings: true,
    };

    /// Nothing.
    pub const NOTHING: Self = Self {
        virtual_servers: Selection::Only(BTreeSet::new()),
        addresses: false,
        sets: SetSelection::Only(BTreeSet::new()),
        rules: false,
        settings: false,
    };

    /// The scope that reads `keys`.
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
        }
    }
}

/// Selection of the virtual servers to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every one.
    All,
    /// Every one, but none of their real servers: one list, however many there are.
    WithoutRealServers,
    /// These, where they exist.
    Only(BTreeSet<VirtualServerKey>),
}

/// Selection of the sets of ours to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetSelection {
    /// Every one.
    All,
    /// These, where they exist.
    Only(BTreeSet<SetName>),
}

/// One reading of the kernel. Fields outside the scope that was asked for are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The tables.
    pub tables: NodeTables,
    /// True if the dummy device exists.
    pub device: bool,
    /// Connections of each real server that has any.
    pub connections: BTreeMap<(VirtualServerKey, RealServerKey), Connections>,
    /// The node's other interfaces.
    pub node: NodeState,
    /// Chains of ours to which rules of others go: they cannot be deleted.
    pub held_chains: BTreeMap<AddressFamily, BTreeSet<ChainKey>>,
    /// Rules of other programs that could take packets of Services away.
    pub host_rules: BTreeMap<AddressFamily, HostRules>,
    /// True if the table changed while it was read: an entry that is missing here may exist, and
    /// nothing is deleted on the strength of this reading.
    pub torn: bool,
}

impl Snapshot {
    /// Takes over `read`, a reading of `scope`; the rest stays as it was, [`torn`](Self::torn) too. A list without real
    /// servers shows which virtual servers are gone; those that are [unlike](Self::unlike) what was known are to be read
    /// with their real servers.
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
    }

    /// Takes over `read`, a list of `scope` that may lack virtual servers: those that it lacks stay as they were.
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

    /// The virtual servers of `listed`, a reading without real servers, that are not known, or known to be others.
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

    /// Removes a virtual server from the picture.
    pub(crate) fn forget(&mut self, key: &VirtualServerKey) {
        let gone = self.tables.virtual_servers.remove(key);
        for real in gone.iter().flat_map(|entry| entry.real_servers.keys()) {
            self.connections.remove(&(*key, *real));
        }
    }
}

/// The state of the node that a proxy can see besides the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeState {
    /// Interfaces other than the dummy device, ordered by name.
    pub interfaces: Vec<Interface>,
    /// The properties of the machine that decide settings.
    pub machine: Machine,
    /// The family that cannot be served here, with the reason. Never both families: then each is tried, and fails for all to see.
    pub missing: Option<MissingFamily>,
}

/// The properties of the machine and its kernel that decide which settings a node needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// The kernel's version, where it is known.
    pub kernel: Option<KernelVersion>,
    /// Number of processors, where that is known.
    pub processors: Option<u32>,
}

/// A kernel's version, as far as behaviour depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The first number of `uname -r`.
    pub major: u16,
    /// The second one.
    pub minor: u16,
}

impl std::str::FromStr for KernelVersion {
    type Err = String;

    /// Reads a release as `uname -r` prints it, `6.1.0-42-cloud-amd64`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(|c: char| !c.is_ascii_digit());
        let mut number = || parts.next().and_then(|part| part.parse().ok());
        match (number(), number()) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(format!("`{text}` is no release of a kernel")),
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
    /// Its name.
    pub name: Name,
    /// Its addresses with their prefix lengths.
    pub addresses: Vec<IpNetwork>,
}

impl NodeState {
    /// Returns the state of a node of which its Node object alone is known: one interface with `status.addresses`.
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

    /// Every address of every interface.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.interfaces
            .iter()
            .flat_map(|interface| interface.addresses.iter().map(IpNetwork::ip))
    }
}
