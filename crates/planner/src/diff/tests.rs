use std::collections::BTreeSet;
use std::sync::Arc;

use ipvs::{Connections, Protocol, RealServer};
use model::cluster::{Changed, Endpoint, Parsed};
use model::plan::{Plan, Reason};
use model::tables::TableKeys;
use model::{Desired, NodeState, ObjectName, Op, OpEffect, Snapshot};

use super::{Ownership, Retire, cleanup, diff, diff_keys};
use crate::testing::{
    cluster, compile, compiler, endpoint, key, live, own, parsed, port, service, slice, texts,
    unready, web,
};

/// Checks the ops for the device, addresses and the IPVS table. Other ops have their own tests.
///
/// `expected` contains a line for each op with its sign, its text and its reason. Stages are
/// separated by `--`.
fn check(plan: &Plan, expected: &[&str]) {
    check_ops(plan, |op| !is_filter_state(op), expected);
}

/// Checks the ops that `admitted` selects, as [`check`] does.
fn check_ops(plan: &Plan, admitted: impl Fn(&Op) -> bool, expected: &[&str]) {
    let mut lines = Vec::new();
    for stage in &plan.stages {
        let ops = (stage.ops.iter()).filter(|planned| admitted(&planned.op));
        let said: Vec<String> = ops
            .map(|planned| {
                let mark = planned.op.effect().mark();
                format!("{mark} {}: {}", planned.op, planned.reason)
            })
            .collect();
        if !lines.is_empty() && !said.is_empty() {
            lines.push("--".to_owned());
        }
        lines.extend(said);
    }
    assert_eq!(lines, expected);
}

fn is_filter_state(op: &Op) -> bool {
    matches!(
        op,
        Op::SetSysctl(..)
            | Op::SetTimeouts(_)
            | Op::CreateSet(..)
            | Op::ReplaceSet(..)
            | Op::AddEntry(..)
            | Op::DelEntry(..)
            | Op::DestroySet(_)
            | Op::PatchRules(..)
    )
}

#[test]
fn equal_tables_give_an_empty_plan() {
    let desired = web(&["10.1.0.1", "10.1.0.2"]);
    assert_eq!(diff(&desired, &live(&desired), &own()), Plan::default());
}

#[test]
fn filter_state_comes_first() {
    check(
        &diff(&web(&["10.1.0.1"]), &Snapshot::default(), &own()),
        &[
            "+ create device kube-ipvs0: missing in the kernel",
            "--",
            "+ add address 10.96.0.1 to kube-ipvs0: missing in the kernel",
            "--",
            "+ add virtual server 10.96.0.1:80/TCP: missing in the kernel",
            "--",
            "+ add real server 10.1.0.1:8080 to 10.96.0.1:80/TCP: missing in the kernel",
        ],
    );
}

#[test]
fn deletions_are_in_reverse_order_and_keep_the_device() {
    let before = web(&["10.1.0.1"]);
    check(
        &diff(&Desired::default(), &live(&before), &own()),
        &[
            "- delete virtual server 10.96.0.1:80/TCP: no Service asks for it",
            "--",
            "- delete address 10.96.0.1 from kube-ipvs0: no Service asks for it",
        ],
    );
}

#[test]
fn additions_come_before_deletions() {
    check(
        &diff(&web(&["10.1.0.2"]), &live(&web(&["10.1.0.1"])), &own()),
        &[
            "+ add real server 10.1.0.2:8080 to 10.96.0.1:80/TCP: missing in the kernel",
            "--",
            "~ change real server 10.1.0.1:8080 of 10.96.0.1:80/TCP: no endpoint of the Service, its connections drain",
        ],
    );
}

fn check_precedes(plan: &Plan, first: &str, second: &str) {
    let position = |text: &str| {
        let mut ops = plan.ops();
        let place = ops.position(|planned| planned.op.to_string() == text);
        place.unwrap_or_else(|| panic!("the plan does not {text}"))
    };
    assert!(position(first) < position(second), "{first}, {second}");
}

#[test]
fn the_api_server_precedes_other_services() {
    let state = cluster(
        vec![
            service("aaa", &["10.96.0.9"]),
            service("kubernetes", &["10.96.0.1"]),
        ],
        vec![
            slice("aaa", "aaa", vec![endpoint("10.1.0.9")]),
            slice("kubernetes", "kubernetes", vec![endpoint("10.1.0.1")]),
        ],
    );
    let plan = diff(&compile(&state).0, &Snapshot::default(), &own());
    check_precedes(
        &plan,
        "add real server 10.1.0.1:8080 to 10.96.0.1:80/TCP",
        "add address 10.96.0.9 to kube-ipvs0",
    );
}

