//! Tables of a node: encoding of `get` and `render`, and fields for `--live`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use ipvs::{
    AddressFamily, Forwarding, Protocol, RealServerKey, ServiceFlags, TunnelKind, VirtualServerKey,
};
use model::text::{Part, Saved, sync_daemon_lines};
use model::{ServicePortName, VirtualServerEntry};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use super::API_VERSION;
use super::filter_state::{self, HealthCheck, IpSet};
use super::finding::Finding;
use super::node_state::{IdleTimeouts, NodeState};
use super::plan::ServicePort;
use super::statistics::Statistics;

/// Tables of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeTables {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `NodeTables`.
    pub kind: String,
    /// Name of the node; absent if the tables were read from a kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// IPVS table, ordered by key; absent if not requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_servers: Option<Vec<VirtualServer>>,
    /// Addresses of the dummy device, `10.96.0.1/32`; absent if not requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// Sets that rules match, ordered by name; absent if not requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sets: Option<Vec<IpSet>>,
    /// Rules of the packet filter by family, `IPv4` and `IPv6`, in the syntax of `iptables-save`;
    /// absent if not requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<BTreeMap<String, Vec<String>>>,
    /// Kernel settings such as `net.ipv4.vs.conntrack`; absent if not requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sysctls: Option<BTreeMap<String, String>>,
    /// Idle timeouts of connections; absent if not requested. In desired tables 0 leaves the
    /// kernel's value unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<IdleTimeouts>,
    /// Synchronisation daemons as arguments of `ipvsadm`, the master first:
    /// `--start-daemon master --mcast-interface eth0 --syncid 7`; absent if not requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_daemons: Option<Vec<String>>,
    /// Interfaces and machine of the node; absent if not requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeState>,
    /// Health-check node ports.
    #[serde(
        default,
        deserialize_with = "none",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub health_checks: Vec<HealthCheck>,
    /// Findings about the objects of the tables.
    #[serde(
        default,
        deserialize_with = "none",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub findings: Vec<Finding>,
}

/// Virtual server with an address, port and protocol, or with a firewall mark and a family.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VirtualServer {
    /// Virtual address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Virtual port, 0 for every port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `TCP`, `UDP`, `SCTP` or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Firewall mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fwmark: Option<NonZeroU32>,
    /// `IPv4` or `IPv6`; only with a firewall mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Service port of the virtual server, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServicePort>,
    /// Scheduler, which chooses a real server.
    pub scheduler: String,
    /// `persistent`, `one-packet`, `flag-1`, `flag-2`, `flag-3`, or a bit in hexadecimal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Persistence, by which clients stay with their real server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// Counters of the virtual server, if requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Statistics>,
    /// Real servers, ordered by address and port.
    #[serde(default)]
    pub real_servers: Vec<RealServer>,
}

/// Persistence, by which clients stay with their real server.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Persistence {
    /// Time for which a client stays.
    pub timeout_seconds: u64,
    /// Length of the address prefix that identifies a client.
    pub prefix_length: u8,
    /// Persistence engine, for example `sip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// A real server.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RealServer {
    /// Address of the real server.
    pub address: IpAddr,
    /// Port of the real server.
    pub port: u16,
    /// `Masq`, `Local`, `Tunnel`, `Route`, `Bypass` or a number.
    pub forwarding: String,
    /// Encapsulation; only with `Tunnel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Tunnel>,
    /// Weight, its share of new connections.
    pub weight: u32,
    /// Number of connections above which it gets no new ones, 0 for no limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub upper_threshold: u32,
    /// Number of connections below which it gets new ones again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lower_threshold: u32,
    /// Connections, if they were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<Connections>,
    /// Counters, if requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Statistics>,
}

/// Encapsulation of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tunnel {
    /// `ipip`, `gue`, `gre` or a number.
    #[serde(rename = "type")]
    pub kind: String,
    /// Destination port of the outer UDP header.
    #[serde(default)]
    pub port: u16,
    /// Checksum flags as the kernel numbers them.
    #[serde(default)]
    pub flags: u16,
}

/// Connections of a real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// Connections in a state that carries data.
    pub active: u32,
    /// Connections in any other state.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
}

