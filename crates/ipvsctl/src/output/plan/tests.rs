use std::sync::Arc;

use std::net::IpAddr;

use ipvs::text::{Line, parse_line};
use ipvs::{Protocol, RealServerKey, VirtualServerKey};
use model::ObjectName;
use model::{Op, Plan, PlannedOp, Reason, ServicePortName, Stage};

use super::{groups, line, text};

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

#[test]
fn one_port_name_with_two_protocols_is_one_group() {
    let plan = Plan {
        stages: vec![Stage {
            ops: vec![
                planned(
                    Op::AddVirtualServer(server()),
                    Some(("dns", Protocol::Tcp)),
                    Reason::Missing,
                ),
                planned(
                    Op::DelVirtualServer(key()),
                    Some(("dns", Protocol::Udp)),
                    Reason::Unwanted,
                ),
                planned(Op::EnsureDevice, None, Reason::Missing),
                planned(
                    Op::DelAddress(IpAddr::from([10, 0, 0, 1])),
                    None,
                    Reason::Unwanted,
                ),
            ],
        }],
        ..Plan::default()
    };
    let headings: Vec<String> = groups(&plan).keys().map(ToString::to_string).collect();
    assert_eq!(headings, ["(node)", "default/web:dns", "(no Service)"]);
}

#[test]
fn long_line_does_not_move_the_reasons() {
    let mut long = server();
    long.persistence_engine =
        Some("a-persistence-engine-with-a-name-that-goes-on-and-on-and-on".into());
    let owner = Some(("", Protocol::Tcp));
    let plan = Plan {
        stages: vec![Stage {
            ops: vec![
                planned(Op::AddVirtualServer(long), owner, Reason::Missing),
                planned(Op::SetVirtualServer(server()), owner, Reason::Missing),
            ],
        }],
        ..Plan::default()
    };
    let text = anstream::adapter::strip_str(&text(&plan)).to_string();
    assert!(
        text.contains("\n~ -E -t 10.96.0.10:80 -s rr    missing in the kernel\n"),
        "{text}"
    );
}
