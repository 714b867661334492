use ipset::{Entry, Family, HashType, Header, Set};
use ipvs::{AddressFamily, Connections};
use model::sets::SetKind;
use model::text;

use crate::doctor::facts::NodeFacts;
use crate::doctor::tests::{action, check, check_advice, diagnoses, healthy, live, without_daemon};
use crate::schema::DaemonDrain;

/// Sets the virtual servers and addresses of the node.
fn tables(text: &'static str) -> impl Fn(&mut NodeFacts) {
    move |facts| {
        let read = text::parse(text).expect("tables");
        let tables = &mut live(facts).tables;
        tables.virtual_servers = read.virtual_servers;
        tables.addresses = read.addresses;
    }
}

#[test]
fn device_must_exist_and_be_a_dummy() {
    check(
        "device",
        |_| {},
        &["ok: kube-ipvs0 is a dummy device with 1 address"],
    );
    check(
        "device",
        |facts| live(facts).device = false,
        &["problem: device kube-ipvs0 does not exist"],
    );
    check(
        "device",
        |facts| facts.foreign_device = Some("bridge".to_owned()),
        &["problem: kube-ipvs0 is a device of kind bridge, not a dummy device"],
    );
}

#[test]
fn address_without_virtual_server_is_a_problem_if_the_desired_tables_are_unknown() {
    let idle = unknown(tables(
        "# ipvs\n-A -t 10.96.0.10:80 -s rr\n# addresses\n10.96.0.10\n10.96.0.11\n",
    ));
    let expected = ["problem: 1 address of kube-ipvs0 without a virtual server"];
    let advice = action("addresses", &idle);
    assert!(
        advice.starts_with("wait: kube-ipvsd repairs it by itself within 30 s"),
        "{advice}"
    );
    check("addresses", &idle, &expected);
    let excluded = |facts: &mut NodeFacts| {
        idle(facts);
        facts.config.exclude_cidrs = vec!["10.96.0.11/32".parse().expect("a network")];
    };
    let expected = ["ok: 1 virtual server; ours have their addresses"];
    check("addresses", excluded, &expected);
}

/// Also makes the desired tables unknown.
fn unknown(change: impl Fn(&mut NodeFacts)) -> impl Fn(&mut NodeFacts) {
    move |facts| {
        change(facts);
        facts.desired = Err("the API server does not answer".to_owned());
    }
}

#[test]
fn address_without_a_local_route_is_a_problem() {
    let ok = "ok: this node accepts packets to 1 address of kube-ipvs0";
    check("local-addresses", |_| {}, &[ok]);
    let lost = |facts: &mut NodeFacts| {
        facts.unreachable = ["10.96.0.10".parse().expect("an address")].into();
    };
    let expected = ["problem: 1 address of kube-ipvs0 without a local route"];
    check("local-addresses", lost, &expected);
}

/// Marks 10.96.0.10:80/TCP as ours in a set, and removes its address.
fn unbound(facts: &mut NodeFacts) {
    let tables = &mut live(facts).tables;
    tables.addresses.clear();
    let kind = SetKind::ClusterIp;
    let address = "10.96.0.10".parse().expect("an address");
    let entry = Entry::IpPort(address, ipset::Protocol(6), 80);
    let set = Set {
        header: kind.header(AddressFamily::Ipv4, 1),
        entries: [entry].into(),
    };
    tables.sets.insert(kind.name(AddressFamily::Ipv4), set);
}

#[test]
fn our_virtual_server_without_its_address_is_a_problem() {
    let expected = ["problem: 1 virtual server at addresses that no device has"];
    check("addresses", unknown(unbound), &expected);
    // A node port, or a load balancer that hands out addresses of nodes, has its address on eth0.
    let on_eth0 = |facts: &mut NodeFacts| {
        unbound(facts);
        let interface = &mut live(facts).node.interfaces[0];
        interface
            .addresses
            .push("10.96.0.10/24".parse().expect("a network"));
    };
    let expected = ["ok: 1 virtual server; ours have their addresses"];
    check("addresses", unknown(on_eth0), &expected);
}

