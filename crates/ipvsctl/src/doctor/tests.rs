//! A healthy node, and helpers that check the diagnoses of a changed one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipvs::AddressFamily;
use kernel::linux::{Presence, Variant};
use model::{ClusterState, Leftovers, NodeConfig, Plan, Snapshot, text};
use sources::PodAddresses;
use sources::config::Resolved;
use sources::proxy::{METRICS, Running};

use super::facts::{
    Compared, DaemonFacts, FilterFacts, HealthFacts, NodeFacts, TRACKED, TRACKED_MAX,
};
use super::{Diagnosis, Severity, examine};
use crate::input::Input;
use crate::input::cluster::Cluster;
use crate::input::node::Node;
use crate::input::running::{Manager, ProcessFacts, State};
use crate::schema::{DaemonSource, DaemonStatus, DaemonSync};

const TABLES: &str = "\
# ipvs
-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.244.1.5:8080 -m -w 1
-a -t 10.96.0.10:80 -r 10.244.1.6:8080 -m -w 1
# addresses
10.96.0.10
";

/// Returns the snapshot of a node of kube-ipvsd, with `tables` and its settings.
fn snapshot(tables: &str) -> Snapshot {
    let mut live = Snapshot {
        tables: text::parse(tables).expect("tables"),
        device: true,
        ..Snapshot::default()
    };
    live.node.machine.kernel = "6.1".parse().ok();
    live.node.machine.keepalive = Some(model::Keepalive::LINUX);
    live.node.interfaces = vec![model::snapshot::Interface {
        name: "eth0".into(),
        addresses: vec!["192.0.2.7/24".parse().expect("a network")],
    }];
    let config = NodeConfig::new("node1");
    let (desired, _) = planner::compile(&ClusterState::default(), &live.node, &config);
    live.tables.sysctls = desired.tables.sysctls;
    let udp_stream = "net.netfilter.nf_conntrack_udp_timeout_stream";
    (live.tables.sysctls).insert(udp_stream.into(), "300".into());
    (live.tables.rules).insert(AddressFamily::Ipv4, model::rules::Rules::default());
    live.tables.timeouts.tcp = Duration::from_secs(7_300);
    live.tables.timeouts.udp = Duration::from_secs(300);
    live
}

/// Returns the input for `cluster` and `config` on the node with the tables `live`.
pub(super) fn input(state: ClusterState, config: NodeConfig, live: &Snapshot) -> Input {
    let cluster = Cluster {
        state,
        whole: true,
        pods: PodAddresses::default(),
    };
    let config = Resolved {
        node: config,
        ..Resolved::default()
    };
    let state = Some(live.node.clone());
    Input::compile(
        cluster,
        Node {
            config,
            state,
            endpoints: Default::default(),
        },
    )
}

/// Returns the facts of a healthy node.
pub(super) fn healthy() -> NodeFacts {
    let variant = Variant::Nft;
    let live = snapshot(TABLES);
    NodeFacts {
        config: NodeConfig::new("node1"),
        release: "6.1.0".to_owned(),
        ipvs_version: Some("1.2.1".to_owned()),
        foreign_device: None,
        desired: Ok(Compared {
            input: input(ClusterState::default(), NodeConfig::new("node1"), &live),
            plan: Plan::default(),
        }),
        live: Some(live),
        unreachable: BTreeSet::new(),
        settings: BTreeMap::from([
            (TRACKED, "1000".to_owned()),
            (TRACKED_MAX, "131072".to_owned()),
        ]),
        modules: BTreeMap::from([
            ("ip_vs_rr".to_owned(), Presence::Loaded),
            ("xt_set".to_owned(), Presence::Loadable),
        ]),
        bridges: BTreeSet::new(),
        source_checks: BTreeMap::new(),
        filter: FilterFacts {
            unreadable: None,
            used: Some((variant, "iptables-nft 1.8.9".to_owned())),
            holders: BTreeSet::from([(variant, AddressFamily::Ipv4)]),
            leftovers: Some(Leftovers::default()),
        },
        proxies: vec![(METRICS, Running::KubeIpvs)],
        daemons: vec![process("kube-ipvsd", State::Running)],
        kube_proxies: Vec::new(),
        daemon: DaemonFacts {
            metrics: Some(METRICS),
            status: Some(DaemonStatus {
                version: "0.1.0".to_owned(),
                last_sync: Some(DaemonSync {
                    time: "2026-01-02T03:04:05Z".to_owned(),
                    failed: 0,
                }),
                sources: BTreeMap::from([("services".to_owned(), watching())]),
                ..DaemonStatus::default()
            }),
            drains: Some(Vec::new()),
            health: Some(HealthFacts {
                address: "127.0.0.1:10256".parse().expect("an address"),
                healthz: Ok(()),
                livez: Ok(()),
            }),
        },
    }
}

