//! Random clusters.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

pub use fixtures::lists;
use ipnetwork::IpNetwork;
use ipvs::{AddressFamily, Forwarding, Protocol, RealServer};
use model::cluster::{
    Endpoint, EndpointPort, EndpointSlice, Node, Parsed, Service, ServiceKind, ServicePort,
    StaticServer, TrafficPolicy,
};
use model::config::{
    DetectLocal, ExternalIpPolicy, Masquerade, NodePortAddresses, ServiceLimits,
    default_scheduler_flags,
};
use model::missing_family::FamilyGap;
use model::names::Name;
use model::policy::PolicyField;
use model::snapshot::{Interface, KernelVersion, Machine};
use model::{ClusterEvent, ClusterState, Desired, NodeConfig, NodeState, Object, ObjectName};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::policy::{annotations, labels, rules, virtual_server_policy};

/// Returns the configuration of the simulated node.
#[must_use]
pub fn config() -> NodeConfig {
    NodeConfig::new("node1")
}

/// Returns the tables that the daemon writes for `cluster`.
#[must_use]
pub fn written(cluster: &ClusterState) -> Desired {
    let node = NodeState::default();
    planner::compile(cluster, &node, &config()).0
}

/// Returns a cluster with `objects`, with all lists complete.
#[must_use]
pub fn cluster(objects: Vec<Object>) -> ClusterState {
    let mut state = ClusterState::default();
    for event in lists(objects) {
        state.absorb(event);
    }
    state
}

/// Generates objects with distinct names.
pub fn objects() -> impl Strategy<Value = Vec<Object>> {
    vec(object(), 0..16).prop_map(|objects| {
        let mut seen = std::collections::BTreeSet::new();
        (objects.into_iter())
            .filter(|object| seen.insert((object.kind(), object.name())))
            .collect()
    })
}

/// Generates any object.
pub fn object() -> impl Strategy<Value = Object> {
    prop_oneof![
        3 => service().prop_map(Object::Service),
        4 => slice().prop_map(Object::EndpointSlice),
        1 => node().prop_map(Object::Node),
        1 => virtual_server().prop_map(Object::VirtualServer),
    ]
}

/// Generates a change after the first lists: an object, a deletion, or a relist.
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
    select(vec![0_u16, 53, 80, 443, 4_000, 65_535]).prop_map(|number| {
        NonZeroU16::new(number).map_or(Parsed::Invalid("0".into()), Parsed::Valid)
    })
}

fn port_name() -> impl Strategy<Value = Name> {
    select(vec!["", "http", "dns"]).prop_map(Into::into)
}

fn policy() -> impl Strategy<Value = TrafficPolicy> {
    prop_oneof![3 => Just(TrafficPolicy::Cluster), 1 => Just(TrafficPolicy::Local)]
}

fn node_port() -> impl Strategy<Value = Option<Parsed<NonZeroU16>>> {
    prop_oneof![
        3 => Just(None),
        2 => port().prop_map(Some),
        1 => Just(Some(Parsed::Invalid("70000".into()))),
    ]
}

fn service_port() -> impl Strategy<Value = ServicePort> {
    (port_name(), protocol(), port(), node_port()).prop_map(|(name, protocol, port, node_port)| {
        ServicePort {
            name,
            protocol,
            port,
            node_port,
        }
    })
}

/// Generates a VirtualServer, valid or not, often at an address of a Service.
pub fn virtual_server() -> impl Strategy<Value = StaticServer> {
    let lines = select(vec![
        "-A -t 10.96.0.1:80 -s rr",
        "-A -t 10.96.0.1:0 -s rr -p 60",
        "-A -t 10.96.0.1:0 -s rr",
        "-A -u 10.96.0.1:53 -s wlc -o",
        "-A -t 203.0.113.1:443 -s sh -b sh-port",
        "-A -t [fd00:96::1]:80 -s nosuch",
        "-A -f 7 -s rr",
        "-A -f 7 -6 -s wrr -p 300",
    ]);
    let key = prop_oneof![
        Just(("10.1.0.1:80", Forwarding::Masquerade)),
        Just(("10.1.0.1:8080", Forwarding::DirectRoute)),
        Just(("10.1.0.2:80", Forwarding::DirectRoute)),
        Just(("[fd00::1]:80", Forwarding::Masquerade)),
    ];
    let real = (key, 0_u32..3, 0_u32..2, 0_u32..2).prop_map(
        |((key, forwarding), weight, upper_threshold, lower_threshold)| RealServer {
            key: key.parse::<SocketAddr>().expect("an address").into(),
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
        },
    );
    (
        object_name(),
        lines,
        vec(real, 0..4),
        any::<bool>(),
        any::<bool>(),
        virtual_server_policy(),
    )
        .prop_map(
            |(name, line, real_servers, bind, masquerade_source, policy)| StaticServer {
                name: ObjectName::virtual_server(name.namespace, name.name),
                server: match ipvs::text::parse_line(line) {
                    Ok(ipvs::text::Line::VirtualServer(server)) => server,
                    other => panic!("not a virtual server: {other:?}"),
                },
                real_servers,
                bind,
                masquerade_source,
                policy,
            },
        )
}

