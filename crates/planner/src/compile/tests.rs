use std::collections::BTreeSet;

use model::NodeState;
use model::cluster::Changed;
use model::{ClusterEvent, Object};

use crate::testing::{cluster, compile, compiler, endpoint, service, slice};

#[test]
fn a_change_touches_the_entries_of_its_service_alone() {
    let mut state = cluster(
        vec![service("a", &["10.96.0.1"]), service("b", &["10.96.0.2"])],
        vec![
            slice("a", "a", vec![endpoint("10.1.0.1")]),
            slice("b", "b", vec![endpoint("10.1.0.2")]),
        ],
    );
    let mut compiler = compiler();
    compiler.update_all(&state, &NodeState::default());

    let more = slice("b", "b", vec![endpoint("10.1.0.2"), endpoint("10.1.0.3")]);
    let changed = state.absorb(ClusterEvent::Upsert(Object::EndpointSlice(more)));
    let keys = compiler.update(&state, &changed);
    let touched: Vec<String> = keys
        .virtual_servers
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(touched, ["10.96.0.2:80/TCP"]);
    assert_eq!(keys.addresses, BTreeSet::new());
    assert_eq!(*compiler.desired(), compile(&state).0);
}

#[test]
fn the_zone_of_the_own_node_concerns_every_service() {
    let mut near = endpoint("10.1.0.1");
    near.zone_hints = Box::new(["zone-a".into()]);
    let mut far = endpoint("10.1.0.2");
    far.zone_hints = Box::new(["zone-b".into()]);
    let mut state = cluster(
        vec![service("a", &["10.96.0.1"])],
        vec![slice("a", "a", vec![near, far])],
    );
    let mut compiler = compiler();
    compiler.update_all(&state, &NodeState::default());

    let node = model::cluster::Node {
        name: "node1".into(),
        zone: Some("zone-a".into()),
        addresses: Vec::new(),
        pod_cidrs: Vec::new(),
        deleting: false,
        leaving: false,
    };
    let changed = state.absorb(ClusterEvent::Upsert(Object::Node(node)));
    let keys = compiler.update(&state, &changed);
    assert_eq!(keys.virtual_servers.len(), 1);
    let entry = compiler.desired().tables.virtual_servers.values().next();
    assert_eq!(entry.map(|entry| entry.real_servers.len()), Some(1));
}

#[test]
fn nothing_changed_touches_nothing() {
    let state = cluster(vec![service("a", &["10.96.0.1"])], Vec::new());
    let mut compiler = compiler();
    assert!(
        !compiler
            .update_all(&state, &NodeState::default())
            .is_empty()
    );
    assert!(
        compiler
            .update_all(&state, &NodeState::default())
            .is_empty()
    );
    assert!(compiler.update(&state, &Changed::default()).is_empty());
}
