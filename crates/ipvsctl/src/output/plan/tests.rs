use std::sync::Arc;

use std::net::IpAddr;

use ipvs::text::{Line, parse_line};
use ipvs::{Protocol, RealServerKey, VirtualServerKey};
use model::{
    Difference, NodeTables, ObjectName, Op, Plan, PlannedOp, Reason, ServicePortName, Stage,
};
use planner::EntryOwners;

use super::{LiveRules, line, stat, text};
use crate::grouping::{Changes, Selection};

fn key() -> VirtualServerKey {
    VirtualServerKey::Address {
        address: IpAddr::from([10, 96, 0, 10]),
        port: 80,
        protocol: Protocol::Tcp,
    }
}

fn real_key() -> RealServerKey {
    RealServerKey {
        address: IpAddr::from([10, 1, 2, 3]),
        port: 8080,
    }
}

fn server() -> ipvs::VirtualServer {
    match parse_line("-A -t 10.96.0.10:80 -s rr") {
        Ok(Line::VirtualServer(server)) => server,
        other => panic!("{other:?}"),
    }
}

fn real_server() -> ipvs::RealServer {
    match parse_line("-a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 1") {
        Ok(Line::RealServer(_, real)) => real,
        other => panic!("{other:?}"),
    }
}

fn planned(op: Op, owner: Option<(&str, Protocol)>, reason: Reason) -> PlannedOp {
    PlannedOp {
        op,
        owner: owner.map(|(port, protocol)| {
            Arc::new(ServicePortName {
                service: ObjectName::new("default", "web"),
                port: port.into(),
                protocol,
            })
        }),
        reason,
    }
}

#[test]
fn ops_are_printed_in_the_syntax_of_the_tools() {
    let address = IpAddr::from([10, 96, 0, 10]);
    let expected = [
        (Op::EnsureDevice, "device kube-ipvs0"),
        (Op::AddAddress(address), "10.96.0.10/32"),
        (Op::AddVirtualServer(server()), "-A -t 10.96.0.10:80 -s rr"),
        (Op::SetVirtualServer(server()), "-E -t 10.96.0.10:80 -s rr"),
        (
            Op::AddRealServer(key(), real_server()),
            "-a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 1",
        ),
        (
            Op::SetRealServer(key(), real_server()),
            "-e -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 1",
        ),
        (
            Op::DelRealServer(key(), real_key()),
            "-d -t 10.96.0.10:80 -r 10.1.2.3:8080",
        ),
        (Op::DelVirtualServer(key()), "-D -t 10.96.0.10:80"),
        (Op::DelAddress(address), "10.96.0.10/32"),
        (Op::DelDevice, "device kube-ipvs0"),
    ];
    for (op, expected) in expected {
        assert_eq!(line(&op), expected);
    }
}

