//! Nodes whose tables somebody broke by hand.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ipset::Entry;
use ipvs::{AddressFamily, RealServer, VirtualServerKey};
use model::rules::{ChainKey, Table};
use model::sets::SetKind;
use model::{ClusterState, Desired, NodeTables, VirtualServerEntry};

use super::*;
use crate::doctor::tests::{check_advice, healthy, input, process, without_daemon};
use crate::doctor::{Report, examine};
use crate::input::running::State;

const MANIFESTS: &str = include_str!("tests/shop.yaml");

fn cluster() -> ClusterState {
    let read = sources::files::parse(Path::new("shop.yaml"), MANIFESTS);
    assert_eq!(read.errors, []);
    let mut state = ClusterState::default();
    for event in read.into_events() {
        state.absorb(event);
    }
    state
}

fn desired(facts: &NodeFacts) -> Desired {
    let live = facts.live.as_ref().expect("tables");
    planner::compile(&cluster(), &live.node, &facts.config).0
}

/// Compares the live tables of `facts` with the cluster.
fn compare(facts: &mut NodeFacts) {
    let live = facts.live.as_ref().expect("tables");
    let input = input(cluster(), facts.config.clone(), live);
    facts.desired = Ok(Compared::new(input, live));
}

/// Returns a node that serves the shop. Its kube-ipvsd runs.
fn shop() -> NodeFacts {
    let mut facts = healthy();
    let desired = desired(&facts);
    let live = facts.live.as_mut().expect("tables");
    let (sysctls, timeouts) = (live.tables.sysctls.clone(), live.tables.timeouts);
    live.tables = NodeTables {
        timeouts,
        ..desired.tables
    };
    live.tables.sysctls.extend(sysctls);
    compare(&mut facts);
    facts
}

/// Returns the report on the shop's node after `change` of its live tables, without kube-ipvsd.
fn broken(change: impl FnOnce(&mut NodeTables)) -> Report {
    let mut facts = shop();
    without_daemon(&mut facts);
    change(&mut facts.live.as_mut().expect("tables").tables);
    compare(&mut facts);
    check_advice(&facts);
    examine(&facts)
}

/// Checks the results of the check `name` on a broken node: severity, text and Services of each.
#[track_caller]
fn check(name: &str, change: impl FnOnce(&mut NodeTables), expected: &[(&str, &str)]) {
    let report = broken(change);
    let found: Vec<(String, String)> = (report.diagnoses.iter())
        .filter(|diagnosis| diagnosis.check == name)
        .map(|diagnosis| {
            let services: Vec<String> =
                diagnosis.services.iter().map(ToString::to_string).collect();
            let text = format!("{}: {}", diagnosis.severity, diagnosis.found);
            (text, services.join(" "))
        })
        .collect();
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(text, services)| (&**text, &**services))
        .collect();
    assert_eq!(found, expected);
}

const ALL: &str = "shop/api shop/dns shop/gate shop/web";

fn key(address: &str, port: u16) -> VirtualServerKey {
    VirtualServerKey::Address {
        address: address.parse().expect("an address"),
        port,
        protocol: ipvs::Protocol::Tcp,
    }
}

/// Changes the virtual server of shop/web.
fn web(tables: &mut NodeTables) -> &mut VirtualServerEntry {
    let entry = tables.virtual_servers.get_mut(&key("10.96.0.10", 80));
    Arc::make_mut(entry.expect("a virtual server"))
}

/// Returns the first real server of shop/web.
fn first(tables: &mut NodeTables) -> RealServer {
    *web(tables)
        .real_servers
        .values()
        .next()
        .expect("a real server")
}

fn v4(tables: &mut NodeTables) -> &mut model::rules::Rules {
    tables.rules.get_mut(&AddressFamily::Ipv4).expect("rules")
}

#[test]
fn a_node_without_differences_is_healthy() {
    let facts = shop();
    let report = examine(&facts);
    assert_eq!(report.worst(), Severity::Ok, "{report:#?}");
    assert_eq!(
        report.verdict(),
        "healthy: all 4 Services are served as they should be"
    );
}

