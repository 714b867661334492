//! Results of health checks.

use std::collections::BTreeMap;

use model::names::Name;
use model::policy::{Annotation, CheckTarget, PolicyField};

use super::*;

/// Starts a node whose Service `web` checks its three endpoints.
fn checked() -> Node {
    let mut config = NodeConfig::new("node1");
    config.allowed_annotations = [PolicyField::HealthCheck].into();
    config.health_check_networks = vec!["10.1.0.0/16".parse().expect("a network")];
    let mut node = Node::new(config);
    let mut service = web();
    service.annotations = [Annotation::new("health-check", "type=tcp")].into();
    let slice = web_slice(&[[10, 1, 0, 1], [10, 1, 0, 2], [10, 1, 0, 3]]);
    node.list([Object::Service(service), Object::EndpointSlice(slice)]);
    node
}

/// Returns the targets that the node reported last, each with its number of Services.
fn wanted(node: &mut Node) -> BTreeMap<CheckTarget, usize> {
    let reports = node.reports.drain(..).filter_map(|report| match report {
        Report::ChecksWanted(targets) => Some(targets),
        _ => None,
    });
    let targets = reports.flatten();
    targets
        .map(|(target, services)| (target, services.len()))
        .collect()
}

fn weights(node: &Node) -> Vec<u32> {
    let tables = node.kernel.tables();
    let real_servers = tables.virtual_servers.values();
    let real_servers = real_servers.flat_map(|entry| entry.real_servers.values());
    real_servers.map(|real| real.weight).collect()
}

#[test]
fn a_failed_endpoint_gets_weight_0_until_it_recovers() {
    let mut node = checked();
    let targets = wanted(&mut node);
    assert_eq!(targets.len(), 3);
    assert!(targets.values().all(|services| *services == 1));
    assert_eq!(weights(&node), [1, 1, 1]);
    let first = targets.keys().next().expect("a target");
    for (error, expected) in [(Some("refused"), [0, 1, 1]), (None, [1, 1, 1])] {
        let error = error.map(Name::from);
        node.handle(Event::Checked([(first.clone(), error)].into()));
        node.pass(Duration::from_millis(20));
        assert_eq!(weights(&node), expected);
        assert!(node.reconciler.is_settled());
        assert_eq!(wanted(&mut node), BTreeMap::new());
    }
}

#[test]
fn a_deleted_service_wants_no_target() {
    let mut node = checked();
    let targets = wanted(&mut node);
    node.delete_service("web");
    node.pass(Duration::from_millis(20));
    let left = wanted(&mut node);
    assert!(left.keys().eq(targets.keys()));
    assert!(left.values().all(|services| *services == 0));
    // A late result is not an error, and changes nothing.
    let late = targets
        .into_keys()
        .map(|target| (target, Some("late".into())));
    node.handle(Event::Checked(late.collect()));
    assert!(node.reconciler.is_settled());
}
