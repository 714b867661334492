//! A small node, and tables whose rules each test defines.

use model::{NodeState, text};

use crate::oracle::{Probe, World, trace};

/// One Service: TCP and UDP, one real server.
pub(super) const SERVICE: &str = "\
-A -t 10.96.0.1:80 -s rr
-a -t 10.96.0.1:80 -r 10.244.1.5:8080 -m -w 1
-A -u 10.96.0.1:53 -s rr
-a -u 10.96.0.1:53 -r 10.244.1.5:5353 -m -w 1
# addresses
10.96.0.1/32
";

const PLACES: &str = r#"
bridgeCallsIptables = true
places = [
  { name = "podA", addresses = ["10.244.1.5", "fd00:1::5"], at = { bridge = "cni0" }, listens = ["tcp/8080", "udp/5353"] },
  { name = "podB", addresses = ["10.244.1.6", "fd00:1::6"], at = { bridge = "cni0" } },
  { name = "podC", addresses = ["10.244.2.5"], at = { node = "eth0" }, listens = ["tcp/8080", "udp/5353"] },
  { name = "podD", addresses = ["10.244.2.6"], at = { node = "eth0" } },
  { name = "router", addresses = ["192.0.2.9"], at = { link = "eth0" }, listens = ["tcp/80"] },
  { name = "exporter", addresses = ["192.0.2.1"], at = "host", listens = ["tcp/9100"] },
  { name = "sshd", addresses = [], at = "host", listens = ["tcp/22"] },
]
"#;

pub(super) fn world() -> World {
    let link = |name: &str, addresses: &[&str]| model::snapshot::Interface {
        name: name.into(),
        addresses: (addresses.iter())
            .map(|address| address.parse().expect("a network"))
            .collect(),
    };
    let interfaces = vec![
        link("cni0", &["10.244.1.1/24", "fd00:1::1/64"]),
        link("eth0", &["192.0.2.1/24"]),
    ];
    let node = NodeState {
        interfaces,
        ..NodeState::default()
    };
    World::parse(PLACES, node).expect("a world")
}

/// Returns IPv4 rules with every chain, each with one jump to it, and `nat` and `filter` in them.
pub(super) fn rules(nat: &str, filter: &str) -> String {
    format!(
        "\
# rules4
*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
{nat}
COMMIT
*filter
:KUBE-IPVS-FILTER - [0:0]
:KUBE-IPVS-OUT-FILTER - [0:0]
:KUBE-FORWARD - [0:0]
-A INPUT -j KUBE-IPVS-FILTER
-A OUTPUT -j KUBE-IPVS-OUT-FILTER
-A FORWARD -j KUBE-FORWARD
{filter}
COMMIT
"
    )
}

/// Checks the result of `probe` with the virtual servers and addresses of `servers` and the sets
/// and rules of `rest`.
pub(super) fn check(servers: &str, rest: &str, probe: &str, expected: &str) {
    check_in(&world(), servers, rest, probe, expected);
}

pub(super) fn check_in(world: &World, servers: &str, rest: &str, probe: &str, expected: &str) {
    let tables = format!("# ipvs\n{servers}{rest}");
    let parsed = text::parse(&tables).expect("tables");
    let asked: Probe = probe.parse().expect("a probe");
    let said = match trace(&parsed, world, &asked) {
        Ok(verdict) => verdict.to_string(),
        Err(error) => error.to_string(),
    };
    assert_eq!(said, expected, "{probe} by\n{tables}");
}
