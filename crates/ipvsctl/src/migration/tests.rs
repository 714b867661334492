use ipset::{Header, SetName};
use ipvs::{AddressFamily, Connections};
use model::plan::Difference;
use model::{Leftovers, Op, Plan, PlannedOp, Reason, Snapshot, Stage, text};
use sources::proxy::{METRICS, Running};

use super::{Cause, Migration, cut};

const LIVE: &str = "\
# ipvs
-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.244.1.5:8080 -m -w 1
-a -t 10.96.0.10:80 -r 10.244.1.6:8080 -m -w 1
-A -t 10.96.0.11:80 -s rr
-a -t 10.96.0.11:80 -r 10.244.1.7:8080 -m -w 1
# addresses
10.96.0.10/32
";

fn planned(op: Op, reason: Reason) -> PlannedOp {
    PlannedOp {
        op,
        owner: None,
        reason,
    }
}

fn plan(ops: Vec<PlannedOp>) -> Plan {
    Plan {
        stages: vec![Stage { ops }],
        ..Plan::default()
    }
}

fn check(op: Op, reason: Reason, expected: &str) {
    let cause = Cause::of(&planned(op, reason));
    assert_eq!(cause.deviation().unwrap_or("none"), expected, "{cause}");
}

fn set(name: &str) -> SetName {
    SetName::new(name).expect("a name")
}

fn weight(live: &str, desired: &str) -> Reason {
    Reason::Differs(vec![Difference {
        field: "weight",
        live: live.to_owned(),
        desired: desired.to_owned(),
    }])
}

/// The first virtual server of [`LIVE`] with its first real server, each connection of which counts.
fn live() -> Snapshot {
    let tables = text::parse(LIVE).expect("tables");
    let keys = (tables.virtual_servers.iter())
        .flat_map(|(key, entry)| entry.real_servers.keys().map(|real| (*key, *real)));
    let connections = keys.zip(1..).map(|(key, active)| {
        let inactive = 10 * active;
        let connections = Connections {
            active,
            inactive,
            persistent: 0,
        };
        (key, connections)
    });
    Snapshot {
        connections: connections.collect(),
        tables,
        ..Snapshot::default()
    }
}

fn migration() -> Migration {
    Migration {
        plan: Plan::default(),
        proxy: None,
        forced: false,
        leftovers: Some(Leftovers::default()),
        cut: Some(Connections::default()),
        whole: true,
        has_ipvs: true,
    }
}

#[test]
fn changes_name_the_deviation_that_they_come_from() {
    let header = Header::BitmapPort { first: 0, last: 1 };
    let create = |name| Op::CreateSet(set(name), header);
    check(
        create("KUBE-IPVS-NO-LOCAL-ENDPOINT"),
        Reason::Missing,
        "D12",
    );
    check(
        create("KUBE-6-IPVS-NO-LOCAL-ENDPOINT"),
        Reason::Missing,
        "D12",
    );
    check(create("KUBE-CLUSTER-IP"), Reason::Missing, "none");
    let replaced = ipset::Set {
        header,
        entries: [].into(),
    };
    let replace = Op::ReplaceSet(set("KUBE-CLUSTER-IP"), replaced.into());
    check(replace, Reason::Missing, "D16");
    let sysctl = |name: &str| Op::SetSysctl(name.into(), "1".into());
    check(
        sysctl("net.ipv4.vs.conn_reuse_mode"),
        Reason::Missing,
        "D15",
    );
    check(sysctl("net.ipv4.vs.conntrack"), Reason::Missing, "none");
    let rules = Op::PatchRules(
        AddressFamily::Ipv4,
        model::rules::RulesPatch::default().into(),
    );
    check(rules, Reason::Missing, "D20");
    check(Op::EnsureDevice, Reason::Missing, "none");
}

#[test]
fn weights_name_theirs() {
    let live = live();
    let (key, entry) = live.tables.virtual_servers.iter().next().expect("one");
    let real = entry.real_servers.values().next().expect("one");
    let op = || Op::SetRealServer(*key, *real);
    check(op(), weight("7", "1"), "D4");
    check(op(), weight("0", "1"), "D5");
    check(op(), Reason::Drains, "D6");
    let gone = Op::DelRealServer(*key, real.key);
    check(gone, Reason::NoEndpoint, "none");
}

#[test]
fn connections_of_what_is_deleted_at_once_are_counted() {
    let live = live();
    let servers = &live.tables.virtual_servers;
    let keys: Vec<_> = servers.keys().copied().collect();
    let first = *servers[&keys[0]].real_servers.keys().next().expect("one");
    let check = |op: Op, active: u32, inactive: u32| {
        let found = cut(&plan(vec![planned(op, Reason::Unwanted)]), &live);
        assert_eq!((found.active, found.inactive), (active, inactive));
    };
    check(Op::DelRealServer(keys[0], first), 1, 10);
    check(Op::DelVirtualServer(keys[0]), 3, 30);
    check(Op::DelVirtualServer(keys[1]), 3, 30);
    check(Op::EnsureDevice, 0, 0);
}

#[test]
fn open_connections_are_in_the_way_and_closed_ones_are_not() {
    let migration = |active| Migration {
        cut: Some(Connections {
            active,
            inactive: 5,
            persistent: 0,
        }),
        ..migration()
    };
    assert_eq!(migration(0).in_the_way(), [""; 0]);
    let [told] = &migration(2).in_the_way()[..] else {
        panic!("one thing is in the way");
    };
    let start = "open connections are to real servers that would be deleted at once: 2. ";
    assert!(told.starts_with(start), "{told}");
}

#[test]
fn a_proxy_that_runs_is_in_the_way_unless_it_will_be_stopped() {
    let migration = |forced| Migration {
        proxy: Some((METRICS, Running::KubeProxy("ipvs".to_owned()))),
        forced,
        ..migration()
    };
    let [told] = &migration(false).in_the_way()[..] else {
        panic!("one thing is in the way");
    };
    let start = "kube-proxy (mode ipvs) answers at 127.0.0.1:10249: ";
    assert!(told.starts_with(start), "{told}");
    assert_eq!(migration(true).in_the_way(), [""; 0]);
    assert!(migration(true).notes()[0].starts_with(start));
}

#[test]
fn deletions_that_wait_are_in_the_way() {
    let migration = |whole| Migration {
        plan: Plan {
            withheld: 2,
            ..Plan::default()
        },
        whole,
        ..migration()
    };
    assert_eq!(
        migration(true).in_the_way(),
        ["the table changed while it was read: 2 deletions are not known to be right. Try again"]
    );
    assert_eq!(
        migration(false).in_the_way(),
        ["not all of the input could be read: 2 deletions are not known to be right. Try again"]
    );
}

#[test]
fn leftovers_are_told_with_what_to_do() {
    let mut leftovers = Leftovers::default();
    leftovers.nft_tables.insert(AddressFamily::Ipv4);
    let migration = Migration {
        leftovers: Some(leftovers),
        has_ipvs: false,
        ..migration()
    };
    assert_eq!(
        migration.notes(),
        [
            "the kernel has no IPVS yet: kube-ipvsd will load its module",
            "kube-proxy left behind table ip kube-proxy of nftables mode. Start kube-ipvsd with \
             --remove-leftovers: it deletes them after its first synchronisation",
            "connections to real servers that would be deleted at once: 0 active, 0 inactive",
        ]
    );
    assert_eq!(migration.in_the_way(), [""; 0]);
}