/// Returns process 7, which runs in a pod.
pub(super) fn process(name: &str, state: State) -> ProcessFacts {
    ProcessFacts {
        pid: 7,
        name: name.to_owned(),
        state,
        manager: Manager::Kubelet,
    }
}

/// Lets no kube-ipvsd run.
pub(super) fn without_daemon(facts: &mut NodeFacts) {
    facts.proxies.clear();
    facts.daemons.clear();
    facts.daemon.status = None;
    facts.daemon.drains = None;
}

/// Returns a healthy source.
pub(super) fn watching() -> DaemonSource {
    DaemonSource {
        state: "watching".to_owned(),
        since: "2026-01-02T03:04:05Z".to_owned(),
        listed: true,
        last_error: None,
    }
}

/// Returns the live tables.
pub(super) fn live(facts: &mut NodeFacts) -> &mut Snapshot {
    facts.live.as_mut().expect("IPVS")
}

/// Checks the diagnoses of the check `name` on a node after `change`, each as `warning: found`.
#[track_caller]
pub(super) fn check(name: &str, change: impl FnOnce(&mut NodeFacts), expected: &[&str]) {
    let mut facts = healthy();
    change(&mut facts);
    let found = diagnoses(&facts, name);
    let lines: Vec<String> = (found.iter())
        .map(|diagnosis| format!("{}: {}", diagnosis.severity, diagnosis.found))
        .collect();
    assert_eq!(lines, expected);
    for diagnosis in found {
        let advised = diagnosis.advice.is_some();
        assert!(
            advised || diagnosis.severity == Severity::Ok,
            "{diagnosis:?}"
        );
    }
}

/// Returns the action that the check `name` advises on a node after `change`.
pub(super) fn action(name: &str, change: impl FnOnce(&mut NodeFacts)) -> String {
    let mut facts = healthy();
    change(&mut facts);
    let advice = diagnoses(&facts, name).remove(0).advice;
    advice.expect("advice").action
}

/// Returns the diagnoses of the check `name`.
pub(super) fn diagnoses(facts: &NodeFacts, name: &str) -> Vec<Diagnosis> {
    let all = examine(facts).diagnoses.into_iter();
    all.filter(|diagnosis| diagnosis.check == name).collect()
}

#[test]
fn every_check_is_ok_on_a_healthy_node() {
    let report = examine(&healthy());
    assert_eq!(report.worst(), Severity::Ok, "{report:#?}");
    // The check `addresses` is for a node whose desired tables are unknown, and `health` has two
    // results.
    assert_eq!(report.diagnoses.len(), super::CHECKS.len(), "{report:#?}");
}

#[test]
fn other_checks_run_without_ipvs() {
    let mut facts = healthy();
    facts.live = None;
    let report = examine(&facts);
    assert_eq!(report.worst(), Severity::Problem);
    let found = report.diagnoses.iter();
    let names: Vec<_> = found.map(|diagnosis| diagnosis.check).collect();
    assert!(names.contains(&"leftovers"), "{names:?}");
    assert!(!names.contains(&"device"), "{names:?}");
}

#[test]
fn problems_precede_warnings() {
    let mut facts = healthy();
    facts.daemon.health = None;
    live(&mut facts).device = false;
    facts.filter.leftovers = Some(Leftovers {
        nft_tables: [ipvs::AddressFamily::Ipv4].into(),
        ..Leftovers::default()
    });
    let report = examine(&facts);
    let severities: Vec<Severity> = (report.diagnoses.iter())
        .map(|diagnosis| diagnosis.severity)
        .collect();
    assert!(severities.is_sorted_by(|a, b| a >= b), "{severities:?}");
    assert_eq!(
        report.verdict(),
        "1 problem, 1 warning: no Service has to be served"
    );
}

/// Checks that no advice names a command that ends connections, on broken nodes of all kinds.
#[track_caller]
pub(super) fn check_advice(facts: &NodeFacts) {
    const CUTS: [&str; 6] = [
        "ipvsadm -",
        "conntrack -D",
        "conntrack -F",
        "ip link delete",
        "ip link del",
        "iptables -F",
    ];
    for diagnosis in examine(facts).diagnoses {
        let Some(advice) = diagnosis.advice else {
            continue;
        };
        for command in CUTS {
            assert!(
                !advice.action.contains(command),
                "{}: {}",
                diagnosis.check,
                advice.action
            );
        }
        assert!(
            !advice.users_see.is_empty() && !advice.action.is_empty(),
            "{}",
            diagnosis.check
        );
    }
}

#[test]
fn large_numbers_are_grouped() {
    for (number, expected) in [
        (0, "0"),
        (999, "999"),
        (1_000, "1,000"),
        (1_234_567, "1,234,567"),
    ] {
        assert_eq!(super::grouped(number), expected);
    }
}
