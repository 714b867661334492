use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnetwork::IpNetwork;
use ipvs::{
    AddressFamily, Forwarding, Protocol, RealServer, RealServerKey, Scheduler, ServiceFlags,
    Tunnel, TunnelFlags, TunnelKind, VirtualServer, VirtualServerKey,
};
use model::missing_family::{FamilyGap, MissingFamily};
use model::snapshot::{Interface, KernelVersion, Machine, NodeState};
use model::text::{Part, Saved};
use model::{Keepalive, NodeTables, VirtualServerEntry};
use proptest::prelude::*;
use proptest::sample::select;

use super::{Checkup, looks_like, parse};
use crate::doctor::{Advice, Diagnosis, Report, Severity};

/// Returns tables with every protocol, forwarding method, tunnel and flag, known and unknown ones.
fn everything() -> NodeTables {
    let protocols = [
        Protocol::Tcp,
        Protocol::Udp,
        Protocol::Sctp,
        Protocol::Other(47),
    ];
    let keys = protocols
        .into_iter()
        .map(|protocol| VirtualServerKey::Address {
            address: "fd00::10".parse().expect("an address"),
            port: 80,
            protocol,
        });
    let marks = AddressFamily::ALL.map(|family| VirtualServerKey::Fwmark {
        family,
        mark: 7.try_into().expect("not zero"),
    });
    let mut tables = NodeTables::default();
    for key in keys.chain(marks) {
        let server = VirtualServer {
            key,
            scheduler: Scheduler("mh".into()),
            flags: ServiceFlags::from_bits_retain(0x8000_007d),
            persistence_timeout: Duration::from_secs(360),
            persistence_prefix: 24,
            persistence_engine: Some("sip".into()),
        };
        let entry = VirtualServerEntry {
            server,
            real_servers: real_servers().collect(),
        };
        tables.virtual_servers.insert(key, Arc::new(entry));
    }
    tables
        .addresses
        .insert("10.96.0.10".parse().expect("an address"));
    tables
        .addresses
        .insert("fd00::10".parse().expect("an address"));
    tables
}

fn real_servers() -> impl Iterator<Item = RealServer> {
    let tunnel = |kind, port, flags| Forwarding::Tunnel(Tunnel { kind, port, flags });
    let forwardings = [
        Forwarding::Masquerade,
        Forwarding::LocalNode,
        Forwarding::DirectRoute,
        Forwarding::Bypass,
        Forwarding::Other(6),
        tunnel(TunnelKind::Ipip, 0, TunnelFlags::empty()),
        tunnel(TunnelKind::Gue, 6080, TunnelFlags::REMCSUM),
        tunnel(TunnelKind::Gre, 0, TunnelFlags::CSUM),
        tunnel(
            TunnelKind::Other(9),
            1,
            TunnelFlags::from_bits_retain(0x8000),
        ),
    ];
    (1..).zip(forwardings).map(|(port, forwarding)| RealServer {
        key: RealServerKey {
            address: "10.1.2.3".parse().expect("an address"),
            port,
        },
        forwarding,
        weight: u32::from(port) - 1,
        upper_threshold: 100,
        lower_threshold: 50,
    })
}

fn object(tables: &NodeTables) -> super::NodeTables {
    super::NodeTables::empty()
        .with_servers(tables, &Default::default())
        .with_addresses(tables)
}

#[test]
fn json_and_yaml_are_parsed_to_the_same_tables() {
    let tables = everything();
    let json = serde_json::to_string(&object(&tables)).expect("JSON");
    let yaml = serde_saphyr::to_string(&object(&tables)).expect("YAML");
    for text in [json, yaml] {
        assert!(looks_like(&text), "{text}");
        let saved = parse(&text).expect("readable");
        assert_eq!(saved.tables, tables, "{text}");
        let parts = [Part::VirtualServers, Part::Addresses].into();
        assert_eq!(saved.parts, parts, "{text}");
    }
}

#[test]
fn live_servers_have_connections() {
    let tables = everything();
    let mut snapshot = model::Snapshot {
        tables,
        ..model::Snapshot::default()
    };
    let key = *snapshot
        .tables
        .virtual_servers
        .keys()
        .next()
        .expect("a key");
    let real = real_servers().next().expect("a real server").key;
    let counted = ipvs::Connections {
        active: 3,
        inactive: 2,
        persistent: 1,
    };
    snapshot.connections.insert((key, real), counted);
    let object = super::NodeTables::empty().with_live_servers(&snapshot);
    let servers = object.virtual_servers.expect("servers");
    assert_eq!(servers[0].real_servers[0].connections, Some(counted.into()));
    assert_eq!(
        servers[0].real_servers[1].connections,
        Some(super::Connections::default())
    );
    assert_eq!(object.addresses, None);
}

