//! Health while a reconciler works on a kernel in memory, with a manual clock.

use std::time::{Duration, Instant};

use ipvs::AddressFamily::{Ipv4, Ipv6};
use kernel::memory::Fault;
use kernel::{Kernel as _, MemoryKernel, OpErrorKind};
use model::{ClusterEvent, NodeConfig, Object, ObjectKind, ObjectName};
use reconciler::{Effect, Event, Reconciler};
use sources::Progress;

use crate::health::Health;

/// Number of Services: more than one reading of an audit covers.
const SERVICES: u16 = 1_000;

struct Node {
    kernel: MemoryKernel,
    reconciler: Reconciler,
    health: Health,
    progress: Progress,
    now: Instant,
    /// Duration of a reading.
    reading: Duration,
}

impl Node {
    /// Returns a node that has synced, in a cluster without changes.
    fn settled() -> Self {
        let config = NodeConfig::new("node1");
        let (now, progress) = (Instant::now(), Progress::default());
        let mut node = Self {
            kernel: MemoryKernel::new(),
            health: Health::new([Ipv4, Ipv6], config.sync_period, progress.clone(), now),
            reconciler: Reconciler::new(config, 1, now),
            progress,
            now,
            reading: Duration::from_millis(25),
        };
        let services = (0..SERVICES).map(service);
        for event in fixtures::lists(services.chain([first_slice(&[1, 2])])) {
            node.cluster(event);
        }
        assert_eq!(node.sick_seconds(60), 0);
        assert!(node.reconciler.has_synced());
        node
    }

    /// Sends `event` of a source to the loop.
    fn cluster(&mut self, event: ClusterEvent) {
        self.progress.backlog.stamp(&event, self.now);
        self.handle(Event::Cluster(event));
    }

    fn handle(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            self.health.alive(self.now);
            for effect in self.reconciler.handle(event, self.now) {
                match effect {
                    Effect::Observe(scope) => {
                        let answer = self.kernel.observe(&scope);
                        self.now += self.reading;
                        next = Some(Event::Observed(scope, answer));
                    }
                    Effect::Apply(stage) => {
                        let outcomes = self.kernel.apply(&stage);
                        next = Some(Event::Applied(stage, outcomes));
                    }
                    Effect::Report(_) => {}
                }
            }
        }
        let applied = self.reconciler.applied();
        self.health.applied(applied, self.now);
    }

    /// Advances the clock by `seconds`. Returns the number of seconds in which the proxy was not
    /// healthy.
    fn sick_seconds(&mut self, seconds: u32) -> u32 {
        let mut sick = 0;
        for _ in 0..seconds {
            for _ in 0..10 {
                self.now += Duration::from_millis(100);
                self.handle(Event::Timeout);
            }
            sick += u32::from(!self.health.is_healthy(self.now));
        }
        sick
    }

    fn endpoints(&self) -> usize {
        let tables = self.kernel.tables();
        let servers = tables.virtual_servers.values();
        servers.map(|server| server.real_servers.len()).sum()
    }
}

fn service(number: u16) -> Object {
    let [high, low] = number.to_be_bytes();
    let name = ObjectName::new("default", format!("s{number}"));
    Object::Service(fixtures::service(name, [10, 96, high, low]))
}

/// Returns the slice of the first Service with the endpoints 10.1.0.`last`.
fn first_slice(last: &[u8]) -> Object {
    let name = ObjectName::new("default", "s0-1");
    let endpoints = fixtures::endpoints(last.iter().map(|last| [10, 1, 0, *last]));
    Object::EndpointSlice(fixtures::slice(name, "s0", endpoints))
}

fn slice(last: &[u8]) -> ClusterEvent {
    ClusterEvent::Upsert(first_slice(last))
}

/// A restarted API server causes a relist in which no object differs.
#[test]
fn a_relist_of_a_quiet_cluster_stays_healthy() {
    let mut node = Node::settled();
    node.cluster(ClusterEvent::ListStarted(ObjectKind::Node));
    node.cluster(ClusterEvent::ListDone(ObjectKind::Node));
    assert_eq!(node.sick_seconds(600), 0);
    assert!(node.progress.backlog.is_empty());
}

#[test]
fn a_change_that_succeeds_by_a_retry_stays_healthy() {
    let mut node = Node::settled();
    // The change or the audit meets the failure; either way the next attempt succeeds.
    node.cluster(slice(&[1]));
    node.kernel.fail_observations(1);
    assert_eq!(node.sick_seconds(600), 0);
    assert!(node.progress.backlog.is_empty());
    assert_eq!(node.endpoints(), 1);
}

/// A change that the kernel always refuses does not affect liveness, since a restart of the daemon
/// does not help.
#[test]
fn a_change_that_cannot_succeed_stays_healthy() {
    let mut node = Node::settled();
    for op in 0..10_000 {
        node.kernel.inject(op, Fault::Refuse(OpErrorKind::Invalid));
    }
    node.cluster(slice(&[1, 2, 3]));
    assert_eq!(node.sick_seconds(600), 0);
    assert!(node.progress.backlog.is_empty());
    assert_eq!(node.endpoints(), 2, "it was refused");
}

/// A loop that hangs in a call handles no event and sends no heartbeat.
#[test]
fn a_loop_that_hangs_is_not_healthy() {
    let mut node = Node::settled();
    let hung = node.now;
    (node.progress.backlog).stamp(&slice(&[1]), hung + Duration::from_secs(1));
    let late = Duration::from_secs(61);
    assert!(node.health.is_healthy(hung + late - Duration::from_secs(2)));
    assert!(!node.health.is_healthy(hung + late + Duration::from_secs(1)));
    // A heartbeat does not suffice while the change is pending.
    node.health.alive(hung + late);
    assert!(!node.health.is_healthy(hung + late + Duration::from_secs(1)));
}