/// Names of flags, in the order of their bits.
pub(super) const FLAGS: [(ServiceFlags, &str); 5] = [
    (ServiceFlags::PERSISTENT, "persistent"),
    (ServiceFlags::ONE_PACKET, "one-packet"),
    (ServiceFlags::SCHED_1, "flag-1"),
    (ServiceFlags::SCHED_2, "flag-2"),
    (ServiceFlags::SCHED_3, "flag-3"),
];

/// Returns `TCP`, `UDP`, `SCTP` or the number.
#[must_use]
pub fn protocol_name(protocol: Protocol) -> String {
    match protocol {
        Protocol::Other(number) => number.to_string(),
        named => named.to_string(),
    }
}

/// Returns the names of `flags`; bits without a name are hexadecimal.
#[must_use]
pub fn flag_names(flags: ServiceFlags) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = flags.bits();
    for (flag, name) in FLAGS {
        if flags.contains(flag) {
            names.push(name.to_owned());
            rest &= !flag.bits();
        }
    }
    for bit in (0..u32::BITS)
        .map(|bit| 1 << bit)
        .filter(|bit| rest & bit != 0)
    {
        names.push(format!("{bit:#x}"));
    }
    names
}

impl NodeTables {
    /// Returns an object without tables.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: "NodeTables".to_owned(),
            ..Self::default()
        }
    }

    /// Adds the IPVS table of `tables`, with the `owners` of its entries.
    #[must_use]
    pub fn with_servers(
        mut self,
        tables: &model::NodeTables,
        owners: &BTreeMap<VirtualServerKey, Arc<ServicePortName>>,
    ) -> Self {
        let servers = tables.virtual_servers.iter();
        let servers =
            servers.map(|(key, entry)| VirtualServer::new(entry, owners.get(key).map(Arc::as_ref)));
        self.virtual_servers = Some(servers.collect());
        self
    }

    /// Adds the IPVS table and the connections of `snapshot`.
    #[must_use]
    pub fn with_live_servers(self, snapshot: &model::Snapshot) -> Self {
        let mut tables = self.with_servers(&snapshot.tables, &BTreeMap::new());
        let keys = snapshot.tables.virtual_servers.keys();
        tables.count_connections(keys, &snapshot.connections);
        tables
    }

    fn set_connections(&mut self, saved: &Saved) {
        let keys = saved.tables.virtual_servers.keys();
        self.count_connections(keys, &saved.connections);
    }

    /// Sets the connections of each real server. `keys` are those of the virtual servers, in order.
    fn count_connections<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a VirtualServerKey>,
        connections: &BTreeMap<(VirtualServerKey, RealServerKey), ipvs::Connections>,
    ) {
        let entries = self.virtual_servers.iter_mut().flatten();
        for (key, entry) in keys.zip(entries) {
            for real in &mut entry.real_servers {
                let real_key = RealServerKey {
                    address: real.address,
                    port: real.port,
                };
                let counted = connections.get(&(*key, real_key));
                real.connections = Some(counted.copied().unwrap_or_default().into());
            }
        }
    }

    /// Adds sets, rules, settings and health checks of `desired`.
    #[must_use]
    pub fn with_desired_filter_state(mut self, desired: &model::Desired) -> Self {
        self = self.with_filter_state(&desired.tables);
        self.health_checks = filter_state::health_checks(desired);
        self
    }

    /// Adds sets, rules and settings of `tables`.
    #[must_use]
    pub fn with_filter_state(mut self, tables: &model::NodeTables) -> Self {
        self.sets = Some(filter_state::sets(tables));
        self.rules = Some(filter_state::rules(tables));
        self.sysctls = Some(filter_state::sysctls(tables));
        self.sync_daemons = Some(sync_daemon_lines(tables)).filter(|lines| !lines.is_empty());
        self
    }

    /// Returns the saved parts of `saved`.
    #[must_use]
    pub fn saved(saved: &Saved) -> Self {
        let has = |part| saved.parts.contains(&part);
        let tables = &saved.tables;
        let all = Self::empty().with_filter_state(tables);
        let mut object = Self::empty();
        if has(Part::VirtualServers) {
            object = object.with_servers(tables, &BTreeMap::new());
        }
        if has(Part::Connections) {
            object.set_connections(saved);
        }
        if has(Part::Addresses) {
            object = object.with_addresses(tables);
        }
        Self {
            sets: all.sets.filter(|_| has(Part::Sets)),
            rules: all.rules.filter(|_| has(Part::Rules)),
            sysctls: all.sysctls.filter(|_| has(Part::Settings)),
            timeouts: has(Part::Timeouts).then(|| tables.timeouts.into()),
            sync_daemons: has(Part::SyncDaemons).then(|| sync_daemon_lines(tables)),
            node: has(Part::Node).then(|| NodeState::from(&saved.node)),
            ..object
        }
    }

    /// Adds the addresses of `tables`.
    #[must_use]
    pub fn with_addresses(mut self, tables: &model::NodeTables) -> Self {
        let addresses = tables.addresses.iter();
        let lines = addresses.map(|address| IpNetwork::from(*address).to_string());
        self.addresses = Some(lines.collect());
        self
    }
}