/// A load balancer of the API server's Service has the cluster IP of another Service.
#[test]
fn addresses_precede_the_api_servers_virtual_servers() {
    let mut kubernetes = service("kubernetes", &["10.96.0.1"]);
    kubernetes.kind = model::cluster::ServiceKind::LoadBalancer;
    kubernetes.load_balancer_ips = vec![parsed("10.96.0.9")];
    let state = cluster(
        vec![service("aaa", &["10.96.0.9"]), kubernetes],
        vec![slice(
            "kubernetes",
            "kubernetes",
            vec![endpoint("10.1.0.1")],
        )],
    );
    let plan = diff(&compile(&state).0, &Snapshot::default(), &own());
    check_precedes(
        &plan,
        "add address 10.96.0.9 to kube-ipvs0",
        "add virtual server 10.96.0.9:80/TCP",
    );
}

#[test]
fn differing_fields_are_named() {
    let desired = web(&["10.1.0.1"]);
    let mut snapshot = live(&desired);
    let entry = snapshot
        .tables
        .virtual_servers
        .values_mut()
        .next()
        .expect("one real server");
    let entry = std::sync::Arc::make_mut(entry);
    entry.server.scheduler = ipvs::Scheduler("wrr".into());
    let real = *entry.real_servers.values().next().expect("one");
    (entry.real_servers).insert(RealServer { weight: 0, ..real });
    check(
        &diff(&desired, &snapshot, &own()),
        &[
            "~ change virtual server 10.96.0.1:80/TCP: scheduler wrr -> rr",
            "--",
            "~ change real server 10.1.0.1:8080 of 10.96.0.1:80/TCP: weight 0 -> 1",
        ],
    );
}

/// Returns a node with the virtual server of `web`, which nothing marks as ours.
fn foreign() -> Snapshot {
    let mut snapshot = live(&web(&["10.1.0.1"]));
    snapshot.tables.addresses.clear();
    snapshot.tables.sets.clear();
    snapshot
}

#[test]
fn a_foreign_virtual_server_is_left_alone() {
    let snapshot = foreign();
    check(&diff(&Desired::default(), &snapshot, &own()), &[]);
}

#[test]
fn a_service_at_a_foreign_key_is_skipped() {
    let desired = web(&["10.1.0.2"]);
    let snapshot = foreign();
    let plan = diff(&desired, &snapshot, &own());
    check(&plan, &[]);
    assert_eq!(
        texts(plan.findings.values()),
        [
            "KIV0301 error Service default/web: spec.ports: another program made the virtual server 10.96.0.1:80/TCP: its address is not on kube-ipvs0, nor is it in our sets; 10.96.0.1:80/TCP is not served until it is gone"
        ]
    );
}

/// Binding the address for one port would make the foreign virtual server at the other port look
/// like ours.
#[test]
fn a_foreign_server_at_another_port_keeps_the_address_unbound() {
    let desired = web(&["10.1.0.1"]);
    let mut snapshot = Snapshot::default();
    let mut entry = (**desired.tables.virtual_servers.values().next().expect("one")).clone();
    entry.server.key = key("10.96.0.1:9999");
    (snapshot.tables.virtual_servers).insert(entry.server.key, entry.into());
    let plan = diff(&desired, &snapshot, &own());
    check(&plan, &[]);
    assert_eq!(plan.findings.len(), 1, "{:?}", plan.findings);
}

/// The sets mark virtual servers that this process has not recorded: after a restart, and after
/// kube-proxy.
#[test]
fn recorded_or_marked_virtual_servers_are_ours_without_their_address() {
    let desired = web(&["10.1.0.1"]);
    let mut marked = live(&desired);
    marked.tables.addresses.clear();
    let recorded = Ownership {
        recorded: [key("10.96.0.1:80")].into(),
        ..own()
    };
    for (live, own) in [(foreign(), recorded), (marked, own())] {
        check(
            &diff(&desired, &live, &own),
            &["+ add address 10.96.0.1 to kube-ipvs0: missing in the kernel"],
        );
    }
}

#[test]
fn excluded_entries_are_not_deleted() {
    let own = Ownership {
        exclude_cidrs: vec!["10.96.0.0/16".parse().expect("a network")],
        ..own()
    };
    let snapshot = live(&web(&["10.1.0.1"]));
    check(&diff(&Desired::default(), &snapshot, &own), &[]);
    check(&cleanup(&snapshot, &own), &[]);
}