#[test]
fn flushed_ipvs_table_stops_every_service() {
    let flush = |tables: &mut NodeTables| tables.virtual_servers.clear();
    check(
        "virtual-servers",
        flush,
        &[("problem: 6 virtual servers are missing", ALL)],
    );
    check("real-servers", flush, &[]);
    let verdict = broken(flush).verdict();
    assert!(
        verdict.ends_with("4 of 4 Services are not served as they should be"),
        "{verdict}"
    );
}

#[test]
fn a_missing_virtual_server_stops_its_service() {
    let delete = |tables: &mut NodeTables| {
        tables.virtual_servers.remove(&key("10.96.0.10", 80));
    };
    check(
        "virtual-servers",
        delete,
        &[("problem: 1 virtual server is missing", "shop/web")],
    );
    let report = broken(delete);
    let found = report
        .diagnoses
        .iter()
        .find(|found| found.check == "virtual-servers");
    let found = found.expect("a problem");
    assert_eq!(found.details, ["-A -t 10.96.0.10:80 -s rr"]);
    let advice = found.advice.clone().expect("advice");
    assert!(advice.users_see.contains("refused"), "{advice:?}");
    assert!(
        advice.action.contains("ipvsctl explain svc shop/web"),
        "{advice:?}"
    );
}

#[test]
fn other_settings_of_a_virtual_server_are_a_problem() {
    let change = |tables: &mut NodeTables| web(tables).server.scheduler.0 = "wlc".into();
    let expected = "problem: 1 virtual server has other settings than its Service";
    check("virtual-servers", change, &[(expected, "shop/web")]);
}

#[test]
fn missing_and_rogue_real_servers_are_problems() {
    let delete = |tables: &mut NodeTables| {
        let real = first(tables);
        web(tables).real_servers.remove(&real.key);
    };
    check(
        "real-servers",
        delete,
        &[("problem: 1 real server is missing", "shop/web")],
    );
    let rogue = |tables: &mut NodeTables| {
        let mut real = first(tables);
        real.key.address = "10.244.9.9".parse().expect("an address");
        web(tables).real_servers.insert(real);
    };
    let expected = "problem: 1 real server is not an endpoint of its Service";
    check("real-servers", rogue, &[(expected, "shop/web")]);
}

#[test]
fn a_drained_real_server_is_no_difference() {
    let drained = |tables: &mut NodeTables| {
        let mut real = first(tables);
        real.key.address = "10.244.9.9".parse().expect("an address");
        real.weight = 0;
        web(tables).real_servers.insert(real);
    };
    check("real-servers", drained, &[]);
    let found = "warning: 1 real server of weight 0, and no kube-ipvsd ends their drains";
    check("drains", drained, &[(found, "")]);
}

#[test]
fn weight_zero_of_an_endpoint_is_no_drain() {
    let one = |tables: &mut NodeTables| {
        let real = RealServer {
            weight: 0,
            ..first(tables)
        };
        web(tables).real_servers.insert(real);
    };
    let found = "problem: 1 real server of an endpoint has weight 0";
    check("real-servers", one, &[(found, "shop/web")]);
    check("drains", one, &[("ok: no real server drains", "")]);
    let all = |tables: &mut NodeTables| {
        let reals: Vec<RealServer> = web(tables).real_servers.values().copied().collect();
        for real in reals {
            web(tables)
                .real_servers
                .insert(RealServer { weight: 0, ..real });
        }
    };
    let found = "problem: 2 real servers of endpoints have weight 0; 1 Service without any endpoint in the kernel";
    check("real-servers", all, &[(found, "shop/web")]);
    let heavier = |tables: &mut NodeTables| {
        let real = RealServer {
            weight: 5,
            ..first(tables)
        };
        web(tables).real_servers.insert(real);
    };
    let found = "problem: 1 real server has other settings than its endpoint";
    check("real-servers", heavier, &[(found, "shop/web")]);
}

