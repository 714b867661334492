use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::SocketAddr;

use model::{Op, Plan, PlannedOp, Reason, Snapshot, Stage};

use super::{keep_common, metrics_addresses, unreachable};

fn check(configured: Option<&str>, expected: &[&str]) {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let expected: Vec<SocketAddr> = expected.iter().map(|text| address(text)).collect();
    assert_eq!(metrics_addresses(configured.map(address)), expected);
}

#[test]
fn each_possible_listener_is_asked_once() {
    let default = "127.0.0.1:10249";
    check(None, &[default]);
    check(Some("127.0.0.1:10249"), &[default]);
    check(Some("0.0.0.0:10249"), &[default]);
    check(Some("[::]:10249"), &["[::1]:10249"]);
    check(Some("[::]:20249"), &["[::1]:20249", default]);
    check(Some("192.0.2.7:10249"), &["192.0.2.7:10249", default]);
}

/// Returns a plan that adds these addresses, each in a stage of its own.
fn plan(addresses: &[&str]) -> Plan {
    let stage = |text: &&str| Stage {
        ops: vec![PlannedOp {
            op: Op::AddAddress(text.parse().expect("an address")),
            owner: None,
            reason: Reason::Missing,
        }],
    };
    Plan {
        stages: addresses.iter().map(stage).collect(),
        ..Plan::default()
    }
}

#[test]
fn only_differences_of_both_readings_are_kept() {
    let mut now = plan(&["10.96.0.1", "10.96.0.2"]);
    keep_common(&mut now, &plan(&["10.96.0.2", "10.96.0.3"]));
    assert_eq!(now, plan(&["10.96.0.2"]));
    keep_common(&mut now, &Plan::default());
    assert!(now.is_empty());
}

#[test]
fn addresses_that_no_socket_can_have_are_unreachable() {
    let mut live = Snapshot::default();
    let [local, lost] =
        ["127.0.0.1", "198.51.100.77"].map(|text| text.parse::<IpAddr>().expect("an address"));
    live.tables.addresses = [local, lost].into();
    assert_eq!(unreachable(&live), BTreeSet::from([lost]));
}
