//! Laws of slow start, under any sequence of changes.

use std::collections::BTreeMap;
use std::time::Duration;

use convergence::cluster::{cluster, lists};
use convergence::node::Node;
use ipvs::{RealServerKey, VirtualServerKey};
use kernel::memory::{FaultRule, Part};
use kernel::{MemoryKernel, OpErrorKind};
use model::names::Name;
use model::policy::{Annotation, PolicyField, Ramps};
use model::{ClusterEvent, NodeConfig, Object, ObjectName};
use planner::{EndpointStates, compile_with_claims};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use reconciler::Event;

/// A change of the node or its cluster.
#[derive(Clone, Debug)]
enum Happening {
    /// The endpoints of the Service: those of five whose bit is set.
    Endpoints(u8),
    /// Results of the health checks: the targets whose bit is set fail.
    Checks(u8),
    /// Another time of the slow start.
    Time(&'static str),
    /// Time passes.
    Pass(u64),
    /// The daemon starts anew.
    Restart,
    /// The kernel refuses changes of real servers for a while.
    Refuse(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (0_u8..32).prop_map(Happening::Endpoints),
        3 => (0_u8..32).prop_map(Happening::Checks),
        1 => select(&["0", "2s", "10s", "45s"][..]).prop_map(Happening::Time),
        6 => (1_u64..15_000).prop_map(Happening::Pass),
        1 => Just(Happening::Restart),
        1 => (1_u64..20_000).prop_map(Happening::Refuse),
    ]
}

fn config() -> NodeConfig {
    NodeConfig {
        allowed_annotations: PolicyField::ALL.iter().copied().collect(),
        health_check_networks: vec!["10.1.0.0/16".parse().expect("a network")],
        ..NodeConfig::new("node1")
    }
}

/// Returns the Service. One of its endpoints has no weight, another one more than the others.
fn service(time: &str) -> Object {
    let name = ObjectName::new("default", "web");
    let mut service = fixtures::service(name, [10, 96, 0, 1]);
    let annotations = [
        ("scheduler", "wlc"),
        ("slow-start", time),
        ("weights", "10.1.0.4=0, 10.1.0.5=3, default=1"),
        ("health-check", "type=tcp"),
    ];
    service.annotations = (annotations.iter())
        .map(|(name, value)| Annotation::new(name, value))
        .collect();
    Object::Service(service)
}

fn endpoints(bits: u8) -> Object {
    let chosen = (0..5_u8).filter(|bit| bits >> bit & 1 == 1);
    let addresses = chosen.map(|bit| [10, 1, 0, bit + 1]);
    let name = ObjectName::new("default", "web-1");
    Object::EndpointSlice(fixtures::slice(name, "web", fixtures::endpoints(addresses)))
}

/// Returns the ramps of the loop.
fn ramps(node: &Node) -> Ramps {
    let mut ramps = Ramps::new();
    for ((server, real), ramp) in node.reconciler.ramps() {
        ramps.entry(*server).or_default().insert(*real, ramp.step);
    }
    ramps
}

type Weights = BTreeMap<(VirtualServerKey, RealServerKey), u32>;

/// Returns the weights in the kernel that are not 0.
fn weights(node: &Node) -> Weights {
    let tables = node.kernel.tables();
    let servers = tables.virtual_servers.iter();
    let reals = servers.flat_map(|(key, entry)| {
        let reals = entry.real_servers.values();
        reals.map(move |real| ((*key, real.key), real.weight))
    });
    reals.filter(|(_, weight)| *weight > 0).collect()
}

/// Returns the desired tables as a full compilation computes them, with or without the ramps.
fn desired(node: &Node, objects: &[Object], ramps: Ramps) -> model::NodeTables {
    let states = EndpointStates {
        failed: node.reconciler.failed_targets().clone(),
        ramps,
    };
    let state = node.kernel.snapshot().node;
    let cluster = cluster(objects.to_vec());
    compile_with_claims(&cluster, &state, &config(), states)
        .0
        .tables
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The tables follow from the objects, the failed checks and the ramps alone. A weight only
    /// falls if its endpoint leaves, fails, or slow start ends. Some endpoint always has its full
    /// weight. Every ramp ends, and leaves the tables as if it had never been.
    #[test]
    fn ramps_obey_their_laws(
        first in 0_u8..32,
        happenings in vec(happening(), 0..20),
    ) {
        let mut objects = [service("10s"), endpoints(first)];
        let mut node = Node::new(config(), MemoryKernel::new());
        node.feed(lists(objects.to_vec()))?;
        node.pass(Duration::from_millis(20))?;
        prop_assert!(node.reconciler.ramps().is_empty());
        for happening in happenings {
            let before = weights(&node);
            let mut rescaled = false;
            match happening {
                Happening::Endpoints(bits) => {
                    objects[1] = endpoints(bits);
                    node.feed(vec![ClusterEvent::Upsert(objects[1].clone())])?;
                }
                Happening::Checks(bits) => {
                    let targets = node.reconciler.desired().checks.keys().cloned();
                    let results = targets.enumerate().map(|(bit, target)| {
                        (target, (bits >> bit & 1 == 1).then(|| Name::from("refused")))
                    });
                    let results = results.collect();
                    node.handle(Event::Checked(results))?;
                }
                Happening::Time(time) => {
                    rescaled = true;
                    objects[0] = service(time);
                    node.feed(vec![ClusterEvent::Upsert(objects[0].clone())])?;
                }
                Happening::Pass(milliseconds) => node.pass(Duration::from_millis(milliseconds))?,
                Happening::Restart => {
                    node.restart(config(), 1);
                    node.feed(lists(objects.to_vec()))?;
                }
                Happening::Refuse(milliseconds) => {
                    let rule = FaultRule::refuse(Part::RealServers, OpErrorKind::Invalid);
                    let held = node.kernel.hold(rule);
                    objects[1] = endpoints(31);
                    node.feed(vec![ClusterEvent::Upsert(objects[1].clone())])?;
                    node.pass(Duration::from_millis(milliseconds))?;
                    node.kernel.release(held);
                    node.pass(Duration::from_secs(60))?;
                }
            }
            node.pass(Duration::from_millis(20))?;
            prop_assert!(node.reconciler.is_settled());
            let full = desired(&node, &objects, ramps(&node));
            prop_assert_eq!(&node.reconciler.desired().tables, &full);
            let plain = desired(&node, &objects, Ramps::new());
            let after = weights(&node);
            for (key, weight) in &before {
                let now = after.get(key).copied().unwrap_or(0);
                prop_assert!(now == 0 || now >= *weight || rescaled, "{key:?} fell to {now}");
            }
            for (key, entry) in &plain.virtual_servers {
                let mut reals = entry.real_servers.values().filter(|real| real.weight > 0);
                let is_full = |(real, weight): (RealServerKey, u32)| {
                    after.get(&(*key, real)) == Some(&weight)
                };
                let none = reals.clone().next().is_none();
                prop_assert!(none || reals.any(|real| is_full((real.key, real.weight))));
            }
        }
        node.pass(Duration::from_secs(120))?;
        prop_assert!(node.reconciler.ramps().is_empty());
        let plain = desired(&node, &objects, Ramps::new());
        prop_assert_eq!(&node.tables().virtual_servers, &plain.virtual_servers);
        let writes = node.kernel.counts().ops;
        node.pass(Duration::from_secs(120))?;
        prop_assert_eq!(node.kernel.counts().ops, writes);
    }
}
