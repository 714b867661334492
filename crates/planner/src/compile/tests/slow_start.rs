//! Slow start: arrivals, and the weights of ramping real servers.

use std::collections::BTreeMap;

use ipvs::{Protocol, RealServerKey, VirtualServerKey};
use model::cluster::{Changed, Service};
use model::policy::{Annotation, RampStep};
use model::{ClusterEvent, NodeState, Object, ObjectKind};

use crate::testing::{Scene, cluster, compiler, deleted, endpoint, service, slice};
use crate::{EndpointStates, compile_with_claims};

const OLD: [&str; 2] = ["10.1.0.1", "10.1.0.2"];
const ALL: [&str; 3] = ["10.1.0.1", "10.1.0.2", "10.1.0.3"];

fn web(time: &str) -> Service {
    Service {
        annotations: [
            Annotation::new("scheduler", "wrr"),
            Annotation::new("slow-start", time),
        ]
        .into(),
        ..service("web", &["10.96.0.1"])
    }
}

fn endpoints(addresses: &[&str]) -> ClusterEvent {
    let endpoints = addresses.iter().map(|address| endpoint(address)).collect();
    ClusterEvent::Upsert(Object::EndpointSlice(slice("web", "web-1", endpoints)))
}

fn key() -> VirtualServerKey {
    VirtualServerKey::Address {
        address: [10, 96, 0, 1].into(),
        port: 80,
        protocol: Protocol::Tcp,
    }
}

fn real(last: u8) -> RealServerKey {
    RealServerKey {
        address: [10, 1, 0, last].into(),
        port: 8080,
    }
}

fn scene() -> Scene {
    let mut scene = Scene::new(
        cluster(vec![web("30s")], Vec::new()),
        compiler(),
        &NodeState::default(),
    );
    scene.apply(endpoints(&OLD));
    scene.compiler.take_arrivals();
    scene
}

/// Returns the arrivals at the Service's virtual server; `None` if it is not named.
fn arrivals(scene: &mut Scene) -> Option<Vec<RealServerKey>> {
    let mut arrivals = scene.compiler.take_arrivals();
    let found = arrivals.remove(&key());
    assert!(arrivals.is_empty());
    found.map(|found| found.into_iter().collect())
}

fn set(scene: &mut Scene, last: u8, step: u8) -> bool {
    let step = RampStep::new(step).expect("a step");
    scene.compiler.set_ramps(key(), [(real(last), step)].into())
}

fn weights(scene: &Scene) -> Vec<u32> {
    let servers = &scene.compiler.desired().tables.virtual_servers;
    let reals = servers[&key()].real_servers.values();
    reals.map(|real| real.weight).collect()
}

#[test]
fn real_servers_that_begin_to_get_connections_arrive() {
    let mut scene = scene();
    scene.apply(endpoints(&OLD));
    assert_eq!(arrivals(&mut scene), None);
    scene.apply(endpoints(&ALL));
    assert_eq!(arrivals(&mut scene), Some(vec![real(3)]));
    scene.apply(endpoints(&OLD));
    assert_eq!(arrivals(&mut scene), None);
    // Without slow start nothing arrives.
    let service = Object::Service(web("0"));
    scene.apply(ClusterEvent::Upsert(service));
    scene.apply(endpoints(&ALL));
    assert_eq!(arrivals(&mut scene), None);
}

#[test]
fn a_step_lowers_one_weight_until_its_endpoint_leaves() {
    let mut scene = scene();
    scene.apply(endpoints(&ALL));
    assert!(set(&mut scene, 3, 4));
    assert!(!set(&mut scene, 3, 4), "nothing changed");
    assert_eq!(weights(&scene), [10, 10, 4]);
    // Another compilation keeps it, and a full one agrees.
    let services = scene.state.service_names().cloned().collect();
    let changed = Changed {
        services,
        ..Changed::default()
    };
    assert!(scene.compiler.update(&scene.state, &changed).is_empty());
    assert_eq!(weights(&scene), [10, 10, 4]);
    let states = EndpointStates {
        ramps: scene.compiler.ramps().clone(),
        ..EndpointStates::default()
    };
    let config = crate::testing::config();
    let full = compile_with_claims(&scene.state, &NodeState::default(), &config, states).0;
    assert_eq!(full.tables, scene.compiler.desired().tables);
    scene.compiler.take_arrivals();

    scene.apply(endpoints(&OLD));
    assert_eq!(arrivals(&mut scene), Some(Vec::new()));
    assert!(scene.compiler.ramps().is_empty());
    assert!(!set(&mut scene, 3, 4), "it gets no connections");
    scene.apply(endpoints(&ALL));
    assert_eq!(weights(&scene), [10, 10, 10]);
}

/// The owner of the ramps is told about everything that may end one.
#[test]
fn a_changed_time_and_a_deleted_service_are_named() {
    let mut scene = scene();
    set(&mut scene, 2, 1);
    scene.apply(ClusterEvent::Upsert(Object::Service(web("60s"))));
    assert_eq!(arrivals(&mut scene), Some(Vec::new()));
    assert_eq!(weights(&scene), [10, 1]);
    scene.apply(deleted(ObjectKind::Service, "web"));
    assert_eq!(arrivals(&mut scene), Some(Vec::new()));
    assert!(scene.compiler.ramps().is_empty());
    assert!(!scene.compiler.set_ramps(key(), BTreeMap::new()));
}
