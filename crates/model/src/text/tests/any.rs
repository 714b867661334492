//! Generators of node tables.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnetwork::IpNetwork;
use ipset::{Entry, HashType, Header, Set, SetName};
use ipvs::text::{Line, parse_line};
use ipvs::{AddressFamily, Connections, SyncDaemon, SyncRole, Timeouts, VirtualServerKey};
use proptest::prelude::*;
use proptest::sample::select;

use crate::keepalive::Keepalive;
use crate::missing_family::{FamilyGap, MissingFamily};
use crate::names::Name;
use crate::rules::tests::any::rules;
use crate::sets::SetKind;
use crate::snapshot::{Interface, KernelVersion, Machine, NodeState};
use crate::tables::{NodeTables, VirtualServerEntry};
use crate::text::{Part, Saved};

pub(super) fn tables() -> impl Strategy<Value = NodeTables> {
    let families = || select(AddressFamily::ALL.to_vec());
    let addresses = families().prop_flat_map(address);
    (
        prop::collection::btree_map(any::<u16>(), any::<u16>(), 0..4),
        prop::collection::btree_set(addresses, 0..4),
        prop::collection::btree_map(families(), rules(), 0..=2),
        prop::collection::vec((select(SetKind::ALL.to_vec()), families()), 0..4).prop_flat_map(
            |kinds| {
                kinds
                    .into_iter()
                    .map(|(kind, family)| set(kind, family))
                    .collect::<Vec<_>>()
            },
        ),
        prop::collection::btree_map(
            "[a-z0-9_]{1,9}(\\.[a-z0-9_]{1,9}){0,3}",
            "([a-z0-9]{1,5}(\t[0-9]{1,5})?)?",
            0..3,
        ),
        any::<[u16; 3]>(),
        prop::collection::vec(sync_daemon(), 0..3),
    )
        .prop_map(
            |(ports, addresses, rules, sets, sysctls, timeouts, daemons)| NodeTables {
                virtual_servers: ports.into_iter().map(virtual_server).collect(),
                addresses,
                sets: sets.into_iter().collect(),
                rules,
                sysctls: sysctls
                    .into_iter()
                    .map(|(name, value)| (Name::from(name), Name::from(value)))
                    .collect(),
                timeouts: seconds(timeouts),
                sync_daemons: (daemons.into_iter())
                    .map(|daemon| (daemon.role, daemon))
                    .collect(),
            },
        )
}

/// Returns saved tables with some or all of their parts.
pub(super) fn saved() -> impl Strategy<Value = Saved> {
    let parts = prop::collection::btree_set(select(Part::ALL.to_vec()), 0..=Part::ALL.len());
    (tables(), node(), any::<[u32; 3]>(), parts).prop_map(|(tables, node, counts, mut parts)| {
        parts.insert(Part::VirtualServers);
        let [active, inactive, persistent] = counts;
        let count = Connections {
            active,
            inactive,
            persistent,
        };
        let servers = (tables.virtual_servers.iter())
            .flat_map(|(key, entry)| entry.real_servers.keys().map(move |real| (*key, *real)));
        let connections = servers.map(|server| (server, count)).collect();
        let whole = Saved {
            tables,
            node,
            connections,
            parts: Part::ALL.into(),
        };
        without(&whole, parts)
    })
}

/// Removes everything that is not in `parts`.
fn without(whole: &Saved, parts: BTreeSet<Part>) -> Saved {
    let mut saved = Saved {
        parts,
        ..Saved::default()
    };
    for part in &saved.parts {
        let (from, to) = (&whole.tables, &mut saved.tables);
        match part {
            Part::VirtualServers => to.virtual_servers = from.virtual_servers.clone(),
            Part::Addresses => to.addresses = from.addresses.clone(),
            Part::Sets => to.sets = from.sets.clone(),
            Part::Rules => to.rules = from.rules.clone(),
            Part::Settings => to.sysctls = from.sysctls.clone(),
            Part::Timeouts => to.timeouts = from.timeouts,
            Part::SyncDaemons => to.sync_daemons = from.sync_daemons.clone(),
            Part::Node => saved.node = whole.node.clone(),
            Part::Connections => saved.connections = whole.connections.clone(),
        }
    }
    saved
}