fn plan(ops: Vec<PlannedOp>) -> Plan {
    Plan {
        stages: vec![Stage { ops }],
        ..Plan::default()
    }
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// Returns the text of a plan whose changes have the owners that it names.
fn shown(plan: &Plan, live: &LiveRules) -> String {
    let changes = Changes::with_owners(plan, &EntryOwners::default(), Selection::default());
    plain(&text(&changes, live))
}

fn differs(field: &'static str) -> Reason {
    Reason::Differs(vec![Difference {
        field,
        live: "a".to_owned(),
        desired: "b".to_owned(),
    }])
}

#[test]
fn long_line_does_not_move_the_reasons() {
    let mut long = server();
    long.persistence_engine =
        Some("a-persistence-engine-with-a-name-that-goes-on-and-on-and-on".into());
    let owner = Some(("", Protocol::Tcp));
    let plan = plan(vec![
        planned(Op::SetVirtualServer(long), owner, differs("flags")),
        planned(Op::SetVirtualServer(server()), owner, differs("scheduler")),
    ]);
    let text = shown(&plan, &LiveRules::new());
    assert!(
        text.contains("\n~ -E -t 10.96.0.10:80 -s rr    scheduler a -> b\n"),
        "{text}"
    );
}

#[test]
fn only_unusual_reasons_are_printed_and_a_common_one_once() {
    let owner = Some(("http", Protocol::Tcp));
    let other = RealServerKey {
        port: 8081,
        ..real_key()
    };
    let two = vec![
        planned(
            Op::DelRealServer(key(), real_key()),
            owner,
            Reason::NoEndpoint,
        ),
        planned(Op::DelRealServer(key(), other), owner, Reason::NoEndpoint),
    ];
    let expected = "\
real servers  -2

default/web:http    no endpoint of the Service
- -d -t 10.96.0.10:80 -r 10.1.2.3:8080
- -d -t 10.96.0.10:80 -r 10.1.2.3:8081

Plan: 0 to add, 0 to change, 2 to delete
";
    assert_eq!(shown(&plan(two.clone()), &LiveRules::new()), expected);
    let add = planned(Op::AddVirtualServer(server()), owner, Reason::Missing);
    let three = [vec![add], two].concat();
    let expected = "\
virtual servers  +1
real servers         -2

default/web:http
+ -A -t 10.96.0.10:80 -s rr
- -d -t 10.96.0.10:80 -r 10.1.2.3:8080    no endpoint of the Service
- -d -t 10.96.0.10:80 -r 10.1.2.3:8081    no endpoint of the Service

Plan: 1 to add, 0 to change, 2 to delete
";
    assert_eq!(shown(&plan(three), &LiveRules::new()), expected);
}

const RULES: &str = "\
*nat
:KUBE-MARK-MASQ -
:KUBE-SERVICES -
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN
-A KUBE-SERVICES -j KUBE-MARK-MASQ
-A KUBE-SERVICES -p udp -j ACCEPT
-A KUBE-SERVICES -p tcp -j ACCEPT
COMMIT
";

const WANTED: &str = "\
*nat
:KUBE-NODE-PORT -
:KUBE-SERVICES -
-A PREROUTING -j KUBE-SERVICES
-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN
-A KUBE-SERVICES -j KUBE-NODE-PORT
-A KUBE-SERVICES -p udp -j ACCEPT
-A KUBE-SERVICES -p tcp -j ACCEPT
COMMIT
";

fn tables(rules: &str) -> NodeTables {
    let text = format!("# rules4\n{rules}");
    model::text::parse(&text).expect("tables")
}

#[test]
fn rules_are_a_diff_of_each_chain() {
    let (live, wanted) = (tables(RULES), tables(WANTED));
    let plan = planner::between(&live, &wanted);
    let changes = Changes::of_tables(&plan, &[]);
    let expected = "\
rules  ~1

(rules)
@@ nat KUBE-MARK-MASQ (IPv4, deleted chain)
- -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
@@ nat KUBE-NODE-PORT (IPv4, new chain)
@@ nat KUBE-SERVICES (IPv4)
  -A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN
- -A KUBE-SERVICES -j KUBE-MARK-MASQ
+ -A KUBE-SERVICES -j KUBE-NODE-PORT
  -A KUBE-SERVICES -p udp -j ACCEPT
@@ nat OUTPUT (IPv4)
- -A OUTPUT -j KUBE-SERVICES

Plan: 0 to add, 1 to change, 0 to delete
";
    assert_eq!(plain(&text(&changes, &live.rules)), expected);
}

#[test]
fn a_note_of_rules_is_printed_once() {
    let (live, wanted) = (tables(RULES), tables(WANTED));
    let rules = planner::between(&live, &wanted);
    let patches = || {
        let ops = rules.ops().map(|planned| planned.op.clone());
        ops.map(|op| planned(op, None, Reason::Loosened))
    };
    let note = "a set that it uses gets another type";
    let one = shown(&plan(patches().collect()), &live.rules);
    let heading = format!("\n@@ nat KUBE-MARK-MASQ (IPv4, deleted chain)    {note}\n");
    assert!(one.contains(&heading), "{one}");
    assert_eq!(one.matches(note).count(), 1, "{one}");
    assert!(one.matches("\n@@ ").count() > 1, "{one}");
    // The heading of the group has the note that all changes have.
    let all = shown(&plan(patches().chain(patches()).collect()), &live.rules);
    assert!(all.contains(&format!("(node)    {note}\n")), "{all}");
    assert_eq!(all.matches(note).count(), 1, "{all}");
}

#[test]
fn stat_has_a_line_for_each_service_with_the_largest_number_first() {
    let of = |service: &str, op| PlannedOp {
        owner: Some(Arc::new(ServicePortName {
            service: ObjectName::new("default", service),
            port: "http".into(),
            protocol: Protocol::Tcp,
        })),
        ..planned(op, None, Reason::Missing)
    };
    let plan = plan(vec![
        of("api", Op::AddVirtualServer(server())),
        of("web", Op::AddVirtualServer(server())),
        of("web", Op::AddRealServer(key(), real_server())),
        planned(Op::EnsureDevice, None, Reason::Missing),
        planned(
            Op::DelAddress(IpAddr::from([10, 0, 0, 1])),
            None,
            Reason::Unwanted,
        ),
    ]);
    let changes = Changes::with_owners(&plan, &EntryOwners::default(), Selection::default());
    let expected = "\
virtual servers  +2
real servers     +1
addresses        +1  -1

default/web   +2
default/api   +1
(node)        +1
(no Service)      -1

Plan: 4 to add, 0 to change, 1 to delete
";
    assert_eq!(plain(&stat(&changes)), expected);
}

#[test]
fn a_line_end_in_a_name_does_not_begin_a_line() {
    let mut forged = server();
    forged.scheduler = ipvs::Scheduler("rr\n- -D -t 10.96.0.1:443".into());
    let line = line(&Op::AddVirtualServer(forged));
    assert_eq!(line, "-A -t 10.96.0.10:80 -s rr\\n- -D -t 10.96.0.1:443");
}
