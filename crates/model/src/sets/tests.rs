use std::collections::BTreeSet;

use ipset::text::print_create;
use ipset::{Entry, Protocol};
use ipvs::{AddressFamily, VirtualServerKey};
use proptest::collection::btree_set;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Destination, MIN_ELEMENTS, SetKind, entries_served_by, served_by, service_entry};

fn check(kind: SetKind, family: AddressFamily, entries: usize, expected: &str) {
    let line = print_create(&kind.name(family), &kind.header(family, entries));
    assert_eq!(line, format!("create {expected}"));
}

#[test]
fn a_set_is_sized_to_its_entries() {
    let cluster_ips = |entries, maxelem: u32| {
        let expected = format!("KUBE-CLUSTER-IP hash:ip,port family inet maxelem {maxelem}");
        check(SetKind::ClusterIp, AddressFamily::Ipv4, entries, &expected);
    };
    cluster_ips(0, MIN_ELEMENTS);
    cluster_ips(65_536, 65_536);
    cluster_ips(65_537, 131_072);
    cluster_ips(131_072, 131_072);
    cluster_ips(450_000, 524_288);
    cluster_ips(usize::MAX, u32::MAX);
}

#[test]
fn bitmap_covers_every_port() {
    let expected = "KUBE-NODE-PORT-TCP bitmap:port range 0-65535";
    check(SetKind::NodePortTcp, AddressFamily::Ipv4, 70_000, expected);
}

#[test]
fn long_names_are_cut_as_in_kube_proxy() {
    let family = AddressFamily::Ipv6;
    let cidr = "KUBE-6-LOAD-BALANCER-SOURCE-CID hash:ip,port,net family inet6 maxelem 65536";
    check(SetKind::LoadBalancerSourceCidr, family, 0, cidr);
    let sctp = "KUBE-6-NODE-PORT-LOCAL-SCTP-HAS hash:ip,port family inet6 maxelem 65536";
    check(SetKind::NodePortLocalSctp, family, 0, sctp);
}

#[test]
fn no_two_sets_share_a_name() {
    let names: BTreeSet<_> = AddressFamily::ALL
        .into_iter()
        .flat_map(|family| SetKind::ALL.map(|kind| kind.name(family)))
        .collect();
    assert_eq!(names.len(), 36);
}

fn address() -> impl Strategy<Value = std::net::IpAddr> {
    let texts = vec!["0.0.0.0", "10.96.0.1", "255.255.255.255", "::", "fd00::1"];
    select(texts).prop_map(|text| text.parse().expect("an address"))
}

fn entry() -> impl Strategy<Value = Entry> {
    let protocol = select(vec![6, 17, 132]).prop_map(Protocol);
    let port = select(vec![0_u16, 80, 81, 65_535]);
    (0..5, address(), protocol, port, address()).prop_map(|(kind, at, protocol, port, source)| {
        match kind {
            0 => Entry::Ip(at),
            1 => Entry::IpPort(at, protocol, port),
            2 => Entry::IpPortIp(at, protocol, port, source),
            3 => Entry::IpPortNet(at, protocol, port, source.into()),
            _ => Entry::Port(port),
        }
    })
}

fn key() -> impl Strategy<Value = VirtualServerKey> {
    let protocol = select(vec![6_u8, 17, 132, 255]);
    let port = select(vec![0_u16, 80, 81, 65_535]);
    let of_address = (address(), port, protocol).prop_map(|(address, port, protocol)| {
        VirtualServerKey::Address {
            address,
            port,
            protocol: protocol.into(),
        }
    });
    let mark = select(vec![1_u32, 80, 0x0a60_0001, u32::MAX]);
    let of_mark = (select(AddressFamily::ALL.to_vec()), mark).prop_map(|(family, mark)| {
        VirtualServerKey::Fwmark {
            family,
            mark: mark.try_into().expect("a mark"),
        }
    });
    prop_oneof![2 => of_address, 1 => of_mark]
}

#[test]
fn a_mark_has_an_entry_of_its_own() {
    let mark = |family| VirtualServerKey::Fwmark {
        family,
        mark: 7.try_into().expect("a mark"),
    };
    let entries = AddressFamily::ALL.map(|family| service_entry(mark(family)).to_string());
    assert_eq!(entries, ["0.0.0.7,255:0", "::7,255:0"]);
    // No mark has these addresses.
    for address in ["0.0.0.0", "::", "fd00::7"] {
        let address = address.parse().expect("an address");
        let destination = Destination::of(Entry::IpPort(address, Protocol(255), 0));
        assert_eq!(destination.address(), Some(address));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn indexed_lookup_equals_a_linear_search(
        mut entries in btree_set(entry(), 0..40),
        marks in btree_set(key().prop_map(service_entry), 0..4),
        key in key(),
    ) {
        entries.extend(marks);
        let expected = entries.iter().filter(|entry| served_by(entry, key));
        prop_assert!(entries_served_by(&entries, key).eq(expected));
    }

    #[test]
    fn an_entry_names_its_virtual_server(key in key()) {
        let is_mark_like = |address: std::net::IpAddr| {
            Destination::of(Entry::IpPort(address, Protocol(255), 0)).address().is_none()
        };
        let found = Destination::of(service_entry(key));
        match key {
            // No virtual server has the reserved protocol.
            VirtualServerKey::Address { address, port: 0, protocol } if protocol.number() == 255 => {
                prop_assert_eq!(found.address(), Some(address).filter(|at| !is_mark_like(*at)));
            }
            _ => prop_assert_eq!(found, Destination::VirtualServer(key)),
        }
    }
}