#[test]
fn mistakes_are_reported_with_their_path() {
    let check = |wrong: serde_json::Value, at: &[&str], message: &str| {
        let mut value = serde_json::to_value(object(&everything())).expect("JSON");
        let (last, path) = at.split_last().expect("a path");
        let place = path
            .iter()
            .fold(&mut value, |value, step| match step.parse::<usize>() {
                Ok(index) => &mut value[index],
                Err(_) => &mut value[*step],
            });
        match last.parse::<usize>() {
            Ok(index) => place[index] = wrong,
            Err(_) => place[*last] = wrong,
        }
        let error = parse(&value.to_string()).expect_err("a mistake");
        assert_eq!(error.to_string(), message);
    };
    let server = ["virtualServers", "0"];
    let with = |rest: &[&'static str]| [&server[..], rest].concat();
    check(
        "magic".into(),
        &with(&["protocol"]),
        "virtualServers[0].protocol: `magic` is neither a known name nor a number from 0 to 255",
    );
    check(
        "magic".into(),
        &with(&["flags", "1"]),
        "virtualServers[0].flags[1]: unknown flag magic",
    );
    check(
        "Masq".into(),
        &with(&["realServers", "5", "forwarding"]),
        "virtualServers[0].realServers[5].tunnel: only allowed with forwarding Tunnel",
    );
    check(
        "Tunnel".into(),
        &with(&["realServers", "0", "forwarding"]),
        "virtualServers[0].realServers[0].tunnel: missing, but forwarding is Tunnel",
    );
    check(
        2.into(),
        &with(&["realServers", "0", "port"]),
        "virtualServers[0].realServers[1]: duplicate real server 10.1.2.3:2",
    );
    check(
        "x".into(),
        &["addresses", "0"],
        "addresses[0]: `x` is not an address such as 10.96.0.1/32",
    );
    check(
        "Pod".into(),
        &["kind"],
        "kind Pod, apiVersion kube-ipvs.io/v1alpha1: expected NodeTables, kube-ipvs.io/v1alpha1, as \
         ipvsctl get tables -o json prints it",
    );
}

#[test]
fn unknown_field_is_an_error() {
    let text = r#"{"apiVersion": "kube-ipvs.io/v1alpha1", "kind": "NodeTables", "bags": []}"#;
    let error = parse(text).expect_err("a mistake").to_string();
    assert!(error.contains("unknown field `bags`"), "{error}");
}

#[test]
fn checkup_has_counts_services_and_advice() {
    let found = |severity, advice| Diagnosis {
        check: "idle-tcp",
        severity,
        code: Some(model::Code::IdleTcpForgotten),
        found: "found".to_owned(),
        details: vec!["detail".to_owned()],
        services: [model::ObjectName::new("shop", "web")].into(),
        advice,
    };
    let advice = Advice {
        users_see: "nothing".to_owned(),
        action: "action".to_owned(),
    };
    let report = Report {
        node_name: "node1".to_owned(),
        diagnoses: vec![
            found(Severity::Warning, Some(advice)),
            found(Severity::Ok, None),
        ],
        services: Some(2),
    };
    let checkup = serde_json::to_value(Checkup::from(&report)).expect("JSON");
    let expected = serde_json::json!({
        "apiVersion": "kube-ipvs.io/v1alpha1", "kind": "Checkup", "nodeName": "node1",
        "verdict": "1 warning: 1 of 2 Services is not served as it should be",
        "services": {"total": 2, "affected": 1},
        "summary": {"ok": 1, "warning": 1, "problem": 0},
        "checks": [
            {"check": "idle-tcp", "severity": "warning", "code": "KIV0403", "found": "found", "details": ["detail"],
             "services": ["shop/web"], "usersSee": "nothing", "action": "action"},
            {"check": "idle-tcp", "severity": "ok", "code": "KIV0403", "found": "found", "details": ["detail"],
             "services": ["shop/web"], "usersSee": null, "action": null},
        ],
    });
    assert_eq!(checkup, expected);
}

/// Returns saved tables with every part.
fn whole() -> Saved {
    let text = "\
# ipset
create KUBE-IPVS-IPS hash:ip family inet maxelem 65536
add KUBE-IPVS-IPS 10.96.0.10
# rules4
*nat
:KUBE-SERVICES -
-A KUBE-SERVICES -m comment --comment \"a \\\"quoted\\\" text\" -j RETURN
COMMIT
# sysctl
net.ipv4.ip_forward = 1
# timeouts
--set 900 120 300
";
    let mut saved = model::text::parse_saved(text).expect("tables");
    let mut tables = everything();
    // The syntax of ipvsadm has no unknown flags.
    for entry in tables.virtual_servers.values_mut() {
        let entry = Arc::make_mut(entry);
        entry.server.flags = ServiceFlags::from_bits_retain(0x3d);
        entry.real_servers.remove(&RealServerKey {
            address: [10, 1, 2, 3].into(),
            port: 9,
        });
    }
    saved.tables.virtual_servers = tables.virtual_servers;
    saved.tables.addresses = tables.addresses;
    let server = (saved.tables.virtual_servers.iter()).next();
    let (key, entry) = server.expect("a virtual server");
    let real = entry.real_servers.keys().next().expect("a real server");
    let count = ipvs::Connections {
        active: 1,
        inactive: 2,
        persistent: 3,
    };
    saved.connections.insert((*key, *real), count);
    saved.parts = Part::ALL.into();
    saved
}

/// Returns saved tables in each format.
fn formats(saved: &Saved) -> [String; 3] {
    let object = super::NodeTables::saved(saved);
    [
        serde_json::to_string(&object).expect("JSON"),
        serde_saphyr::to_string(&object).expect("YAML"),
        model::text::print_saved(saved),
    ]
}

fn read(text: &str) -> Saved {
    match looks_like(text) {
        true => parse(text).expect("readable"),
        false => model::text::parse_saved(text).expect("readable"),
    }
}

fn node() -> impl Strategy<Value = NodeState> {
    let gap = select(vec![
        FamilyGap::Disabled("net.ipv6.conf.all.disable_ipv6".into()),
        FamilyGap::NoProgram,
        FamilyGap::Described,
    ]);
    let missing = (select(AddressFamily::ALL.to_vec()), gap)
        .prop_map(|(family, gap)| MissingFamily { family, gap });
    let address = prop_oneof![
        any::<Ipv4Addr>().prop_map(IpAddr::V4),
        any::<Ipv6Addr>().prop_map(IpAddr::V6),
    ];
    let network = (address, 0..=32_u8)
        .prop_map(|(address, prefix)| IpNetwork::new(address, prefix).expect("a network"));
    let interfaces =
        prop::collection::btree_map("[!-.0-~]{1,15}", prop::collection::vec(network, 0..3), 0..4);
    (
        interfaces,
        prop::option::of(any::<[u16; 2]>()),
        prop::option::of(any::<u32>()),
        prop::option::of(any::<[u32; 3]>()),
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
                    kernel: kernel.map(|[major, minor]| KernelVersion { major, minor }),
                    processors,
                    keepalive: keepalive.map(|[time, interval, probes]| Keepalive {
                        time,
                        interval,
                        probes,
                    }),
                },
                missing,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn saved_tables_of_every_format_are_the_same(
        node in node(),
        parts in prop::collection::btree_set(select(Part::ALL.to_vec()), 0..=8),
    ) {
        let whole = Saved { node, ..whole() };
        for text in formats(&whole) {
            prop_assert_eq!(&read(&text), &whole);
        }
        // Files with some of the parts are equal too, with virtual servers, which text always has.
        let mut kept = Saved { parts, ..whole };
        kept.parts.insert(Part::VirtualServers);
        let [json, yaml, text] = formats(&kept);
        let expected = read(&json);
        prop_assert_eq!(&expected.parts, &kept.parts);
        prop_assert_eq!(read(&yaml), expected.clone());
        prop_assert_eq!(read(&text), expected);
    }
}

#[test]
fn mistakes_in_the_state_of_a_node_are_reported_with_their_path() {
    let check = |node: serde_json::Value, message: &str| {
        let text = serde_json::json!({
            "apiVersion": "kube-ipvs.io/v1alpha1", "kind": "NodeTables", "node": node,
        });
        let error = parse(&text.to_string()).expect_err("a mistake");
        assert_eq!(error.to_string(), message);
    };
    check(
        serde_json::json!({"kernel": "six"}),
        "node.kernel: `six` is not a kernel release such as 6.1.0-42-amd64",
    );
    check(
        serde_json::json!({"interfaces": [{"name": "a", "addresses": ["x"]}]}),
        "node.interfaces[0].addresses[0]: `x` is not an address with prefix length, such as 192.0.2.7/24",
    );
    check(
        serde_json::json!({"missingFamily": {"family": "IPv5", "gap": "no-nat"}}),
        "node.missingFamily: expected a family, IPv4 or IPv6, and a gap such as no-nat",
    );
}

#[test]
fn yaml_with_more_nodes_than_the_default_limit_is_read() {
    let mut object = object(&everything());
    let one = object.virtual_servers.iter().flatten().next().cloned();
    let mut one = one.expect("a virtual server");
    // A real server has 13 nodes; the limit is 250,000.
    one.real_servers = (1..=20_000)
        .map(|port| super::RealServer {
            port,
            ..one.real_servers[0].clone()
        })
        .collect();
    object.virtual_servers = Some(vec![one]);
    let yaml = serde_saphyr::to_string(&object).expect("YAML");
    let read = parse(&yaml).expect("readable");
    let servers = read.tables.virtual_servers.values();
    let counts: Vec<usize> = servers.map(|entry| entry.real_servers.len()).collect();
    assert_eq!(counts, [20_000]);
}
