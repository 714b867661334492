//! Generators of random values for tests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use proptest::prelude::*;

use crate::types::{Entry, Family, HashType, Header, Protocol, Set, SetName};

fn address(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::Inet => any::<Ipv4Addr>().prop_map_into().boxed(),
        Family::Inet6 => any::<Ipv6Addr>().prop_map_into().boxed(),
    }
}

fn network(family: Family) -> impl Strategy<Value = IpNetwork> {
    let longest = match family {
        Family::Inet => 32_u8,
        Family::Inet6 => 128,
    };
    (address(family), 1..=longest).prop_map(|(address, prefix)| {
        let network = IpNetwork::new(address, prefix).expect("a length of its family");
        IpNetwork::new(network.network(), prefix).expect("a length of its family")
    })
}

/// Returns entries of a set with this header.
pub(crate) fn entry(header: Header) -> BoxedStrategy<Entry> {
    let (hash_type, family) = match header {
        Header::BitmapPort { first, last } => {
            return (first..=last).prop_map(Entry::Port).boxed();
        }
        Header::Hash {
            hash_type, family, ..
        } => (hash_type, family),
        Header::Unsupported => panic!("an unsupported set has no entries"),
    };
    let place = || {
        let protocol = any::<u8>().prop_map(Protocol);
        (address(family), protocol, any::<u16>())
    };
    match hash_type {
        HashType::Ip => address(family).prop_map(Entry::Ip).boxed(),
        HashType::IpPort => place()
            .prop_map(|(address, protocol, port)| Entry::IpPort(address, protocol, port))
            .boxed(),
        HashType::IpPortIp => (place(), address(family))
            .prop_map(|((address, protocol, port), other)| {
                Entry::IpPortIp(address, protocol, port, other)
            })
            .boxed(),
        HashType::IpPortNet => (place(), network(family))
            .prop_map(|((address, protocol, port), network)| {
                Entry::IpPortNet(address, protocol, port, network)
            })
            .boxed(),
    }
}

/// Returns headers of every type that can be created.
pub(crate) fn header() -> impl Strategy<Value = Header> {
    let hash_type = prop::sample::select(vec![
        HashType::Ip,
        HashType::IpPort,
        HashType::IpPortIp,
        HashType::IpPortNet,
    ]);
    let family = prop::sample::select(vec![Family::Inet, Family::Inet6]);
    let hash = (hash_type, family, any::<u32>()).prop_map(|(hash_type, family, max_elements)| {
        Header::Hash {
            hash_type,
            family,
            max_elements,
        }
    });
    let ports = any::<(u16, u16)>().prop_map(|(one, other)| Header::BitmapPort {
        first: one.min(other),
        last: one.max(other),
    });
    prop_oneof![4 => hash, 1 => ports]
}

/// Returns sets of every type.
pub(crate) fn set() -> impl Strategy<Value = Set> {
    header().prop_flat_map(|header| {
        prop::collection::btree_set(entry(header), 0..8)
            .prop_map(move |entries| Set { header, entries })
    })
}

/// Returns printable names.
pub(crate) fn name() -> impl Strategy<Value = SetName> {
    "[!-~]{1,31}".prop_map(|name| SetName::new(&name).expect("a name"))
}
