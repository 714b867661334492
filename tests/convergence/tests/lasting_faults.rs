//! Laws of the loop during a lasting fault: it delays only entries that need the faulty part, no
//! effect is repeated at one instant (checked by [`Node`] at each effect), and every entry is
//! correct soon after its end.

use std::time::Duration;

use convergence::cluster::{config, lists, object, objects};
use convergence::faults::lasting;
use convergence::node::Node;
use ipvs::{Connections, RealServerKey, VirtualServerKey};
use kernel::MemoryKernel;
use kernel::contract::builders::tcp;
use kernel::memory::FaultRule;
use model::{ClusterEvent, NodeConfig, Object, ObjectName, Op};
use proptest::collection::vec;
use proptest::prelude::*;

/// A Service in addition to the random ones, and the last byte of its address.
#[derive(Clone, Copy)]
struct Probe(&'static str, u8);

/// Service whose endpoints change during the fault.
const CHANGING: Probe = Probe("changing", 1);

/// Service with an endpoint that has left and has connections.
const DRAINING: Probe = Probe("draining", 2);

impl Probe {
    fn key(self) -> VirtualServerKey {
        tcp([10, 97, 0, self.1], 80)
    }

    fn real(self, host: u8) -> RealServerKey {
        RealServerKey {
            address: [10, 2, self.1, host].into(),
            port: 8080,
        }
    }

    fn service(self) -> Object {
        let name = ObjectName::new("probe", self.0);
        Object::Service(fixtures::service(name, [10, 97, 0, self.1]))
    }

    fn slice(self, hosts: &[u8]) -> Object {
        let name = ObjectName::new("probe", self.0);
        let endpoints = fixtures::endpoints(hosts.iter().map(|host| [10, 2, self.1, *host]));
        Object::EndpointSlice(fixtures::slice(name, self.0, endpoints))
    }
}

/// Returns a node with a draining real server, whose drain ends after a minute.
fn start(mut first: Vec<Object>) -> Result<Node, TestCaseError> {
    let config = NodeConfig {
        drain_timeout: Duration::from_secs(60),
        ..config()
    };
    let mut node = Node::new(config, MemoryKernel::new());
    for probe in [CHANGING, DRAINING] {
        first.extend([probe.service(), probe.slice(&[1, 2])]);
    }
    node.feed(lists(first))?;
    node.pass(Duration::from_secs(1))?;
    let busy = Connections {
        active: 3,
        ..Connections::default()
    };
    (node.kernel).set_connections(DRAINING.key(), DRAINING.real(2), busy);
    node.feed(vec![ClusterEvent::Upsert(DRAINING.slice(&[1]))])?;
    node.pass(Duration::from_secs(3))?;
    prop_assert_eq!(node.reconciler.drains().len(), 1);
    Ok(node)
}

/// Returns true if an endpoint of an existing Service can be added in spite of the fault.
fn admits_endpoint(node: &Node, rule: &FaultRule, host: u8) -> bool {
    let tables = node.kernel.tables();
    let real = tables.virtual_servers[&CHANGING.key()].real_servers[&CHANGING.real(1)];
    let key = CHANGING.real(host);
    !rule.hits(&Op::AddRealServer(
        CHANGING.key(),
        ipvs::RealServer { key, ..real },
    ))
}

fn has_endpoint(node: &Node, host: u8) -> bool {
    let found = (node.kernel).real_server(CHANGING.key(), CHANGING.real(host));
    found.is_some_and(|(real, _)| real.weight == 1)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_lasting_fault_holds_up_nothing_else(
        first in objects(),
        changes in vec(object(), 1..5),
        rule in lasting(),
        seconds in 1_u64..400,
    ) {
        let mut node = start(first)?;
        let held = node.kernel.hold(rule.clone());
        for (host, change) in (3..).zip(changes) {
            node.feed(vec![ClusterEvent::Upsert(change)])?;
            node.pass(Duration::from_secs(seconds))?;
            node.feed(vec![ClusterEvent::Upsert(CHANGING.slice(&[1, host]))])?;
            node.pass(Duration::from_secs(1))?;
            prop_assert!(
                has_endpoint(&node, host) || !admits_endpoint(&node, &rule, host),
                "endpoint {} is missing a second after its addition", host
            );
        }
        node.kernel.release(held);
        (node.kernel).set_connections(DRAINING.key(), DRAINING.real(2), Connections::default());
        node.pass(Duration::from_secs(100))?;
        prop_assert!(node.reconciler.is_settled(), "the loop has work left: {:#?}", node.reports);
        prop_assert_eq!(&node.tables(), &node.reconciler.desired().tables);
        let writes = node.kernel.counts().ops;
        node.pass(Duration::from_secs(120))?;
        prop_assert_eq!(node.kernel.counts().ops, writes);
    }

    /// A short fault causes no long wait after its end.
    #[test]
    fn a_short_fault_is_over_soon(objects in objects(), rule in lasting(), millis in 1_u64..2_000) {
        let mut node = Node::new(config(), MemoryKernel::new());
        let held = node.kernel.hold(rule);
        node.feed(lists(objects))?;
        node.pass(Duration::from_millis(millis))?;
        node.kernel.release(held);
        node.pass(Duration::from_millis(3 * millis + 2_000))?;
        prop_assert!(node.reconciler.is_settled(), "the loop has work left: {:#?}", node.reports);
        prop_assert_eq!(&node.tables(), &node.reconciler.desired().tables);
    }
}
