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

/// Returns the tables of [`LIVE`] with connections: real server number n has n active and 10 n
/// inactive ones.
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
fn changes_name_their_deviation() {
    let live = live();
    let (key, entry) = live.tables.virtual_servers.iter().next().expect("one");
    let real = *entry.real_servers.values().next().expect("one");
    let header = Header::BitmapPort { first: 0, last: 1 };
    let create = |name| Op::CreateSet(set(name), header);
    let replaced = ipset::Set {
        header,
        entries: [].into(),
    };
    let replace = Op::ReplaceSet(set("KUBE-CLUSTER-IP"), replaced.into());
    let sysctl = |name: &str| Op::SetSysctl(name.into(), "1".into());
    let rules = model::rules::RulesPatch::default();
    let rules = Op::PatchRules(AddressFamily::Ipv4, rules.into());
    let reweigh = || Op::SetRealServer(*key, real);
    let delete = Op::DelRealServer(*key, real.key);
    let missing = || Reason::Missing;
    for (op, reason, expected) in [
        (create("KUBE-IPVS-NO-LOCAL-ENDPOINT"), missing(), "D12"),
        (create("KUBE-6-IPVS-NO-LOCAL-ENDPOINT"), missing(), "D12"),
        (create("KUBE-CLUSTER-IP"), missing(), "none"),
        (replace, missing(), "D16"),
        (sysctl("net.ipv4.vs.conn_reuse_mode"), missing(), "D15"),
        (sysctl("net.ipv4.vs.conntrack"), missing(), "none"),
        (rules, missing(), "D20"),
        (Op::EnsureDevice, missing(), "none"),
        (reweigh(), weight("7", "1"), "D4"),
        (reweigh(), weight("0", "1"), "D5"),
        (reweigh(), Reason::Drains, "D6"),
        (delete, Reason::NoEndpoint, "none"),
    ] {
        let planned = planned(op, reason);
        let cause = Cause::of(&planned);
        assert_eq!(cause.deviation().unwrap_or("none"), expected, "{planned:?}");
    }
}

#[test]
fn connections_to_deleted_real_servers_are_counted() {
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
fn active_connections_are_a_blocker() {
    let migration = |active| Migration {
        cut: Some(Connections {
            active,
            inactive: 5,
            persistent: 0,
        }),
        ..migration()
    };
    assert_eq!(migration(0).in_the_way(), [""; 0]);
    let [blocker] = &migration(2).in_the_way()[..] else {
        panic!("expected one blocker");
    };
    let start = "2 open connections to real servers that would be deleted without a drain. ";
    assert!(blocker.starts_with(start), "{blocker}");
}

#[test]
fn running_proxy_is_a_blocker_without_force() {
    let migration = |forced| Migration {
        proxy: Some((METRICS, Running::KubeProxy("ipvs".to_owned()))),
        forced,
        ..migration()
    };
    let [blocker] = &migration(false).in_the_way()[..] else {
        panic!("expected one blocker");
    };
    let start = "kube-proxy (mode ipvs) answers at 127.0.0.1:10249: ";
    assert!(blocker.starts_with(start), "{blocker}");
    assert_eq!(migration(true).in_the_way(), [""; 0]);
    assert!(migration(true).notes()[0].starts_with(start));
}

#[test]
fn withheld_deletions_are_a_blocker() {
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
        ["2 deletions are withheld: the table changed while it was read. Run the check again"]
    );
    assert_eq!(
        migration(false).in_the_way(),
        [
            "2 deletions are withheld: a part of the input could not be read. Fix the errors and run the check again"
        ]
    );
}

#[test]
fn leftovers_are_noted_with_advice() {
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
            "IPVS is not loaded: kube-ipvsd will load its module",
            "kube-proxy left behind table ip kube-proxy of nftables mode. Start kube-ipvsd with \
             --remove-leftovers, which deletes them after the first sync",
            "connections to real servers that would be deleted without a drain: 0 active, 0 inactive",
        ]
    );
    assert_eq!(migration.in_the_way(), [""; 0]);
}
