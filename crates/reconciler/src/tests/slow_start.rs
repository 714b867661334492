//! Slow start of real servers.

use std::collections::BTreeMap;

use model::names::Name;
use model::policy::{Annotation, CheckTarget, PolicyField};

use super::*;
use crate::Task;
use crate::ramps::MOST_RAMPS;

const OLD: [[u8; 4]; 2] = [[10, 1, 0, 1], [10, 1, 0, 2]];
const ALL: [[u8; 4]; 3] = [[10, 1, 0, 1], [10, 1, 0, 2], [10, 1, 0, 3]];

/// Returns Service `web` with these annotations `kube-ipvs.io/NAME`.
fn annotated(annotations: &[(&str, &str)]) -> Object {
    let mut service = web();
    service.annotations = (annotations.iter())
        .map(|(name, value)| Annotation::new(name, value))
        .collect();
    Object::Service(service)
}

fn slow(time: &str) -> Object {
    annotated(&[("scheduler", "wrr"), ("slow-start", time)])
}

fn allowing() -> NodeConfig {
    NodeConfig {
        allowed_annotations: PolicyField::ALL.iter().copied().collect(),
        health_check_networks: vec!["10.1.0.0/16".parse().expect("a network")],
        ..config()
    }
}

/// Starts a node with the Service and these endpoints.
fn started(service: Object, endpoints: &[[u8; 4]]) -> Node {
    let mut node = Node::new(allowing());
    node.list([service, Object::EndpointSlice(web_slice(endpoints))]);
    node.reports.clear();
    node
}

fn set_endpoints(node: &mut Node, endpoints: &[[u8; 4]]) {
    node.cluster(slice(endpoints));
    node.pass(Duration::from_millis(10));
}

/// Returns the weights in the kernel, in the order of the real servers.
fn weights(node: &Node) -> Vec<u32> {
    let tables = node.kernel.tables();
    let servers = tables.virtual_servers.values();
    let reals = servers.flat_map(|entry| entry.real_servers.values());
    reals.map(|real| real.weight).collect()
}

/// Advances the time in steps of 100 ms, and returns the changes of the last weight with the times
/// from the start in tenths of a second.
fn curve(node: &mut Node, time: Duration) -> Vec<(u128, u32)> {
    let began = node.now;
    let mut found = vec![(0, *weights(node).last().expect("a real server"))];
    while node.now < began + time {
        node.pass(Duration::from_millis(100));
        let weight = *weights(node).last().expect("a real server");
        if found.last().is_some_and(|(_, last)| *last != weight) {
            found.push(((node.now - began).as_millis() / 100, weight));
        }
    }
    found
}

#[test]
fn the_weight_of_a_new_endpoint_grows_in_steps() {
    let mut node = started(slow("9s"), &OLD);
    assert_eq!(weights(&node), [10, 10]);
    assert!(node.reconciler.ramps().is_empty());
    set_endpoints(&mut node, &ALL);
    assert_eq!(weights(&node), [10, 10, 1]);
    assert!(node.reconciler.is_settled());
    let grown: Vec<u32> = (curve(&mut node, Duration::from_secs(12)).iter())
        .map(|(time, weight)| {
            // A step is at most one tick late.
            let due = u128::from(*weight - 1) * 10;
            assert!((due..=due + 6).contains(time), "{weight} at {time}");
            *weight
        })
        .collect();
    assert_eq!(grown, (1..=10).collect::<Vec<_>>());
    assert!(node.reconciler.ramps().is_empty());
    assert_eq!(node.drifts(), 0);
    node.assert_desired();
}

/// Many steps of a short ramp fall into one tick.
#[test]
fn steps_are_made_at_ticks() {
    let mut node = started(slow("1s"), &OLD);
    set_endpoints(&mut node, &ALL);
    node.reports.clear();
    let grown = curve(&mut node, Duration::from_secs(3));
    assert!((2..=4).contains(&grown.len()), "{grown:?}");
    assert_eq!(grown.last().map(|(_, weight)| *weight), Some(10));
    let syncs = node.count(|report| {
        matches!(
            report,
            Report::Synced {
                trigger: Trigger::SlowStart,
                ..
            }
        )
    });
    assert!(syncs <= 3, "{syncs} syncs");
}

#[test]
fn a_restart_cuts_no_weight() {
    let mut node = started(slow("1h"), &OLD);
    set_endpoints(&mut node, &ALL);
    assert_eq!(weights(&node), [10, 10, 1]);
    node.reconciler = Reconciler::new(allowing(), 1, node.now);
    node.list([slow("1h"), Object::EndpointSlice(web_slice(&ALL))]);
    assert_eq!(weights(&node), [10, 10, 10]);
    assert!(node.reconciler.ramps().is_empty());
}