/// Generates a Service of any shape, also such that no API server admits.
pub fn service() -> impl Strategy<Value = Service> {
    let kinds = vec![
        ServiceKind::ClusterIp,
        ServiceKind::ClusterIp,
        ServiceKind::NodePort,
        ServiceKind::LoadBalancer,
        ServiceKind::LoadBalancer,
        ServiceKind::ExternalName,
    ];
    let inside = (
        select(kinds),
        vec(address(CLUSTER_IPS), 0..3),
        vec(service_port(), 0..4),
        option::of((0_u64..100_000).prop_map(Duration::from_secs)),
        policy(),
    );
    let outside = (
        vec(address(EXTERNAL_IPS), 0..3),
        vec(address(EXTERNAL_IPS), 0..3),
        vec(range(), 0..3),
        node_port(),
        policy(),
        (annotations(), labels()),
    );
    (object_name(), option::of(0_i64..3), inside, outside).prop_map(
        |(name, created, inside, outside)| {
            let (kind, cluster_ips, ports, affinity, internal_policy) = inside;
            let (external_ips, load_balancer_ips, source_ranges, health, policy, own) = outside;
            let (annotations, labels) = own;
            Service {
                name,
                created,
                uid: None,
                kind,
                cluster_ips,
                ports,
                affinity,
                internal_policy,
                external_policy: policy,
                external_ips,
                load_balancer_ips,
                source_ranges,
                health_check_node_port: health,
                has_selector: false,
                annotations: annotations.into(),
                labels: labels.into(),
            }
        },
    )
}

const CLUSTER_IPS: &[&str] = &[
    "10.96.0.1",
    "10.96.0.2",
    "10.96.0.3",
    "fd00:96::1",
    "0.0.0.0",
    "10.96.0.300",
    "192.0.2.1",
];

/// Unused addresses, those of the node, of another node, of a Service, and invalid ones.
const EXTERNAL_IPS: &[&str] = &[
    "203.0.113.1",
    "203.0.113.2",
    "2001:db8::1",
    "192.0.2.1",
    "192.0.2.2",
    "fd00::1",
    "10.96.0.1",
    "127.0.0.1",
    "224.0.0.1",
    "::",
    "fe80::1",
    "nowhere",
];

fn range() -> impl Strategy<Value = Parsed<IpNetwork>> {
    let texts = vec![
        "192.0.2.0/24",
        "203.0.113.9/32",
        "0.0.0.0/0",
        "fd00::/8",
        "::/0",
        "10.0.0.0/8",
        "all",
    ];
    select(texts).prop_map(|text| {
        (text.parse()).map_or_else(|_| Parsed::Invalid(text.into()), Parsed::Valid)
    })
}

fn network(texts: &'static [&'static str]) -> impl Strategy<Value = Vec<IpNetwork>> {
    let networks: Vec<IpNetwork> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    vec(select(networks), 0..3)
}

/// Generates the node's interfaces.
pub fn node_state() -> impl Strategy<Value = NodeState> {
    let addresses = network(&[
        "192.0.2.1/24",
        "192.0.2.3/24",
        "203.0.113.1/24",
        "fd00::1/64",
        "fe80::1/64",
        "127.0.0.1/8",
        "10.96.0.1/32",
    ]);
    let missing = prop_oneof![
        4 => Just(None),
        1 => any::<bool>().prop_map(|six| {
            let gap = |lacks: bool| lacks.then_some(FamilyGap::NoNat);
            FamilyGap::decide([gap(!six), gap(six)])
        }),
    ];
    let kernel = option::of((3_u16..8, 0_u16..20));
    (vec(addresses, 0..3), kernel, missing).prop_map(|(links, kernel, missing)| NodeState {
        missing,
        interfaces: (links.into_iter().enumerate())
            .map(|(index, addresses)| Interface {
                name: format!("eth{index}").into(),
                addresses,
            })
            .collect(),
        machine: Machine {
            kernel: kernel.map(|(major, minor)| KernelVersion { major, minor }),
            processors: None,
            keepalive: None,
        },
    })
}