#[test]
fn flushed_chains_are_problems_by_their_effect() {
    let flush = |tables: &mut NodeTables| {
        let chains = v4(tables).chains.iter_mut();
        for (_, rules) in chains.filter(|(key, _)| key.table == Table::Nat) {
            rules.clear();
        }
        v4(tables).jumps.retain(|key, _| key.table != Table::Nat);
    };
    let many = |number| {
        format!(
            "problem: {number} chains and jumps of the IPv4 packet filter are missing or changed"
        )
    };
    let one = "problem: 1 chain or jump of the IPv4 packet filter is missing or changed";
    check(
        "rules",
        flush,
        &[(&many(6), ALL), (one, "shop/gate"), (one, "shop/api")],
    );
    let all = |tables: &mut NodeTables| *v4(tables) = model::rules::Rules::default();
    let found: Vec<_> = broken(all)
        .diagnoses
        .into_iter()
        .filter(|found| found.check == "rules")
        .collect();
    assert_eq!(found.len(), 7, "{found:#?}");
}

#[test]
fn a_removed_jump_is_a_problem() {
    let remove = |tables: &mut NodeTables| {
        let input = ChainKey::new(Table::Filter, "INPUT");
        let jumps = v4(tables).jumps.get_mut(&input).expect("jumps");
        jumps.retain(|rule| !rule.to_string().ends_with("-j KUBE-IPVS-FILTER"));
    };
    let one = "problem: 1 chain or jump of the IPv4 packet filter is missing or changed";
    check("rules", remove, &[(one, ALL)]);
    let report = broken(remove);
    let found = report
        .diagnoses
        .iter()
        .find(|found| found.check == "rules")
        .expect("a problem");
    assert_eq!(
        found.details,
        ["jump INPUT -> KUBE-IPVS-FILTER of table filter: missing"]
    );
}

#[test]
fn rules_that_cannot_be_read_are_not_compared() {
    check("rules", |tables| tables.rules.clear(), &[]);
}

/// Removes the entry of shop/web from a set.
fn without_entry(tables: &mut NodeTables, kind: SetKind, entry: Entry) {
    let set = tables
        .sets
        .get_mut(&kind.name(AddressFamily::Ipv4))
        .expect("a set");
    assert!(set.entries.remove(&entry));
}

#[test]
fn missing_set_entries_are_problems() {
    let address = "10.96.0.10".parse().expect("an address");
    let delete = |tables: &mut NodeTables| {
        let entry = Entry::IpPort(address, ipset::Protocol(6), 80);
        without_entry(tables, SetKind::ClusterIp, entry);
    };
    let found = "problem: 1 entry is missing in set KUBE-CLUSTER-IP";
    check("set-entries", delete, &[(found, "shop/web")]);
    let node_port = |tables: &mut NodeTables| {
        without_entry(tables, SetKind::NodePortTcp, Entry::Port(30_080));
    };
    let found = "problem: 1 entry is missing in set KUBE-NODE-PORT-TCP";
    check("set-entries", node_port, &[(found, "shop/api")]);
    let set = |tables: &mut NodeTables| {
        tables
            .sets
            .remove(&SetKind::LoadBalancer.name(AddressFamily::Ipv4));
    };
    let lacks = "problem: 1 entry is missing in set KUBE-LOAD-BALANCER";
    let found = "problem: set KUBE-LOAD-BALANCER is missing, too small or of another type";
    check(
        "set-entries",
        set,
        &[(found, "shop/gate"), (lacks, "shop/gate")],
    );
}

#[test]
fn loop_back_entries_belong_to_the_services_of_their_endpoint() {
    let mut facts = shop();
    let live = facts.live.as_mut().expect("tables");
    let set = live
        .tables
        .sets
        .get(&SetKind::LoopBack.name(AddressFamily::Ipv4));
    let entry = *set.and_then(|set| set.entries.first()).expect("an entry");
    let services = Affected::new(&desired(&facts)).of_entry(&entry);
    assert!(!services.is_empty(), "{entry}");
}

#[test]
fn a_missing_address_is_a_problem() {
    let delete = |tables: &mut NodeTables| {
        tables
            .addresses
            .remove(&"10.96.0.10".parse().expect("an address"));
    };
    let found = "problem: 1 Service address is missing on kube-ipvs0";
    check("addresses", delete, &[(found, "shop/web")]);
}