/// The only endpoint has nothing that it could relieve.
#[test]
fn a_service_without_other_endpoints_starts_with_full_weights() {
    let mut node = started(slow("1h"), &[]);
    set_endpoints(&mut node, &OLD);
    assert_eq!(weights(&node), [10, 10]);
    // Of all new endpoints, those that are furthest stand for the others once these are gone.
    set_endpoints(&mut node, &ALL);
    assert_eq!(weights(&node), [10, 10, 1]);
    set_endpoints(&mut node, &[[10, 1, 0, 3], [10, 1, 0, 4]]);
    let kept: Vec<u32> = weights(&node);
    assert_eq!(kept, [0, 0, 10, 10]);
    assert!(node.reconciler.ramps().is_empty());
}

#[test]
fn the_furthest_endpoint_gets_its_full_weight_when_the_old_ones_are_gone() {
    let mut node = started(slow("90s"), &OLD[..1]);
    set_endpoints(&mut node, &OLD);
    node.pass(Duration::from_secs(30));
    assert_eq!(weights(&node), [10, 4]);
    set_endpoints(&mut node, &ALL);
    assert_eq!(weights(&node), [10, 4, 1]);
    set_endpoints(&mut node, &ALL[1..]);
    assert_eq!(weights(&node), [0, 10, 1]);
}

/// An endpoint that is back before the kernel was changed is not new.
#[test]
fn an_endpoint_that_returns_at_once_keeps_its_weight() {
    let mut node = started(slow("1h"), &ALL);
    node.cluster(slice(&OLD));
    node.cluster(slice(&ALL));
    node.pass(Duration::from_millis(10));
    assert_eq!(weights(&node), [10, 10, 10]);
}

#[test]
fn an_endpoint_that_returns_while_it_drains_ramps() {
    let mut node = started(slow("1h"), &ALL);
    let real = RealServerKey {
        address: [10, 1, 0, 3].into(),
        port: 8080,
    };
    let key = *(node.kernel.tables().virtual_servers.keys().next()).expect("a virtual server");
    let connections = Connections {
        active: 1,
        ..Connections::default()
    };
    node.kernel.set_connections(key, real, connections);
    set_endpoints(&mut node, &OLD);
    assert_eq!(weights(&node), [10, 10, 0]);
    node.pass(Duration::from_secs(5));
    set_endpoints(&mut node, &ALL);
    assert_eq!(weights(&node), [10, 10, 1]);
    assert!(node.reconciler.drains().is_empty());
}

#[test]
fn an_endpoint_ramps_after_its_check_recovered() {
    let service = annotated(&[
        ("scheduler", "wlc"),
        ("slow-start", "9s"),
        ("health-check", "type=tcp"),
    ]);
    let mut node = started(service, &ALL);
    let targets: Vec<CheckTarget> = node.reconciler.desired().checks.keys().cloned().collect();
    let last = targets.last().expect("a target");
    let mut check = |error: Option<&str>| {
        let results: BTreeMap<CheckTarget, Option<Name>> =
            [(last.clone(), error.map(Name::from))].into();
        node.handle(Event::Checked(results));
        node.pass(Duration::from_millis(10));
        weights(&node)
    };
    assert_eq!(check(Some("refused")), [10, 10, 0]);
    assert_eq!(check(None), [10, 10, 1]);
    // It fails again before the ramp ends.
    assert_eq!(check(Some("refused")), [10, 10, 0]);
    assert_eq!(check(None), [10, 10, 1]);
    node.pass(Duration::from_secs(4));
    assert_eq!(weights(&node), [10, 10, 5]);
    node.pass(Duration::from_secs(7));
    assert_eq!(weights(&node), [10, 10, 10]);
}

#[test]
fn a_changed_time_applies_to_running_ramps() {
    let mut node = started(slow("90s"), &OLD);
    set_endpoints(&mut node, &ALL);
    node.pass(Duration::from_secs(30));
    assert_eq!(weights(&node), [10, 10, 4]);
    let mut set = |service: Object, pass: u64| {
        node.upsert(service);
        node.pass(Duration::from_millis(10));
        node.pass(Duration::from_secs(pass));
        weights(&node)
    };
    // A longer time takes no share away.
    assert_eq!(set(slow("1h"), 1), [10, 10, 4]);
    assert_eq!(set(slow("45s"), 1), [10, 10, 7]);
    assert_eq!(set(slow("0"), 0), [1, 1, 1]);
    assert!(node.reconciler.ramps().is_empty());
    assert_eq!(node.reconciler.agenda.get(&Task::Ramps), None);
}