#[test]
fn torn_or_incomplete_tables_cause_no_deletion() {
    let whole = diff(&Desired::default(), &live(&web(&["10.1.0.1"])), &own());
    let deletions = whole.summary().delete;
    assert!(deletions > 2);
    let torn = Snapshot {
        torn: true,
        ..live(&web(&["10.1.0.1"]))
    };
    let incomplete = Ownership {
        deletions: false,
        ..own()
    };
    for plan in [
        diff(&Desired::default(), &torn, &own()),
        diff(&Desired::default(), &live(&web(&["10.1.0.1"])), &incomplete),
    ] {
        check_ops(&plan, |op| op.effect() == OpEffect::Delete, &[]);
        assert_eq!(plan.withheld, deletions);
    }
}

#[test]
fn cleanup_ends_with_the_device() {
    check(
        &cleanup(&live(&web(&[])), &own()),
        &[
            "- delete virtual server 10.96.0.1:80/TCP: no Service asks for it",
            "--",
            "- delete address 10.96.0.1 from kube-ipvs0: no Service asks for it",
            "--",
            "- delete device kube-ipvs0: no Service asks for it",
        ],
    );
}

#[test]
fn each_node_adds_real_servers_in_a_different_order() {
    let endpoints: Vec<String> = (1..=9).map(|n| format!("10.1.0.{n}")).collect();
    let desired = web(&endpoints.iter().map(String::as_str).collect::<Vec<_>>());
    let order = |node: &str| -> Vec<String> {
        let own = Ownership {
            node_name: node.into(),
            ..own()
        };
        diff(&desired, &Snapshot::default(), &own)
            .ops()
            .filter_map(|planned| match planned.op {
                Op::AddRealServer(_, real) => Some(real.key.to_string()),
                _ => None,
            })
            .collect()
    };
    assert_eq!(order("node1"), order("node1"));
    let distinct: BTreeSet<_> = (1..=20).map(|n| order(&format!("node{n}"))).collect();
    assert!(distinct.len() > 15, "only {} orders", distinct.len());
}

/// Returns the ops that turn `before` into `after` with their reasons. The last real server of
/// `before` has this weight and these active and inactive connections.
fn drain(
    [before, after]: [&Desired; 2],
    weight: u32,
    [active, inactive]: [u32; 2],
    own: &Ownership,
) -> Vec<String> {
    let mut live = live(before);
    let (key, entry) = live.tables.virtual_servers.iter_mut().next().expect("one");
    let real_servers = &mut Arc::make_mut(entry).real_servers;
    let last = real_servers.values().next_back();
    let real = *last.expect("a real server");
    real_servers.insert(RealServer { weight, ..real });
    let connections = Connections {
        active,
        inactive,
        ..Connections::default()
    };
    live.connections.insert((*key, real.key), connections);
    (diff(after, &live, own).ops())
        .map(|planned| format!("{}: {}", planned.op, planned.reason))
        .collect()
}

#[test]
fn a_leaving_real_server_drains_while_it_has_connections() {
    let drains = "change real server 10.1.0.2:8080 of 10.96.0.1:80/TCP: no endpoint of the Service, its connections drain";
    let idle = "delete real server 10.1.0.2:8080 of 10.96.0.1:80/TCP: no endpoint of the Service, its connections are gone";
    let (before, after) = (web(&["10.1.0.1", "10.1.0.2"]), web(&["10.1.0.1"]));
    for (weight, connections, expected) in [
        (1, [1, 0], Some(drains)),
        (1, [0, 1], Some(drains)),
        (0, [0, 1], None),
        (0, [0, 0], Some(idle)),
        // A connection may start between a reading and a deletion.
        (1, [0, 0], Some(drains)),
    ] {
        let found = drain([&before, &after], weight, connections, &own());
        assert_eq!(found, Vec::from_iter(expected), "{weight} {connections:?}");
    }
}

/// Returns the tables of Service `web` with UDP. The endpoint 10.1.0.1 is ready; `second`, if
/// present, is 10.1.0.2.
fn udp(second: Option<Endpoint>) -> Desired {
    let mut service = service("web", &["10.96.0.1"]);
    service.ports = vec![port("http", 80, Protocol::Udp)];
    let endpoints = [Some(endpoint("10.1.0.1")), second].into_iter().flatten();
    let mut slice = slice("web", "web", endpoints.collect());
    slice.ports[0].protocol = Parsed::Valid(Protocol::Udp);
    compile(&cluster(vec![service], vec![slice])).0
}

fn terminating(serving: bool) -> Option<Endpoint> {
    Some(unready("10.1.0.2", serving, true))
}

