//! Audits of tables that are not read at once.

use ipvs::{RealServer, Scheduler, VirtualServer};
use model::Op;

use super::*;
use crate::reconciler::audit::SLICE;

/// As many as take three slices.
const SERVICES: u16 = 600;

const READING: Duration = Duration::from_millis(100);

/// A node with so many Services of one endpoint each, synchronised, at which a reading takes time from now on.
fn large_node() -> Node {
    let mut node = Node::new(config());
    for kind in ObjectKind::ALL {
        node.cluster(ClusterEvent::ListStarted(kind));
    }
    for number in 0..SERVICES {
        let [high, low] = number.to_be_bytes();
        let name = format!("web-{number}");
        let service = Service {
            name: ObjectName::new("default", name.as_str()),
            cluster_ips: vec![Parsed::Valid([10, 96, high, low].into())],
            ..web()
        };
        node.cluster(ClusterEvent::Upsert(Object::Service(service)));
        let ClusterEvent::Upsert(Object::EndpointSlice(slice)) = slice(&[[10, 1, high, low]])
        else {
            panic!("a slice");
        };
        node.cluster(ClusterEvent::Upsert(Object::EndpointSlice(EndpointSlice {
            name: ObjectName::new("default", format!("{name}-1")),
            service: name.as_str().into(),
            ..slice
        })));
    }
    for kind in ObjectKind::ALL {
        node.cluster(ClusterEvent::ListDone(kind));
    }
    assert!(node.reconciler.is_settled());
    node.reports.clear();
    node.reading = READING;
    node
}

fn key(number: u16) -> VirtualServerKey {
    let [high, low] = number.to_be_bytes();
    VirtualServerKey::Address {
        address: [10, 96, high, low].into(),
        port: 80,
        protocol: Protocol::Tcp,
    }
}

fn real(node: &Node, key: VirtualServerKey) -> RealServer {
    let tables = node.kernel.tables();
    *tables.virtual_servers[&key]
        .real_servers
        .values()
        .next()
        .expect("one")
}

impl Node {
    /// Lets time pass until the reconciler wants to do something, and lets it. Answers how long it rested.
    fn rest(&mut self) -> Duration {
        let next = self.reconciler.poll_timeout().expect("it goes on");
        let rested = next.saturating_duration_since(self.now);
        self.pass(rested);
        rested
    }

    /// The same until a round of the audit ends. Answers how many readings there were.
    fn round(&mut self) -> usize {
        for readings in 1..10 {
            self.rest();
            if self.take_audited() {
                return readings;
            }
        }
        panic!("the round does not end");
    }

    fn take_audited(&mut self) -> bool {
        let before = self.reports.len();
        self.reports
            .retain(|report| !matches!(report, Report::Audited));
        self.reports.len() < before
    }

    fn drifts(&self) -> Vec<String> {
        let drift = |report: &Report| match report {
            Report::Drift(planned) => Some(planned.op.to_string()),
            _ => None,
        };
        self.reports.iter().filter_map(drift).collect()
    }

    fn others(&self, op: &Op) {
        self.kernel.foreign(op).expect("it is done");
    }

    fn check_is_repaired(&self, drifts: &[&str]) {
        assert_eq!(self.drifts(), drifts);
        let failed = |report: &Report| matches!(report, Report::OpFailed(..));
        assert!(!self.reports.iter().any(failed), "{:?}", self.reports);
        let desired = &self.reconciler.desired().tables;
        assert_eq!(
            self.kernel.tables().virtual_servers,
            desired.virtual_servers
        );
    }
}

#[test]
fn it_reads_for_less_than_a_hundredth_of_the_time() {
    let mut node = large_node();
    assert_eq!(node.rest(), config().sync_period);
    let list = node.kernel.counts().observations;
    for slice in 1..=3 {
        assert!(!node.take_audited());
        assert_eq!(node.rest(), READING * 124);
        assert_eq!(node.kernel.counts().observations, list + slice);
    }
    assert!(node.take_audited(), "600 are three slices of {SLICE}");
    // The list and three slices, each with its pause, take longer than the period.
    assert_eq!(node.rest(), READING * 124);
    assert_eq!(node.kernel.counts().ops, large_node().kernel.counts().ops);
}

#[test]
fn a_round_takes_a_period_at_least() {
    let mut node = large_node();
    node.reading = Duration::from_millis(1);
    node.rest();
    let began = node.now;
    assert_eq!(node.round(), 3);
    node.rest();
    // The list's own time is within the period.
    let period = config().sync_period + node.reading;
    assert_eq!(node.now - began + node.reading, period);
}

#[test]
fn a_small_table_is_read_at_once() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.reading = READING;
    for _ in 0..3 {
        assert_eq!(node.rest(), config().sync_period);
        assert!(node.take_audited());
    }
}

#[test]
fn what_others_do_to_real_servers_is_found_by_their_slice() {
    let mut node = large_node();
    node.rest();
    let last = key(SERVICES - 1);
    let changed = RealServer {
        weight: 7,
        ..real(&node, last)
    };
    node.others(&Op::SetRealServer(last, changed));
    node.rest();
    node.rest();
    assert_eq!(node.drifts(), [""; 0], "its slice is the third");
    node.rest();
    let address = changed.key.address;
    node.check_is_repaired(&[&format!("change real server {address}:8080 of {last}")]);
}

#[test]
fn what_others_do_to_virtual_servers_is_found_by_the_list() {
    let mut node = large_node();
    let tables = node.kernel.tables();
    let changed = VirtualServer {
        scheduler: Scheduler("wrr".into()),
        ..tables.virtual_servers[&key(3)].server.clone()
    };
    node.others(&Op::SetVirtualServer(changed));
    node.others(&Op::DelVirtualServer(key(500)));
    // At an address that is ours: one that nobody asked for.
    let strange = VirtualServerKey::Address {
        address: [10, 96, 0, 9].into(),
        port: 81,
        protocol: Protocol::Tcp,
    };
    let server = VirtualServer {
        key: strange,
        ..tables.virtual_servers[&key(9)].server.clone()
    };
    node.others(&Op::AddVirtualServer(server));
    node.others(&Op::AddRealServer(strange, real(&node, key(9))));
    node.rest();
    node.check_is_repaired(&[
        &format!("change virtual server {}", key(3)),
        &format!("add virtual server {}", key(500)),
        &format!("add real server 10.1.1.244:8080 to {}", key(500)),
        &format!("delete virtual server {strange}"),
    ]);
}

#[test]
fn changes_of_the_cluster_are_served_between_slices() {
    let mut node = large_node();
    node.rest();
    node.rest();
    node.cluster(ClusterEvent::Delete(
        ObjectKind::Service,
        ObjectName::new("default", "web-599"),
    ));
    assert!(node.rest() < Duration::from_millis(20));
    assert!(!node.kernel.tables().virtual_servers.contains_key(&key(599)));
    assert_eq!(node.round(), 2);
    node.check_is_repaired(&[]);
}

#[test]
fn a_list_that_cannot_be_read_is_read_again_soon() {
    let mut node = large_node();
    node.kernel.fail_observations(1);
    node.rest();
    assert!(node.rest() < Duration::from_secs(5));
    assert_eq!(node.round(), 3);
}
