use std::cell::Cell;
use std::cmp::Ordering;

use ipvs::AddressFamily;
use model::OpEffect;

use super::*;

type Authors = super::Authors<String>;

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
    assert_eq!(authors.reports[1].count, MOST);
}

thread_local! {
    static COMPARISONS: Cell<usize> = const { Cell::new(0) };
}

/// A text that counts its comparisons.
struct Counted(String);

impl From<String> for Counted {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Ord for Counted {
    fn cmp(&self, other: &Self) -> Ordering {
        COMPARISONS.set(COMPARISONS.get() + 1);
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Counted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Counted {}

/// Returns the number of comparisons for `count` reported changes, `count` changes by them, and
/// `count` by another program.
fn comparisons(count: usize) -> usize {
    COMPARISONS.set(0);
    let line = |port: usize| format!("-a -t 10.96.0.10:80 -r 10.1.2.3:{port} -m -w 1");
    let mut authors = super::Authors::<Counted>::default();
    authors.report((0..count).map(|port| reported("add", &line(port))));
    for port in (0..2 * count).rev() {
        let change = seen(OpEffect::Add, &line(port), Place::VirtualServer(key()));
        assert_eq!(authors.of(&change).is_some(), port < count, "{port}");
    }
    COMPARISONS.get()
}

#[test]
fn thousands_of_changes_need_few_comparisons_each() {
    let (few, many) = (comparisons(1_000), comparisons(8_000));
    // A search through all of them would need 64 times as many.
    assert!(many < 12 * few, "{few} for 1,000 and {many} for 8,000");
    assert!(many < 8_000 * 100, "{many}");
}

#[test]
fn a_hint_is_the_virtual_server_of_a_real_server() {
    for (line, expected) in [
        (LINE, Some(key())),
        ("-e -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 0", Some(key())),
        ("-d -t 10.96.0.10:80 -r 10.1.2.3:8080", Some(key())),
        ("-D -t 10.96.0.10:80", None),
        ("add KUBE-IPVS-IPS 10.96.0.10", None),
        ("-d -t 10.96.0.10 -r 10.1.2.3:8080", None),
        ("-d -r ", None),
        ("", None),
    ] {
        assert_eq!(real_server_of(line), expected, "{line}");
    }
    let mark = real_server_of("-d -f 7 -6 -r [fd00::3]:80").expect("a mark");
    assert_eq!(print_service_selector(&mark), "-f 7 -6");
}
