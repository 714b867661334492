//! A small node, and tables whose rules each test defines.

use ipvs::Protocol;
use model::{NodeState, NodeTables, text};

use crate::{At, Place, Probe, World, trace};

/// One Service: TCP and UDP, one real server.
pub(super) const SERVICE: &str = "\
-A -t 10.96.0.1:80 -s rr
-a -t 10.96.0.1:80 -r 10.244.1.5:8080 -m -w 1
-A -u 10.96.0.1:53 -s rr
-a -u 10.96.0.1:53 -r 10.244.1.5:5353 -m -w 1
# addresses
10.96.0.1/32
";

/// Returns a place that listens at `listens`.
pub(super) fn place(name: &str, addresses: &[&str], at: At, listens: &[(Protocol, u16)]) -> Place {
    let addresses = addresses.iter();
    Place {
        name: name.to_owned(),
        addresses: (addresses.map(|address| address.parse().expect("an address"))).collect(),
        at,
        listens: listens.to_vec(),
    }
}

/// Returns the location of a pod behind the other node.
pub(super) fn remote() -> At {
    At::Node {
        name: "node2".to_owned(),
        interface: Some("eth0".to_owned()),
    }
}

fn places() -> Vec<Place> {
    let bridge = || At::Bridge("cni0".to_owned());
    let web = [(Protocol::Tcp, 8080), (Protocol::Udp, 5353)];
    vec![
        place("podA", &["10.244.1.5", "fd00:1::5"], bridge(), &web),
        place("podB", &["10.244.1.6", "fd00:1::6"], bridge(), &[]),
        place("podC", &["10.244.2.5"], remote(), &web),
        place("podD", &["10.244.2.6"], remote(), &[]),
        place(
            "router",
            &["192.0.2.9"],
            At::Link(Some("eth0".to_owned())),
            &[(Protocol::Tcp, 80)],
        ),
        place(
            "exporter",
            &["192.0.2.1"],
            At::Host,
            &[(Protocol::Tcp, 9100)],
        ),
        place("sshd", &[], At::Host, &[(Protocol::Tcp, 22)]),
    ]
}

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
    World {
        node,
        places: places(),
        bridge_calls_iptables: true,
        complete: true,
        answers_pass_node: true,
        ..World::default()
    }
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
    let tables = parsed(servers, rest);
    let shown = format!("{probe} by\n{servers}{rest}");
    assert_eq!(verdict(&tables, world, probe), expected, "{shown}");
}

/// Parses the virtual servers and addresses of `servers` and the sets and rules of `rest`.
pub(super) fn parsed(servers: &str, rest: &str) -> NodeTables {
    text::parse(&format!("# ipvs\n{servers}{rest}")).expect("tables")
}

/// Returns the verdict, or the error, as text.
pub(super) fn verdict(tables: &NodeTables, world: &World, probe: &str) -> String {
    let probe: Probe = probe.parse().expect("a probe");
    match trace(tables, world, &probe).verdict() {
        Ok(verdict) => verdict.to_string(),
        Err(error) => error.to_string(),
    }
}