#[test]
fn a_missing_device_is_one_problem() {
    let mut facts = shop();
    let live = facts.live.as_mut().expect("tables");
    live.device = false;
    live.tables.addresses.clear();
    compare(&mut facts);
    let report = examine(&facts);
    let bad = report
        .diagnoses
        .iter()
        .filter(|found| found.severity != Severity::Ok);
    let checks: Vec<&str> = bad.clone().map(|found| found.check).collect();
    assert_eq!(checks, ["device"]);
    assert_eq!(bad.map(|found| found.services.len()).sum::<usize>(), 4);
}

#[test]
fn an_address_on_another_device_is_a_warning() {
    let mut facts = shop();
    let live = facts.live.as_mut().expect("tables");
    let address = "10.96.0.10/32".parse().expect("a network");
    live.node.interfaces[0].addresses.push(address);
    let report = examine(&facts);
    let found = report
        .diagnoses
        .iter()
        .find(|found| found.check == "addresses-elsewhere");
    let found = found.expect("a warning");
    assert_eq!(found.severity, Severity::Warning);
    assert_eq!(found.details, ["10.96.0.10 is on eth0"]);
    assert_eq!(found.services, [ObjectName::new("shop", "web")].into());
}

#[test]
fn vital_settings_concern_every_service() {
    let off = |tables: &mut NodeTables| {
        let names = ["net.ipv4.ip_forward", "net.ipv4.vs.conntrack"];
        tables
            .sysctls
            .extend(names.map(|name| (name.into(), "0".into())));
    };
    check(
        "settings",
        off,
        &[
            ("problem: net.ipv4.ip_forward is 0, should be 1", ALL),
            ("problem: net.ipv4.vs.conntrack is 0, should be 1", ALL),
        ],
    );
}

#[test]
fn rules_that_drop_packets_name_the_services() {
    let mut facts = shop();
    let saved = "*filter\n:INPUT DROP [0:0]\n-A INPUT -d 10.96.0.10 -j ACCEPT\nCOMMIT\n";
    let rules = model::host_rules::HostRules::parse(saved);
    let live = facts.live.as_mut().expect("tables");
    live.host_rules.insert(AddressFamily::Ipv4, rules);
    let report = examine(&facts);
    let found = report
        .diagnoses
        .iter()
        .find(|found| found.check == "foreign-rules");
    let found = found.expect("a problem");
    let services: Vec<String> = found.services.iter().map(ToString::to_string).collect();
    assert_eq!(services, ["shop/api", "shop/dns", "shop/gate"]);
}

#[test]
fn entries_without_a_service_are_warnings() {
    let extra = |tables: &mut NodeTables| {
        let old = "10.96.0.99";
        tables.addresses.insert(old.parse().expect("an address"));
        let mut entry = web(tables).clone();
        entry.server.key = key(old, 80);
        tables.virtual_servers.insert(key(old, 80), Arc::new(entry));
    };
    check(
        "virtual-servers",
        extra,
        &[("warning: 1 virtual server belongs to no Service", "")],
    );
    check(
        "addresses",
        extra,
        &[(
            "warning: 1 address on kube-ipvs0 belonging to no Service",
            "",
        )],
    );
    let verdict = broken(extra).verdict();
    assert!(
        verdict.ends_with("all 4 Services are served as they should be"),
        "{verdict}"
    );
}

#[test]
fn configured_timeouts_are_compared() {
    let mut facts = shop();
    facts.config.kernel_settings.timeouts.tcp =
        model::config::TcpTimeout::Fixed(std::time::Duration::from_secs(9_000));
    compare(&mut facts);
    let report = examine(&facts);
    let found = report
        .diagnoses
        .iter()
        .find(|found| found.check == "timeouts")
        .expect("a warning");
    assert_eq!(found.severity, Severity::Warning);
    assert!(
        found.details[0].contains("tcp 7300 s -> 9000 s"),
        "{:?}",
        found.details
    );
}

