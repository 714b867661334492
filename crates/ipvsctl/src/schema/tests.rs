use std::sync::Arc;
use std::time::Duration;

use ipvs::{
    AddressFamily, Forwarding, Protocol, RealServer, RealServerKey, Scheduler, ServiceFlags,
    Tunnel, TunnelFlags, TunnelKind, VirtualServer, VirtualServerKey,
};
use model::{NodeTables, VirtualServerEntry};

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
            real_servers: real_servers().map(|real| (real.key, real)).collect(),
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
        assert!(saved.has_addresses, "{text}");
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
