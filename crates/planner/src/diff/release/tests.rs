use model::Snapshot;
use model::cluster::Service;

use super::{Ownership, captured, release};
use crate::testing::{cluster, compile, config, endpoint, live, parsed, service, slice, texts};

/// Returns the tables of a version without protection: one Service has the cluster IP 10.96.0.1 and
/// the endpoint 192.0.2.21, another one has the address `external`.
fn left(external: &str) -> Snapshot {
    let greedy = Service {
        external_ips: vec![parsed(external)],
        ..service("greedy", &["10.96.0.9"])
    };
    // The real name of the API server's Service would protect its addresses.
    let api_server = service("api-server", &["10.96.0.1"]);
    let endpoints = slice("api-server", "a", vec![endpoint("192.0.2.21")]);
    live(&compile(&cluster(vec![api_server, greedy], vec![endpoints])).0)
}

#[test]
fn captured_addresses_are_released() {
    for (server, external, released) in [
        ("192.0.2.100:6443", "192.0.2.100", Some("192.0.2.100")),
        (
            "[::ffff:192.0.2.100]:6443",
            "192.0.2.100",
            Some("192.0.2.100"),
        ),
        ("192.0.2.100:6443", "203.0.113.9", None),
        // 192.0.2.21 is an endpoint behind the API server's cluster IP.
        ("10.96.0.1:80", "203.0.113.9", None),
        ("10.96.0.1:80", "192.0.2.21", Some("192.0.2.21")),
    ] {
        let mut config = config();
        config.api_server = [server.parse().expect("a socket")].into();
        let live = left(external);
        let plan = release(&live, &Ownership::new(&config), &config);
        let ops = |address: &str| {
            [
                format!("delete virtual server {address}:80/TCP"),
                format!("delete address {address} from kube-ipvs0"),
            ]
        };
        let expected: Vec<String> = released.map(ops).into_iter().flatten().collect();
        let found = texts(plan.ops().map(|planned| &planned.op));
        assert_eq!(found, expected, "{server} {external}");
        assert_eq!(captured(&live, &config).is_empty(), expected.is_empty());
    }
}

#[test]
fn excluded_addresses_stay() {
    let mut config = config();
    config.api_server = ["192.0.2.100:6443".parse().expect("a socket")].into();
    config.exclude_cidrs = vec!["192.0.2.0/24".parse().expect("a network")];
    let plan = release(&left("192.0.2.100"), &Ownership::new(&config), &config);
    assert!(plan.is_empty());
}
