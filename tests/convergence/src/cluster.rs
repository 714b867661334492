//! Random clusters.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use ipvs::{AddressFamily, Protocol};
use model::cluster::{
    Endpoint, EndpointPort, EndpointSlice, Node, Parsed, Service, ServiceKind, ServicePort,
    TrafficPolicy,
};
use model::names::Name;
use model::{ClusterEvent, ClusterState, NodeConfig, Object, ObjectKind, ObjectName};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// The configuration of the node whose tables are looked at.
#[must_use]
pub fn config() -> NodeConfig {
    NodeConfig::new("node1")
}

/// A cluster that holds `objects`, all lists done.
#[must_use]
pub fn cluster(objects: Vec<Object>) -> ClusterState {
    let mut state = ClusterState::default();
    for event in lists(objects) {
        state.absorb(event);
    }
    state
}

/// `objects` as a source delivers them at first.
#[must_use]
pub fn lists(objects: Vec<Object>) -> Vec<ClusterEvent> {
    let mut events: Vec<_> = ObjectKind::ALL
        .into_iter()
        .map(ClusterEvent::ListStarted)
        .collect();
    events.extend(objects.into_iter().map(ClusterEvent::Upsert));
    events.extend(ObjectKind::ALL.into_iter().map(ClusterEvent::ListDone));
    events
}

/// Objects with distinct names.
pub fn objects() -> impl Strategy<Value = Vec<Object>> {
    vec(object(), 0..16).prop_map(|objects| {
        let mut seen = std::collections::BTreeSet::new();
        (objects.into_iter())
            .filter(|object| seen.insert((object.kind(), object.name())))
            .collect()
    })
}

/// Any object.
pub fn object() -> impl Strategy<Value = Object> {
    prop_oneof![
        3 => service().prop_map(Object::Service),
        4 => slice().prop_map(Object::EndpointSlice),
        1 => node().prop_map(Object::Node),
    ]
}

/// A change after the first lists: an object, a deletion, or a list anew.
pub fn change() -> impl Strategy<Value = Vec<ClusterEvent>> {
    prop_oneof![
        6 => object().prop_map(|object| vec![ClusterEvent::Upsert(object)]),
        2 => object().prop_map(|object| {
            vec![ClusterEvent::Delete(object.kind(), object.name())]
        }),
        1 => objects().prop_map(lists),
    ]
}

fn name() -> impl Strategy<Value = Name> {
    select(vec!["a", "b", "c", "kubernetes"]).prop_map(Into::into)
}

fn object_name() -> impl Strategy<Value = ObjectName> {
    (select(vec!["default", "shop"]), name())
        .prop_map(|(namespace, name)| ObjectName::new(namespace, name))
}

fn protocol() -> impl Strategy<Value = Parsed<Protocol>> {
    prop_oneof![
        4 => Just(Parsed::Valid(Protocol::Tcp)),
        2 => Just(Parsed::Valid(Protocol::Udp)),
        1 => Just(Parsed::Valid(Protocol::Sctp)),
        1 => Just(Parsed::Valid(Protocol::Other(47))),
        1 => Just(Parsed::Invalid("tcp?".into())),
    ]
}

fn address(texts: &'static [&'static str]) -> impl Strategy<Value = Parsed<IpAddr>> {
    select(texts).prop_map(|text| {
        text.parse()
            .map_or_else(|_| Parsed::Invalid(text.into()), Parsed::Valid)
    })
}

fn port() -> impl Strategy<Value = Parsed<NonZeroU16>> {
    select(vec![0_u16, 53, 80, 443, 65_535]).prop_map(|number| {
        NonZeroU16::new(number).map_or(Parsed::Invalid("0".into()), Parsed::Valid)
    })
}

fn port_name() -> impl Strategy<Value = Name> {
    select(vec!["", "http", "dns"]).prop_map(Into::into)
}

fn policy() -> impl Strategy<Value = TrafficPolicy> {
    prop_oneof![3 => Just(TrafficPolicy::Cluster), 1 => Just(TrafficPolicy::Local)]
}

fn service() -> impl Strategy<Value = Service> {
    let virtual_addresses = &[
        "10.96.0.1",
        "10.96.0.2",
        "10.96.0.3",
        "fd00:96::1",
        "0.0.0.0",
        "10.96.0.300",
    ];
    let kinds = vec![
        ServiceKind::ClusterIp,
        ServiceKind::ClusterIp,
        ServiceKind::NodePort,
        ServiceKind::ExternalName,
    ];
    let service_port =
        (port_name(), protocol(), port()).prop_map(|(name, protocol, port)| ServicePort {
            name,
            protocol,
            port,
            node_port: None,
        });
    (
        object_name(),
        option::of(0_i64..3),
        select(kinds),
        vec(address(virtual_addresses), 0..3),
        vec(service_port, 0..3),
        option::of((0_u64..100_000).prop_map(Duration::from_secs)),
        policy(),
    )
        .prop_map(
            |(name, created, kind, cluster_ips, ports, affinity, internal_policy)| Service {
                created,
                kind,
                cluster_ips,
                ports,
                affinity,
                internal_policy,
                ..Service::new(name)
            },
        )
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let addresses = &["10.1.0.1", "10.1.0.2", "10.1.0.3", "fd00:1::1", "::", "pod"];
    (
        address(addresses),
        any::<(bool, bool, bool)>(),
        option::of(select(vec!["node1", "node2"])),
        vec(select(vec!["zone-a", "zone-b"]), 0..2),
        vec(select(vec!["node1", "node2"]), 0..2),
    )
        .prop_map(
            |(address, (ready, serving, terminating), node, zones, nodes)| Endpoint {
                address,
                ready,
                serving,
                terminating,
                node: node.map(Into::into),
                zone_hints: zones.into_iter().map(Into::into).collect(),
                node_hints: nodes.into_iter().map(Into::into).collect(),
            },
        )
}

/// A slice of any Service.
pub fn slice() -> impl Strategy<Value = EndpointSlice> {
    let families = vec![
        Some(AddressFamily::Ipv4),
        Some(AddressFamily::Ipv4),
        Some(AddressFamily::Ipv6),
        None,
    ];
    let endpoint_port =
        (option::of(port_name()), protocol(), 0_u16..4).prop_map(|(name, protocol, number)| {
            EndpointPort {
                name,
                protocol,
                port: NonZeroU16::new(number * 4_000),
            }
        });
    (
        object_name(),
        name(),
        select(families),
        vec(endpoint(), 0..4),
        vec(endpoint_port, 0..3),
    )
        .prop_map(|(name, service, family, endpoints, ports)| EndpointSlice {
            name,
            service,
            family,
            endpoints,
            ports,
        })
}

fn node() -> impl Strategy<Value = Node> {
    (
        select(vec!["node1", "node2"]),
        option::of(select(vec!["zone-a", "zone-b"])),
    )
        .prop_map(|(name, zone)| Node {
            name: name.into(),
            zone: zone.map(Into::into),
            addresses: Vec::new(),
            pod_cidrs: Vec::new(),
        })
}