impl VirtualServer {
    pub(crate) fn new(entry: &VirtualServerEntry, owner: Option<&ServicePortName>) -> Self {
        // The fields are listed by name, so that a new one cannot be forgotten here.
        let ipvs::VirtualServer {
            key,
            scheduler,
            flags,
            persistence_timeout,
            persistence_prefix,
            persistence_engine,
        } = &entry.server;
        let persistence = Persistence {
            timeout_seconds: persistence_timeout.as_secs(),
            prefix_length: *persistence_prefix,
            engine: persistence_engine.as_deref().map(ToOwned::to_owned),
        };
        let plain = Persistence {
            timeout_seconds: 0,
            prefix_length: full_prefix(family(key)),
            engine: None,
        };
        let persists = flags.contains(ServiceFlags::PERSISTENT) || persistence != plain;
        let mut server = Self {
            address: None,
            port: None,
            protocol: None,
            fwmark: None,
            family: None,
            service: owner.map(ServicePort::from),
            scheduler: scheduler.to_string(),
            flags: flag_names(*flags),
            persistence: persists.then_some(persistence),
            statistics: None,
            real_servers: entry.real_servers.values().map(RealServer::from).collect(),
        };
        match key {
            VirtualServerKey::Address {
                address,
                port,
                protocol,
            } => {
                server.address = Some(*address);
                server.port = Some(*port);
                server.protocol = Some(protocol_name(*protocol));
            }
            VirtualServerKey::Fwmark { family, mark } => {
                server.fwmark = Some(*mark);
                server.family = Some(family.to_string());
            }
        }
        server
    }
}

impl From<&ipvs::RealServer> for RealServer {
    fn from(real: &ipvs::RealServer) -> Self {
        let ipvs::RealServer {
            key,
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
        } = real;
        let (forwarding, tunnel) = match forwarding {
            Forwarding::Tunnel(tunnel) => {
                let tunnel = Tunnel {
                    kind: match tunnel.kind {
                        TunnelKind::Other(number) => number.to_string(),
                        named => named.to_string(),
                    },
                    port: tunnel.port,
                    flags: tunnel.flags.bits(),
                };
                ("Tunnel".to_owned(), Some(tunnel))
            }
            Forwarding::Other(number) => (number.to_string(), None),
            named => (named.to_string(), None),
        };
        Self {
            address: key.address,
            port: key.port,
            forwarding,
            tunnel,
            weight: *weight,
            upper_threshold: *upper_threshold,
            lower_threshold: *lower_threshold,
            connections: None,
            statistics: None,
        }
    }
}

impl From<ipvs::Connections> for Connections {
    fn from(connections: ipvs::Connections) -> Self {
        let ipvs::Connections {
            active,
            inactive,
            persistent,
        } = connections;
        Self {
            active,
            inactive,
            persistent,
        }
    }
}

impl From<Connections> for ipvs::Connections {
    fn from(connections: Connections) -> Self {
        let Connections {
            active,
            inactive,
            persistent,
        } = connections;
        Self {
            active,
            inactive,
            persistent,
        }
    }
}

pub(super) fn full_prefix(family: AddressFamily) -> u8 {
    match family {
        AddressFamily::Ipv4 => 32,
        AddressFamily::Ipv6 => 128,
    }
}

pub(super) fn family(key: &VirtualServerKey) -> AddressFamily {
    match key {
        VirtualServerKey::Address { address, .. } => AddressFamily::of(*address),
        VirtualServerKey::Fwmark { family, .. } => *family,
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Skips findings and health checks, which are about objects and not about tables.
fn none<'de, D: Deserializer<'de>, T>(given: D) -> Result<Vec<T>, D::Error> {
    IgnoredAny::deserialize(given)?;
    Ok(Vec::new())
}
