use std::net::IpAddr;
use std::sync::Arc;

use ipset::Entry;
use ipvs::text::{Line, parse_line};
use ipvs::{Protocol, VirtualServerKey};
use model::sets::SetKind;
use model::{ObjectName, Op, Plan, PlannedOp, Reason, ServicePortName, Stage};
use planner::EntryOwners;

use super::{Changes, Group, Kind, Selection};

fn key() -> VirtualServerKey {
    VirtualServerKey::Address {
        address: IpAddr::from([10, 96, 0, 10]),
        port: 80,
        protocol: Protocol::Tcp,
    }
}

fn server() -> ipvs::VirtualServer {
    match parse_line("-A -t 10.96.0.10:80 -s rr") {
        Ok(Line::VirtualServer(server)) => server,
        other => panic!("{other:?}"),
    }
}

fn port(service: &str, port: &str, protocol: Protocol) -> Arc<ServicePortName> {
    Arc::new(ServicePortName {
        service: ObjectName::new("default", service),
        port: port.into(),
        protocol,
    })
}

fn plan(ops: Vec<(Op, Option<Arc<ServicePortName>>)>) -> Plan {
    let planned = |(op, owner)| PlannedOp {
        op,
        owner,
        reason: Reason::Missing,
    };
    Plan {
        stages: vec![Stage {
            ops: ops.into_iter().map(planned).collect(),
        }],
        ..Plan::default()
    }
}

#[test]
fn one_port_name_with_two_protocols_is_one_group() {
    let plan = plan(vec![
        (
            Op::AddVirtualServer(server()),
            Some(port("web", "dns", Protocol::Tcp)),
        ),
        (
            Op::DelVirtualServer(key()),
            Some(port("web", "dns", Protocol::Udp)),
        ),
        (Op::EnsureDevice, None),
        (Op::DelAddress(IpAddr::from([10, 0, 0, 1])), None),
    ]);
    let changes = Changes::with_owners(&plan, &EntryOwners::default(), Selection::default());
    let headings: Vec<String> = changes.groups.keys().map(ToString::to_string).collect();
    assert_eq!(headings, ["(node)", "default/web:dns", "(no Service)"]);
}

#[test]
fn entries_without_virtual_server_belong_to_the_services_that_ask_for_them() {
    let set = SetKind::NodePortTcp.name(ipvs::AddressFamily::Ipv4);
    let address = IpAddr::from([203, 0, 113, 1]);
    let plan = plan(vec![
        (Op::AddEntry(set.clone(), Entry::Port(30080)), None),
        (Op::DelEntry(set.clone(), Entry::Port(30081)), None),
        (
            Op::AddAddress(address),
            Some(port("web", "http", Protocol::Tcp)),
        ),
    ]);
    let shop = |name| port("shop", name, Protocol::Tcp);
    let owners = EntryOwners {
        entries: [((set, Entry::Port(30080)), vec![shop("http")])].into(),
        addresses: [(
            address,
            vec![shop("admin"), port("web", "http", Protocol::Tcp)],
        )]
        .into(),
    };
    let changes = Changes::with_owners(&plan, &owners, Selection::default());
    assert_eq!(
        shown(&changes),
        [
            "default/shop:admin: add address 203.0.113.1 to kube-ipvs0, 1 others",
            "default/shop:http: add 30080 to set KUBE-NODE-PORT-TCP, 0 others",
            "(no Service): delete 30081 from set KUBE-NODE-PORT-TCP, 0 others",
        ]
    );
    let counts: Vec<String> = (changes.by_service().iter())
        .map(|(group, counts)| format!("{group}: {counts}"))
        .collect();
    assert_eq!(
        counts,
        [
            "default/shop: Plan: 2 to add, 0 to change, 0 to delete",
            "(no Service): Plan: 0 to add, 0 to change, 1 to delete",
        ]
    );
}

/// Returns a line for each change of each group.
fn shown(changes: &Changes<'_>) -> Vec<String> {
    let groups = changes.groups.iter();
    let lines = groups.flat_map(|(group, changes)| {
        (changes.iter()).map(move |change| {
            let op = &change.planned.op;
            format!("{group}: {op}, {} others", change.others)
        })
    });
    lines.collect()
}

#[test]
fn a_shared_entry_is_shown_for_each_selected_service_and_counted_once() {
    let address = IpAddr::from([203, 0, 113, 1]);
    let plan = plan(vec![(Op::AddAddress(address), None)]);
    let owner = |service| port(service, "http", Protocol::Tcp);
    let owners = EntryOwners {
        addresses: [(address, vec![owner("a"), owner("b"), owner("c")])].into(),
        ..EntryOwners::default()
    };
    let check = |selected: &[&str], expected: &[&str]| {
        let services: Vec<ObjectName> = (selected.iter())
            .map(|name| ObjectName::new("default", *name))
            .collect();
        let selection = Selection {
            services: &services,
            kinds: &[],
        };
        let changes = Changes::with_owners(&plan, &owners, selection);
        let line = |service: &&str| {
            format!("default/{service}:http: add address {address} to kube-ipvs0, 2 others")
        };
        let expected: Vec<String> = expected.iter().map(line).collect();
        assert_eq!(shown(&changes), expected, "{selected:?}");
        assert_eq!(changes.summary().total(), expected.len().min(1));
        assert_eq!(changes.by_service().len(), expected.len());
    };
    check(&[], &["a"]);
    check(&["b"], &["b"]);
    check(&["c", "b"], &["b", "c"]);
    check(&["d"], &[]);
}

#[test]
fn changes_are_kept_by_service_and_kind() {
    let plan = plan(vec![
        (
            Op::AddVirtualServer(server()),
            Some(port("web", "http", Protocol::Tcp)),
        ),
        (
            Op::AddAddress(IpAddr::from([10, 96, 0, 10])),
            Some(port("web", "http", Protocol::Tcp)),
        ),
        (
            Op::AddAddress(IpAddr::from([10, 96, 0, 11])),
            Some(port("api", "http", Protocol::Tcp)),
        ),
        (Op::EnsureDevice, None),
    ]);
    let kept = |services: &[&str], kinds: &[Kind]| {
        let services: Vec<ObjectName> = (services.iter())
            .map(|name| ObjectName::new("default", *name))
            .collect();
        let selection = Selection {
            services: &services,
            kinds,
        };
        let changes = Changes::with_owners(&plan, &EntryOwners::default(), selection);
        let groups: Vec<String> = changes.groups.keys().map(Group::to_string).collect();
        (groups.join(" "), changes.summary().total())
    };
    let all = "(node) default/api:http default/web:http";
    assert_eq!(kept(&[], &[]), (all.to_owned(), 4));
    assert_eq!(kept(&["web"], &[]), ("default/web:http".to_owned(), 2));
    assert_eq!(kept(&[], &[Kind::Address]), (all.to_owned(), 3));
    let servers = kept(&["web", "api"], &[Kind::VirtualServer]);
    assert_eq!(servers, ("default/web:http".to_owned(), 1));
    assert_eq!(kept(&["none"], &[]), (String::new(), 0));
}
