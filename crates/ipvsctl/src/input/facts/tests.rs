use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use model::Snapshot;
use planner::EndpointStates;
use sources::PodAddresses;
use sources::config::Resolved;

use super::{Live, metrics_addresses, reading, source_checks, unreachable};
use crate::doctor::facts::SourceCheck;
use crate::input::Input;
use crate::input::cluster::{Cluster, state_of};
use crate::input::node::Node;

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

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: one, namespace: shop}
spec: {clusterIPs: [10.96.0.1], ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: two, namespace: shop}
spec: {clusterIPs: [10.96.0.2], ports: [{port: 80}]}
";

fn cluster() -> Cluster {
    let read = sources::files::parse(Path::new("shop.yaml"), SERVICES);
    Cluster {
        state: state_of(read.into_events()),
        whole: true,
        pods: PodAddresses::default(),
    }
}

/// Checks the addresses that are missing for the doctor. Each reading of the kernel lacks those of
/// `readings`, and is used up.
#[track_caller]
fn check_reading(pause: Option<Duration>, readings: &[&[&str]], expected: &[&str]) {
    let mut node = Node {
        config: Resolved::default(),
        state: None,
        endpoints: EndpointStates::default(),
    };
    let desired = Input::compile(
        cluster(),
        Node {
            config: Resolved::default(),
            state: None,
            endpoints: EndpointStates::default(),
        },
    )
    .desired;
    let mut left = readings.iter();
    let kernel = |_: &Node| {
        let mut tables = desired.tables.clone();
        for lost in *left.next().expect("no further reading") {
            assert!(tables.addresses.remove(&lost.parse().expect("an address")));
        }
        Ok(Live {
            tables: Some(Snapshot {
                tables,
                device: true,
                ..Snapshot::default()
            }),
            ..Live::default()
        })
    };
    let read = reading(&mut node, kernel, |_| Ok(cluster()), pause).expect("a reading");
    assert!(
        left.next().is_none(),
        "the kernel is read {} times",
        readings.len()
    );
    let compared = read.desired.expect("desired tables");
    let missing: Vec<String> = (compared.plan.ops())
        .map(|planned| planned.op.to_string())
        .collect();
    assert_eq!(missing, expected);
}

#[test]
fn only_differences_before_and_after_the_cluster_are_kept() {
    let [one, two] = ["10.96.0.1", "10.96.0.2"];
    let again = Some(Duration::ZERO);
    let lacks_two = ["add address 10.96.0.2 to kube-ipvs0"];
    check_reading(again, &[&[one, two], &[two]], &lacks_two);
    check_reading(again, &[&[two], &[one, two]], &lacks_two);
    check_reading(again, &[&[one], &[two]], &[]);
    check_reading(again, &[&[]], &[]);
    check_reading(None, &[&[two]], &lacks_two);
}

#[test]
fn addresses_that_no_socket_can_have_are_unreachable() {
    let mut live = Snapshot::default();
    let [local, lost] =
        ["127.0.0.1", "198.51.100.77"].map(|text| text.parse::<IpAddr>().expect("an address"));
    live.tables.addresses = [local, lost].into();
    assert_eq!(unreachable(&live), BTreeSet::from([lost]));
}

/// The settings of an interface and of all interfaces count together, as in the kernel.
#[test]
fn source_checks_are_those_in_effect() {
    let conf = tempfile::TempDir::new().expect("a directory");
    for (interface, accept_local, rp_filter) in [
        ("all", "0", "1"),
        ("default", "1", "0"),
        ("lo", "1", "0"),
        ("kube-ipvs0", "1", "0"),
        ("eth0.100", "0", "0"),
        ("eth1", "1", "2"),
    ] {
        let place = conf.path().join(interface);
        std::fs::create_dir(&place).expect("a directory");
        for (name, value) in [("accept_local", accept_local), ("rp_filter", rp_filter)] {
            std::fs::write(place.join(name), format!("{value}\n")).expect("a file");
        }
    }
    let check = |accept_local, rp_filter| SourceCheck {
        accept_local,
        rp_filter,
    };
    let found: Vec<_> = source_checks(conf.path()).into_iter().collect();
    assert_eq!(
        found,
        [
            ("eth0.100".to_owned(), check(false, 1)),
            ("eth1".to_owned(), check(true, 2)),
        ]
    );
    std::fs::write(conf.path().join("all/accept_local"), "1").expect("a file");
    let found = source_checks(conf.path());
    assert!(found.values().all(|check| check.accept_local));
    assert!(!found["eth0.100"].accepts_own());
    assert!(found["eth1"].accepts_own());
    assert!(source_checks(&conf.path().join("missing")).is_empty());
}