fn node() -> impl Strategy<Value = NodeState> {
    let network = (
        select(AddressFamily::ALL.to_vec()).prop_flat_map(address),
        0..=32_u8,
    )
        .prop_map(|(address, prefix)| IpNetwork::new(address, prefix).expect("a network"));
    let name = "[!-.0-~]{1,15}".prop_filter("the dummy device", |name| name != crate::DEVICE);
    let interfaces = prop::collection::btree_map(name, prop::collection::vec(network, 0..3), 0..4);
    let gap = select(vec![
        FamilyGap::Disabled("net.ipv6.conf.all.disable_ipv6".into()),
        FamilyGap::NoSockets,
        FamilyGap::NoIpvs,
        FamilyGap::NoNat,
        FamilyGap::NoProgram,
        FamilyGap::Described,
    ]);
    let missing = (select(AddressFamily::ALL.to_vec()), gap)
        .prop_map(|(family, gap)| MissingFamily { family, gap });
    let keepalive = any::<[u32; 3]>().prop_map(|[time, interval, probes]| Keepalive {
        time,
        interval,
        probes,
    });
    let kernel = any::<[u16; 2]>().prop_map(|[major, minor]| KernelVersion { major, minor });
    (
        interfaces,
        prop::option::of(kernel),
        prop::option::of(any::<u32>()),
        prop::option::of(keepalive),
        prop::option::of(missing),
    )
        .prop_map(
            |(interfaces, kernel, processors, keepalive, missing)| NodeState {
                interfaces: (interfaces.into_iter())
                    .map(|(name, addresses)| Interface {
                        name: name.into(),
                        addresses,
                    })
                    .collect(),
                machine: Machine {
                    kernel,
                    processors,
                    keepalive,
                },
                missing,
            },
        )
}

fn sync_daemon() -> impl Strategy<Value = SyncDaemon> {
    let role = select(vec![SyncRole::Master, SyncRole::Backup]);
    let options = any::<(Option<u16>, Option<IpAddr>, Option<u16>, Option<u8>)>();
    (role, "[a-z]{1,15}", any::<u8>(), options).prop_map(
        |(role, interface, sync_id, (maximum_length, group, port, time_to_live))| SyncDaemon {
            role,
            interface: interface.into(),
            sync_id: sync_id.into(),
            maximum_length,
            group,
            port,
            time_to_live,
        },
    )
}

fn seconds(timeouts: [u16; 3]) -> Timeouts {
    let [tcp, tcp_fin, udp] = timeouts.map(|seconds| Duration::from_secs(seconds.into()));
    Timeouts { tcp, tcp_fin, udp }
}

/// Returns a virtual server with one real server. Their settings are fixed, since the tests of
/// `ipvs` cover them.
fn virtual_server((port, target): (u16, u16)) -> (VirtualServerKey, Arc<VirtualServerEntry>) {
    let selector = format!("-t 10.96.0.1:{port}");
    let server = match parse_line(&format!("-A {selector} -s rr")) {
        Ok(Line::VirtualServer(server)) => server,
        other => panic!("{other:?}"),
    };
    let real = match parse_line(&format!("-a {selector} -r 10.1.2.3:{target} -m -w 1")) {
        Ok(Line::RealServer(_, real)) => real,
        other => panic!("{other:?}"),
    };
    let real_servers = [real].into_iter().collect();
    let key = server.key;
    (
        key,
        Arc::new(VirtualServerEntry {
            server,
            real_servers,
        }),
    )
}

fn address(family: AddressFamily) -> BoxedStrategy<IpAddr> {
    match family {
        AddressFamily::Ipv4 => any::<Ipv4Addr>().prop_map_into().boxed(),
        AddressFamily::Ipv6 => any::<Ipv6Addr>().prop_map_into().boxed(),
    }
}

fn set(kind: SetKind, family: AddressFamily) -> impl Strategy<Value = (SetName, Set)> {
    let header = kind.header(family, 0);
    let entry = (address(family), any::<u16>()).prop_map(move |(address, port)| {
        let protocol = ipset::Protocol::TCP;
        match header {
            Header::BitmapPort { .. } | Header::Unsupported => Entry::Port(port),
            Header::Hash { hash_type, .. } => match hash_type {
                HashType::Ip => Entry::Ip(address),
                HashType::IpPort => Entry::IpPort(address, protocol, port),
                HashType::IpPortIp => Entry::IpPortIp(address, protocol, port, address),
                HashType::IpPortNet => Entry::IpPortNet(address, protocol, port, address.into()),
            },
        }
    });
    prop::collection::btree_set(entry, 0..4)
        .prop_map(move |entries| (kind.name(family), Set { header, entries }))
}
