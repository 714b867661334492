use model::Snapshot;
use model::cluster::{Parsed, Service};

use super::{Ownership, captured, release};
use crate::testing::{cluster, compile, config, endpoint, service, slice};

/// Returns the tables of a version without protection: one Service has the cluster IP 10.96.0.1 and
/// the endpoint 192.0.2.21, another one has the address `external`.
fn left(external: &str) -> Snapshot {
    let greedy = Service {
        external_ips: vec![Parsed::Valid(external.parse().expect("an address"))],
        ..service("greedy", &["10.96.0.9"])
    };
    // The real name of the API server's Service would protect its addresses.
    let api_server = service("api-server", &["10.96.0.1"]);
    let endpoints = slice("api-server", "a", vec![endpoint("192.0.2.21")]);
    let (desired, _) = compile(&cluster(vec![api_server, greedy], vec![endpoints]));
    Snapshot {
        tables: desired.tables,
        device: true,
        ..Snapshot::default()
    }
}

#[track_caller]
fn check(server: &str, external: &str, expected: &[&str]) {
    let mut config = config();
    config.api_server = [server.parse().expect("a socket")].into();
    let live = left(external);
    let plan = release(&live, &Ownership::new(&config), &config);
    let ops: Vec<String> = plan.ops().map(|planned| planned.op.to_string()).collect();
    assert_eq!(ops, expected);
    assert_eq!(captured(&live, &config).is_empty(), expected.is_empty());
}

#[test]
fn a_captured_external_address_is_released() {
    check(
        "192.0.2.100:6443",
        "192.0.2.100",
        &[
            "delete virtual server 192.0.2.100:80/TCP",
            "delete address 192.0.2.100 from kube-ipvs0",
        ],
    );
    check(
        "[::ffff:192.0.2.100]:6443",
        "192.0.2.100",
        &[
            "delete virtual server 192.0.2.100:80/TCP",
            "delete address 192.0.2.100 from kube-ipvs0",
        ],
    );
    check("192.0.2.100:6443", "203.0.113.9", &[]);
}

#[test]
fn endpoints_behind_the_api_servers_cluster_ip_are_released() {
    check("10.96.0.1:80", "203.0.113.9", &[]);
    check(
        "10.96.0.1:80",
        "192.0.2.21",
        &[
            "delete virtual server 192.0.2.21:80/TCP",
            "delete address 192.0.2.21 from kube-ipvs0",
        ],
    );
}

#[test]
fn excluded_addresses_stay() {
    let mut config = config();
    config.api_server = ["192.0.2.100:6443".parse().expect("a socket")].into();
    config.exclude_cidrs = vec!["192.0.2.0/24".parse().expect("a network")];
    let plan = release(&left("192.0.2.100"), &Ownership::new(&config), &config);
    assert!(plan.is_empty());
}