#[test]
fn virtual_servers_of_other_programs_are_counted() {
    check(
        "other-virtual-servers",
        |_| {},
        &["ok: no virtual servers of other programs"],
    );
    let others = tables("# ipvs\n-A -t 192.0.2.1:80 -s rr\n-A -t 192.0.2.2:80 -s rr\n");
    let excluding = |facts: &mut NodeFacts| {
        others(facts);
        facts.config.exclude_cidrs = vec!["192.0.2.2/32".parse().expect("a network")];
    };
    check(
        "other-virtual-servers",
        excluding,
        &[
            "ok: 2 virtual servers of other programs, not changed by kube-ipvsd, 1 of them in ipvs.excludeCIDRs: 192.0.2.1:80/TCP, 192.0.2.2:80/TCP",
        ],
    );
}

/// Gives the node a real server of weight 0 with two connections.
fn draining(facts: &mut NodeFacts) {
    tables(
        "# ipvs\n-A -t 10.96.0.10:80 -s rr\n-a -t 10.96.0.10:80 -r 10.244.1.5:8080 -m -w 0\n\
         # addresses\n10.96.0.10\n",
    )(facts);
    let live = live(facts);
    let (server, entry) = (live.tables.virtual_servers.iter())
        .next()
        .expect("a virtual server");
    let real = *entry.real_servers.keys().next().expect("a real server");
    let connections = Connections {
        active: 2,
        ..Connections::default()
    };
    live.connections.insert((*server, real), connections);
}

/// As [`draining`]; kube-ipvsd reports the drain with this deadline in JSON.
fn known(deadline: &'static str) -> impl Fn(&mut NodeFacts) {
    move |facts| {
        draining(facts);
        let reported = format!(
            r#"{{"virtualServer": "10.96.0.10:80/TCP", "realServer": "10.244.1.5:8080", "service": null,
                "since": null, "activeConnections": 1, "inactiveConnections": 0, "ends": {deadline}}}"#
        );
        let drain: DaemonDrain = serde_json::from_str(&reported).expect("a drain");
        facts.daemon.drains = Some(vec![drain]);
    }
}

#[test]
fn endless_drains_are_a_warning() {
    let one = "1 real server of weight 0";
    check("drains", |_| {}, &["ok: no real server drains"]);
    check(
        "drains",
        known(r#""2026-01-02T03:04:05Z""#),
        &[&format!("ok: {one}")],
    );
    check(
        "drains",
        known("null"),
        &[&format!("warning: {one}, without a deadline")],
    );
    let begun = format!("ok: {one}, not among the drains of kube-ipvsd yet");
    check("drains", draining, &[&begun]);
    let alone = |facts: &mut NodeFacts| {
        draining(facts);
        without_daemon(facts);
    };
    let forgotten = format!("warning: {one}, and no kube-ipvsd ends their drains");
    check("drains", alone, &[&forgotten]);
    let mut facts = healthy();
    alone(&mut facts);
    let line = "10.244.1.5:8080 of 10.96.0.10:80/TCP: 2 active, 0 inactive connections";
    assert_eq!(diagnoses(&facts, "drains")[0].details, [line]);
    let advice = action("drains", alone);
    assert!(
        advice.contains("start kube-ipvsd, which repairs the tables without cutting"),
        "{advice}"
    );
    check_advice(&facts);
}

/// Fills a set of at most ten entries, on a node whose proxies do not answer.
fn filled(entries: u8) -> impl Fn(&mut NodeFacts) {
    move |facts| {
        facts.proxies.clear();
        let header = Header::Hash {
            hash_type: HashType::Ip,
            family: Family::Inet,
            max_elements: 10,
        };
        let addresses = (0..entries).map(|number| Entry::Ip([192, 0, 2, number].into()));
        let set = Set {
            header,
            entries: addresses.collect(),
        };
        let name = SetKind::IpvsIps.name(AddressFamily::Ipv4);
        live(facts).tables.sets.insert(name, set);
    }
}

#[test]
fn nearly_full_sets_are_reported() {
    for (entries, expected) in [
        (8, "ok: 1 set, none nearly full"),
        (9, "warning: KUBE-IPVS-IPS has 9 of 10 entries"),
        (10, "problem: KUBE-IPVS-IPS has 10 of 10 entries"),
    ] {
        check("sets", filled(entries), &[expected]);
    }
    let kept = |facts: &mut NodeFacts| {
        let proxies = facts.proxies.clone();
        filled(10)(facts);
        facts.proxies = proxies;
    };
    let expected = ["ok: KUBE-IPVS-IPS has 10 of 10 entries; kube-ipvsd enlarges sets as needed"];
    check("sets", kept, &expected);
}