#[test]
fn a_udp_server_drains_while_its_endpoint_terminates_and_serves() {
    let drains = "change real server 10.1.0.2:8080 of 10.96.0.1:80/UDP: no endpoint of the Service, its connections drain";
    let deleted =
        "delete real server 10.1.0.2:8080 of 10.96.0.1:80/UDP: no endpoint of the Service";
    let idle = "delete real server 10.1.0.2:8080 of 10.96.0.1:80/UDP: no endpoint of the Service, its connections are gone";
    let before = udp(Some(endpoint("10.1.0.2")));
    for (second, weight, flows, udp_drains, expected) in [
        (terminating(true), 1, 1, true, Some(drains)),
        (terminating(true), 1, 0, true, Some(drains)),
        (terminating(true), 0, 1, true, None),
        (terminating(true), 0, 0, true, Some(idle)),
        (terminating(false), 0, 1, true, Some(deleted)),
        (terminating(false), 1, 1, true, Some(deleted)),
        (None, 0, 1, true, Some(deleted)),
        (None, 1, 1, true, Some(deleted)),
        (terminating(true), 0, 1, false, Some(deleted)),
        (terminating(true), 1, 1, false, Some(deleted)),
    ] {
        let own = Ownership {
            udp_drains,
            ..own()
        };
        let case = format!("{second:?} {weight} {flows} {udp_drains}");
        let found = drain([&before, &udp(second)], weight, [0, flows], &own);
        assert_eq!(found, Vec::from_iter(expected), "{case}");
    }
}

/// No real server changes, but the virtual server is compared.
#[test]
fn an_endpoint_that_stops_serving_touches_its_udp_virtual_servers() {
    let state = |second| {
        let mut service = service("web", &["10.96.0.1"]);
        service.ports.push(port("dns", 53, Protocol::Udp));
        let mut slice = slice("web", "web", vec![endpoint("10.1.0.1")]);
        slice.endpoints.extend(second);
        let mut dns = slice.ports[0].clone();
        dns.name = Some("dns".into());
        dns.protocol = Parsed::Valid(Protocol::Udp);
        slice.ports.push(dns);
        cluster(vec![service], vec![slice])
    };
    let mut compiler = compiler();
    compiler.compile(&state(terminating(true)), &NodeState::default(), drop);
    let dns = fixtures::server_key([10, 96, 0, 1], 53, Protocol::Udp);
    let all = |compiler: &crate::Compiler| compiler.desired().finishing.clone();
    assert_eq!(all(&compiler).keys().collect::<Vec<_>>(), [&dns]);
    let changed = Changed {
        services: [ObjectName::new("default", "web")].into(),
        ..Changed::default()
    };
    let keys = compiler.update(&state(terminating(false)), &changed);
    assert_eq!(keys.virtual_servers, [dns].into());
    assert!(all(&compiler).is_empty());
}

#[test]
fn the_caller_decides_which_drains_have_ended() {
    let desired = web(&["10.1.0.1"]);
    let mut live = live(&web(&["10.1.0.1", "10.1.0.2"]));
    let (key, entry) = live.tables.virtual_servers.iter_mut().next().expect("one");
    let (key, real_servers) = (*key, &mut Arc::make_mut(entry).real_servers);
    let real = *real_servers.values().last().expect("two");
    real_servers.insert(RealServer { weight: 0, ..real });
    let leaving = real.key;
    for (ended, expected) in [(false, 0), (true, 1)] {
        let own = Ownership {
            retire: Retire::Only(
                (ended
                    .then_some(((key, leaving), Reason::Drained))
                    .into_iter())
                .collect(),
            ),
            ..own()
        };
        assert_eq!(diff(&desired, &live, &own).ops().count(), expected);
    }
}

#[test]
fn a_returning_endpoint_gets_its_weight_back() {
    let desired = web(&["10.1.0.1"]);
    assert_eq!(
        drain([&desired, &desired], 0, [0, 0], &own()),
        ["change real server 10.1.0.1:8080 of 10.96.0.1:80/TCP: weight 0 -> 1"]
    );
}

/// One part of a large Service may be deleted before the rest.
#[test]
fn an_address_is_deleted_with_the_last_virtual_server_that_it_marks() {
    let mut live = live(&web(&[]));
    let first = key("10.96.0.1:80");
    let last = key("10.96.0.1:81");
    let mut entry = (*live.tables.virtual_servers[&first]).clone();
    entry.server.key = last;
    live.tables.virtual_servers.insert(last, Arc::new(entry));
    let plan = |live: &Snapshot, key| {
        let keys = TableKeys {
            virtual_servers: BTreeSet::from([key]),
            ..TableKeys::default()
        };
        diff_keys(&Desired::default(), live, &own(), &keys)
    };
    check(
        &plan(&live, first),
        &["- delete virtual server 10.96.0.1:80/TCP: no Service asks for it"],
    );
    live.apply(&Op::DelVirtualServer(first));
    check(
        &plan(&live, last),
        &[
            "- delete virtual server 10.96.0.1:81/TCP: no Service asks for it",
            "--",
            "- delete address 10.96.0.1 from kube-ipvs0: no Service asks for it",
        ],
    );
}