#[test]
fn a_missing_synchronisation_daemon_is_a_problem() {
    let mut facts = shop();
    let interfaces = &facts.live.as_ref().expect("tables").node.interfaces;
    facts.config.kernel_settings.sync = model::config::SyncSettings {
        role: model::config::SyncMode::Both,
        interface: interfaces[0].name.to_string(),
        ..model::config::SyncSettings::default()
    };
    compare(&mut facts);
    let report = examine(&facts);
    let found = (report.diagnoses.iter())
        .find(|found| found.check == "sync-daemons")
        .expect("a problem");
    assert_eq!(found.severity, Severity::Problem);
    assert!(
        found.found.starts_with("2 synchronisation daemons"),
        "{}",
        found.found
    );
    let live = facts.live.as_mut().expect("tables");
    live.tables.sync_daemons = facts.config.kernel_settings.sync.daemons();
    compare(&mut facts);
    let report = examine(&facts);
    let mut checks = report.diagnoses.iter().map(|found| found.check);
    assert!(!checks.any(|check| check == "sync-daemons"));
}

/// Returns the action for a missing virtual server after `change`.
fn action(change: impl FnOnce(&mut NodeFacts)) -> String {
    let mut facts = shop();
    facts
        .live
        .as_mut()
        .expect("tables")
        .tables
        .virtual_servers
        .clear();
    change(&mut facts);
    compare(&mut facts);
    let report = examine(&facts);
    let found = report
        .diagnoses
        .into_iter()
        .find(|found| found.check == "virtual-servers");
    found.and_then(|found| found.advice).expect("advice").action
}

#[test]
fn advice_depends_on_kube_ipvsd() {
    let running = action(|_| {});
    assert!(
        running.starts_with("wait: kube-ipvsd repairs it by itself within 30 s"),
        "{running}"
    );
    let not_asked = action(|facts| {
        facts.proxies.clear();
        facts.daemon.metrics = None;
    });
    assert!(
        not_asked.starts_with("wait: kube-ipvsd repairs it"),
        "{not_asked}"
    );
    let before_first_sync = action(|facts| {
        facts.daemon.status.as_mut().expect("a status").last_sync = None;
    });
    assert!(
        before_first_sync.contains("first sync"),
        "{before_first_sync}"
    );
    let absent = action(without_daemon);
    assert!(
        absent.starts_with("start kube-ipvsd, which repairs the tables"),
        "{absent}"
    );
    let stopped = action(|facts| {
        without_daemon(facts);
        facts.daemons = vec![process("kube-ipvsd", State::Stopped)];
    });
    assert!(
        stopped.starts_with("restart it: kubectl -n kube-system delete pod"),
        "{stopped}"
    );
}

#[test]
fn unknown_desired_tables_are_a_warning() {
    let mut facts = shop();
    facts.desired = Err("the API server does not answer".to_owned());
    let report = examine(&facts);
    let found = report
        .diagnoses
        .iter()
        .find(|found| found.check == "tables")
        .expect("a warning");
    assert_eq!(found.severity, Severity::Warning);
    assert_eq!(
        found.found,
        "the desired tables are unknown: the API server does not answer"
    );
    let verdict = "1 warning: the desired tables are unknown, so no Service was compared";
    assert_eq!(report.verdict(), verdict);
    let services: BTreeSet<_> = report.affected();
    assert!(services.is_empty());
}

/// docs/workbench.md shows this report.
#[test]
fn report_is_the_example_of_the_documentation() {
    let broken = broken(|tables| {
        tables.virtual_servers.remove(&key("10.96.0.10", 80));
        tables.virtual_servers.remove(&key("10.96.0.30", 443));
        let input = ChainKey::new(Table::Filter, "INPUT");
        let jumps = v4(tables).jumps.get_mut(&input).expect("jumps");
        jumps.retain(|rule| !rule.to_string().ends_with("-j KUBE-IPVS-FILTER"));
        tables.timeouts.tcp = std::time::Duration::from_secs(900);
    });
    let text = crate::output::doctor::text(&broken, crate::output::doctor::Detail::Bad);
    let text = anstream::adapter::strip_str(&text).to_string();
    let page = include_str!("../../../../../docs/workbench.md");
    assert!(page.contains(&text), "the page lacks:\n{text}");
}
