use ipvs::AddressFamily;
use model::OpEffect;

use super::*;

fn reported(effect: &str, line: &str) -> DaemonChange {
    DaemonChange {
        effect: effect.into(),
        line: line.into(),
        ..DaemonChange::default()
    }
}

fn seen(effect: OpEffect, line: &str, place: Place) -> TableChange {
    TableChange {
        effect,
        line: line.into(),
        place,
    }
}

const LINE: &str = "-a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 1";

fn key() -> ipvs::VirtualServerKey {
    ipvs::VirtualServerKey::Address {
        address: [10, 96, 0, 10].into(),
        port: 80,
        protocol: ipvs::Protocol::Tcp,
    }
}

#[test]
fn a_reported_line_causes_one_change() {
    let mut authors = Authors::default();
    authors.report([reported("add", LINE)]);
    let change = seen(OpEffect::Add, LINE, Place::VirtualServer(key()));
    let other = seen(OpEffect::Change, LINE, Place::VirtualServer(key()));
    assert!(authors.of(&other).is_none());
    assert!(authors.of(&change).is_some());
    assert!(authors.of(&change).is_none());
}

#[test]
fn a_report_is_forgotten_after_two_readings() {
    let change = seen(OpEffect::Add, LINE, Place::VirtualServer(key()));
    for (readings, is_known) in [(1, true), (2, false)] {
        let mut authors = Authors::default();
        authors.report([reported("add", LINE)]);
        (0..readings).for_each(|_| authors.age());
        assert_eq!(authors.of(&change).is_some(), is_known, "{readings}");
    }
}

#[test]
fn a_whole_set_causes_its_entries() {
    let mut authors = Authors::default();
    authors.report([reported("change", "replace KUBE-CLUSTER-IP hash:ip,port")]);
    let entry = |set: &str| {
        let name = ipset::SetName::new(set).expect("a name");
        seen(OpEffect::Add, "add", Place::Set(name))
    };
    assert!(authors.of(&entry("KUBE-CLUSTER-IP")).is_some());
    assert!(authors.of(&entry("KUBE-CLUSTER-IP")).is_some());
    assert!(authors.of(&entry("KUBE-CLUSTER")).is_none());
}

#[test]
fn rules_are_caused_by_those_of_their_family() {
    let mut authors = Authors::default();
    authors.report([reported("change", "IPv4 rules: nat +1")]);
    let rule = |family| seen(OpEffect::Delete, "IPv4 nat -A X", Place::Rules(family));
    assert!(authors.of(&rule(AddressFamily::Ipv4)).is_some());
    assert!(authors.of(&rule(AddressFamily::Ipv6)).is_none());
}

#[test]
fn memory_is_bounded() {
    let mut authors = Authors::default();
    authors.report((0..MOST + 10).map(|_| reported("add", "x")));
    assert_eq!(authors.reported.len(), MOST);
}