/// Generates the configuration of `node1`.
pub fn configs() -> impl Strategy<Value = NodeConfig> {
    let networks = || {
        network(&[
            "192.0.2.0/24",
            "0.0.0.0/0",
            "203.0.113.2/32",
            "fd00::/8",
            "10.1.0.0/16",
        ])
    };
    let detect = prop_oneof![
        networks().prop_map(DetectLocal::ClusterCidr),
        Just(DetectLocal::NodeCidr),
        Just(DetectLocal::BridgeInterface("cni0".into())),
        Just(DetectLocal::InterfaceNamePrefix("veth".into())),
    ];
    let node_ports = prop_oneof![
        networks().prop_map(NodePortAddresses::Within),
        networks().prop_map(NodePortAddresses::PrimaryAnd),
    ];
    let external = prop_oneof![
        2 => Just(ExternalIpPolicy::Allow),
        1 => networks().prop_map(ExternalIpPolicy::AllowList),
        1 => Just(ExternalIpPolicy::Deny),
    ];
    let sockets = vec(
        select(vec!["203.0.113.2:443", "192.0.2.1:80", "10.96.0.1:443"]),
        0..2,
    );
    let protection =
        (sockets, vec(select(vec![53_u16, 443]), 0..2)).prop_map(|(sockets, ports)| {
            let sockets = sockets.iter().filter_map(|text| text.parse().ok());
            (sockets.collect(), ports.into_iter().collect())
        });
    let limits = prop_oneof![
        3 => Just(ServiceLimits::default()),
        1 => (1_usize..3, 1_usize..3, 1_usize..8, 1_usize..8).prop_map(|(addresses, source_ranges, entries, real_servers)| {
            ServiceLimits {
                addresses,
                source_ranges,
                entries,
                real_servers,
            }
        }),
    ];
    let bind = option::of(select(vec!["192.0.2.1", "fd00::1", "198.51.100.1"]));
    (
        detect,
        node_ports,
        external,
        networks(),
        bind,
        any::<[bool; 3]>(),
        (protection, limits, rules()),
    )
        .prop_map(
            |(
                detect_local,
                node_port_addresses,
                external_ips,
                protected_cidrs,
                bind,
                [all, mh, accept_served_traffic],
                ((api_server, protected_host_ports), service_limits, service_policies),
            )| {
                let scheduler = if mh { "mh" } else { "rr" };
                NodeConfig {
                    bind_address: bind.and_then(|text| text.parse().ok()),
                    scheduler: ipvs::Scheduler(scheduler.into()),
                    scheduler_flags: default_scheduler_flags(scheduler),
                    masquerade: Masquerade {
                        all,
                        ..Masquerade::default()
                    },
                    detect_local,
                    node_port_addresses,
                    external_ips,
                    protected_cidrs,
                    api_server,
                    protected_host_ports,
                    service_limits,
                    service_policies,
                    allowed_annotations: PolicyField::ALL.iter().copied().collect(),
                    health_check_networks: probed(accept_served_traffic),
                    accept_served_traffic,
                    ..config()
                }
            },
        )
}

/// Returns networks that may be probed, or none: some of the addresses of [`endpoint`].
fn probed(any: bool) -> Vec<IpNetwork> {
    let networks = ["10.1.0.0/30", "fd00:1::/64"].map(str::parse);
    networks.into_iter().flatten().filter(|_| any).collect()
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    // A Service may claim the last three, and a Node may have them: those of an API server are
    // protected.
    let addresses = &[
        "10.1.0.1",
        "10.1.0.2",
        "10.1.0.3",
        "fd00:1::1",
        "::",
        "pod",
        "203.0.113.1",
        "192.0.2.1",
        "10.96.0.2",
    ];
    (
        address(addresses),
        any::<(bool, bool, bool)>(),
        option::of(select(vec!["node1", "node2"])),
        option::of(select(vec!["zone-a", "zone-b"])),
        vec(select(vec!["zone-a", "zone-b"]), 0..2),
        vec(select(vec!["node1", "node2"]), 0..2),
    )
        .prop_map(
            |(address, (ready, serving, terminating), node, zone, zones, nodes)| Endpoint {
                address,
                ready,
                serving,
                terminating,
                node: node.map(Into::into),
                zone: zone.map(Into::into),
                zone_hints: zones.into_iter().map(Into::into).collect(),
                node_hints: nodes.into_iter().map(Into::into).collect(),
            },
        )
}

/// Generates a slice of any Service.
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
            triggered: None,
            uid: None,
            several_addresses: None,
        })
}

fn node() -> impl Strategy<Value = Node> {
    let addresses = vec![
        "192.0.2.1",
        "192.0.2.2",
        "203.0.113.2",
        "fd00::1",
        "10.96.0.1",
    ];
    (
        select(vec!["node1", "node2", "node3"]),
        option::of(select(vec!["zone-a", "zone-b"])),
        vec(select(addresses), 0..3),
        network(&["10.244.1.0/24", "fd00:244::/64"]),
    )
        .prop_map(|(name, zone, addresses, pod_cidrs)| Node {
            name: name.into(),
            zone: zone.map(Into::into),
            addresses: addresses
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect(),
            pod_cidrs,
            deleting: false,
            leaving: false,
        })
}
