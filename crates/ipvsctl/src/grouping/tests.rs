use std::net::IpAddr;
use std::sync::Arc;

use ipset::Entry;
use ipvs::text::{Line, parse_line};
use ipvs::{Protocol, VirtualServerKey};
use model::sets::SetKind;
use model::{ObjectName, Op, Plan, PlannedOp, Reason, ServicePortName, Stage};
use planner::{EntryOwner, EntryOwners};

use super::{Changes, Counts, Group, Kind};

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
    let changes = Changes::with_owners(&plan, &EntryOwners::default());
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
    let owner = |first, others| EntryOwner {
        first: port("shop", first, Protocol::Tcp),
        others,
    };
    let owners = EntryOwners {
        entries: [((set, Entry::Port(30080)), owner("http", 0))].into(),
        addresses: [(address, owner("admin", 3))].into(),
    };
    let changes = Changes::with_owners(&plan, &owners);
    let shown: Vec<String> = (changes.groups.iter())
        .flat_map(|(group, changes)| {
            let line = move |change: &super::Change<'_>| {
                format!("{group}: {}, {} others", change.planned.op, change.others)
            };
            changes.iter().map(line)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "default/shop:admin: add address 203.0.113.1 to kube-ipvs0, 3 others",
            "default/shop:http: add 30080 to set KUBE-NODE-PORT-TCP, 0 others",
            "(no Service): delete 30081 from set KUBE-NODE-PORT-TCP, 0 others",
        ]
    );
    let shop = ObjectName::new("default", "shop");
    let both = Counts {
        add: 2,
        ..Counts::default()
    };
    assert_eq!(changes.services(), [(&shop, both)].into());
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
        let mut changes = Changes::with_owners(&plan, &EntryOwners::default());
        changes.retain(&services, kinds);
        let groups: Vec<String> = changes.groups.keys().map(Group::to_string).collect();
        (groups.join(" "), changes.counts().total())
    };
    let all = "(node) default/api:http default/web:http";
    assert_eq!(kept(&[], &[]), (all.to_owned(), 4));
    assert_eq!(kept(&["web"], &[]), ("default/web:http".to_owned(), 2));
    assert_eq!(kept(&[], &[Kind::Address]), (all.to_owned(), 3));
    let servers = kept(&["web", "api"], &[Kind::VirtualServer]);
    assert_eq!(servers, ("default/web:http".to_owned(), 1));
    assert_eq!(kept(&["none"], &[]), (String::new(), 0));
}
