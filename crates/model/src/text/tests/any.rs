//! Generators of node tables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ipset::{Entry, HashType, Header, Set, SetName};
use ipvs::text::{Line, parse_line};
use ipvs::{AddressFamily, Timeouts, VirtualServerKey};
use proptest::prelude::*;
use proptest::sample::select;

use crate::names::Name;
use crate::rules::tests::any::rules;
use crate::sets::SetKind;
use crate::tables::{NodeTables, VirtualServerEntry};

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
    )
        .prop_map(
            |(ports, addresses, rules, sets, sysctls, timeouts)| NodeTables {
                virtual_servers: ports.into_iter().map(virtual_server).collect(),
                addresses,
                sets: sets.into_iter().collect(),
                rules,
                sysctls: sysctls
                    .into_iter()
                    .map(|(name, value)| (Name::from(name), Name::from(value)))
                    .collect(),
                timeouts: seconds(timeouts),
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
    let real_servers = [(real.key, real)].into_iter().collect();
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