#[test]
fn ramps_end_with_their_endpoints_and_services() {
    let mut node = started(slow("1h"), &OLD);
    set_endpoints(&mut node, &ALL);
    assert_eq!(node.reconciler.ramps().len(), 1);
    set_endpoints(&mut node, &OLD);
    assert!(node.reconciler.ramps().is_empty());
    assert_eq!(node.reconciler.agenda.get(&Task::Ramps), None);
    node.pass(Duration::from_secs(2));
    set_endpoints(&mut node, &ALL);
    assert_eq!(node.reconciler.ramps().len(), 1);
    node.delete_service("web");
    node.pass(Duration::from_millis(10));
    assert!(node.reconciler.ramps().is_empty());
    assert!(node.reconciler.compiler.ramps().is_empty());
}

#[test]
fn weight_zero_of_the_policy_stays() {
    let policy = |weights| {
        annotated(&[
            ("scheduler", "wrr"),
            ("slow-start", "1h"),
            ("weights", weights),
        ])
    };
    let mut node = started(policy("10.1.0.3=0, default=5"), &OLD);
    set_endpoints(&mut node, &ALL);
    assert_eq!(weights(&node), [50, 50, 0]);
    assert!(node.reconciler.ramps().is_empty());
    // It was emptied, and is used again.
    node.upsert(policy("10.1.0.3=5, default=5"));
    node.pass(Duration::from_millis(10));
    assert_eq!(weights(&node), [50, 50, 5]);
}

#[test]
fn schedulers_without_growing_shares_have_no_ramps() {
    for scheduler in ["rr", "lc", "sh", "mh", "fo", "ovf", "lblc"] {
        let service = annotated(&[("scheduler", scheduler), ("slow-start", "1h")]);
        let mut node = started(service, &OLD);
        set_endpoints(&mut node, &ALL);
        assert_eq!(weights(&node), [1, 1, 1], "{scheduler}");
        assert!(node.reconciler.ramps().is_empty());
    }
}

/// The ramp of an endpoint that the kernel refuses begins when it takes it.
#[test]
fn a_ramp_waits_for_the_kernel() {
    let mut node = started(slow("9s"), &OLD);
    let rule = FaultRule::refuse(Part::RealServers, OpErrorKind::Invalid);
    let held = node.kernel.hold(rule);
    set_endpoints(&mut node, &ALL);
    node.pass(Duration::from_secs(20));
    assert_eq!(weights(&node), [10, 10]);
    assert_eq!(node.reconciler.ramps().len(), 1);
    node.kernel.release(held);
    while weights(&node).len() < 3 {
        node.pass(Duration::from_millis(100));
    }
    assert!(weights(&node)[2] <= 2, "{:?}", weights(&node));
    node.pass(Duration::from_secs(12));
    assert_eq!(weights(&node), [10, 10, 10]);
}

#[test]
fn a_repair_is_no_ramp() {
    let mut node = started(slow("1h"), &ALL);
    let tables = node.kernel.tables();
    let (key, entry) = tables.virtual_servers.iter().next().expect("an entry");
    let real = *entry.real_servers.keys().next().expect("a real server");
    node.foreign(&Op::DelRealServer(*key, real));
    node.pass(Duration::from_secs(60));
    assert_eq!(node.drifts(), 1);
    assert_eq!(weights(&node), [10, 10, 10]);
}

#[test]
fn the_number_of_ramps_is_limited() {
    let address = |index: usize| {
        let [high, low] = u16::try_from(index).expect("few").to_be_bytes();
        [10, 1, high, low]
    };
    let endpoints: Vec<[u8; 4]> = (1..=MOST_RAMPS + 4).map(address).collect();
    let mut node = started(slow("1h"), &endpoints[..1]);
    set_endpoints(&mut node, &endpoints);
    while !node.reconciler.is_settled() {
        node.pass(Duration::from_millis(10));
    }
    assert_eq!(node.reconciler.ramps().len(), MOST_RAMPS);
    let weights = weights(&node);
    let ramping = weights.iter().filter(|weight| **weight == 1).count();
    assert_eq!((weights.len(), ramping), (MOST_RAMPS + 4, MOST_RAMPS));
    let skipped = node.count(|report| matches!(report, Report::SlowStartsSkipped(3)));
    assert_eq!(skipped, 1);
}
