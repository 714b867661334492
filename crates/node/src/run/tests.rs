//! Tests of the loop on a separate thread, with a kernel in memory.

mod checks;

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ipvs::{Connections, Protocol, RealServerKey, VirtualServerKey};
use kernel::{MemoryKernel, ObserveError};
use model::cluster::ClusterEvent;
use model::finding::Code;
use model::snapshot::{Scope, Snapshot};
use model::{Finding, NodeConfig, Object, ObjectName};
use sources::{ProblemKind, SourceProblem};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::Sender;

use super::*;
use crate::change_log::{Change, ChangeLog, ChangeRecorder};
use crate::changes::Arrival;
use crate::mailbox::{NodeEvents, mailbox};

/// Default limit of every wait.
const LIMIT: Duration = Duration::from_secs(30);

/// A step of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    /// Carried out an effect.
    Effect,
    /// Gave a sign of life.
    Alive,
    /// Handled an event of a source.
    Queued,
}

/// The steps of the loop, in order.
#[derive(Clone, Debug, Default)]
struct Log {
    steps: Arc<Mutex<Vec<(Did, Instant)>>>,
    /// Findings, each with 1 for raised or -1 for cleared.
    findings: Arc<Mutex<Vec<(i32, Code, String)>>>,
}

impl Log {
    fn add(&self, did: Did) {
        self.steps
            .lock()
            .expect("a log")
            .push((did, Instant::now()));
    }

    fn all(&self) -> Vec<(Did, Instant)> {
        self.steps.lock().expect("a log").clone()
    }

    fn find(&self, change: i32, finding: &Finding) {
        let found = (change, finding.code, finding.field.clone());
        self.findings.lock().expect("a log").push(found);
    }

    fn findings(&self) -> Vec<(i32, Code, String)> {
        self.findings.lock().expect("a log").clone()
    }

    fn count(&self, wanted: Did) -> usize {
        self.all().iter().filter(|(did, _)| *did == wanted).count()
    }

    /// Checks that the loop gave a sign of life between each two effects.
    fn check_alive_between_effects(&self) {
        let mut alive = true;
        for (did, _) in self.all() {
            match did {
                Did::Effect => assert!(std::mem::take(&mut alive), "two effects in a row"),
                Did::Alive => alive = true,
                Did::Queued => {}
            }
        }
    }
}

impl Observer for Log {
    fn reported(&mut self, report: &Report, _now: Moment) {
        match report {
            Report::FindingRaised(finding) => self.find(1, finding),
            Report::FindingCleared(finding) => self.find(-1, finding),
            _ => {}
        }
    }

    fn queued(&mut self, _arrival: &Arrival, _changed: bool, _now: Moment) {
        self.add(Did::Queued);
    }

    fn alive(&mut self, _now: Instant) {
        self.add(Did::Alive);
    }
}

/// A kernel that takes `pause` for each effect.
struct SlowKernel {
    kernel: MemoryKernel,
    pause: Duration,
    log: Log,
}

impl Kernel for SlowKernel {
    fn observe(&mut self, scope: &Scope) -> Result<Snapshot, ObserveError> {
        self.log.add(Did::Effect);
        thread::sleep(self.pause);
        self.kernel.observe(scope)
    }

    fn apply(&mut self, stage: &Stage) -> Vec<OpOutcome> {
        self.log.add(Did::Effect);
        thread::sleep(self.pause);
        self.kernel.apply(stage)
    }
}

/// A running loop.
struct Running {
    kernel: MemoryKernel,
    log: Log,
    changes: ChangeLog,
    to_loop: Sender<SourceEvent>,
    to_node: NodeEvents,
    stop: watch::Sender<bool>,
    ended: Receiver<Ended>,
    _runtime: Runtime,
}

impl Running {
    /// Starts a loop whose kernel takes `pause` for each effect.
    fn start(pause: Duration) -> Self {
        Self::with(NodeConfig::new("node1"), pause, Box::new(Log::default()))
    }

    /// Starts a loop with this configuration, whose kernel takes `pause` for each effect, with an
    /// additional observer.
    fn with(config: NodeConfig, pause: Duration, other: Box<dyn Observer + Send>) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let (to_loop, sources) = mpsc::channel(1024);
        let (stop, stopped) = watch::channel(false);
        let (to_ended, ended) = channel();
        let (to_node, node) = mailbox();
        let inputs = Inputs {
            sources,
            node,
            stop: stopped,
        };
        let (kernel, log) = (MemoryKernel::new(), Log::default());
        let mut slow = SlowKernel {
            kernel: kernel.clone(),
            pause,
            log: log.clone(),
        };
        let changes = ChangeLog::default();
        let (seen, recorded) = (log.clone(), changes.clone());
        let handle = runtime.handle().clone();
        thread::spawn(move || {
            let reconciler = Reconciler::new(config, 1, Instant::now());
            let recorder = ChangeRecorder::new(recorded);
            let mut observer: Vec<Box<dyn Observer>> =
                vec![Box::new(seen), Box::new(recorder), other];
            let observer = &mut observer;
            let ended = run(
                &mut slow,
                reconciler,
                inputs,
                observer,
                &handle,
                Until::Stopped,
            );
            // The test may have failed and dropped the receiver.
            let _ = to_ended.send(ended);
        });
        Self {
            kernel,
            log,
            changes,
            to_loop,
            to_node,
            stop,
            ended,
            _runtime: runtime,
        }
    }

    fn send(&self, event: ClusterEvent) {
        let event = SourceEvent::Cluster(event, Instant::now());
        self.to_loop.blocking_send(event).expect("a loop");
    }

    /// Sends the first lists: Service `web` with `endpoints`.
    fn send_lists(&self, endpoints: &[u8]) {
        for event in fixtures::lists([web(), web_slice(endpoints)]) {
            self.send(event);
        }
    }

    /// Returns the weight of an endpoint's real server, or `None` if the kernel has no such real
    /// server.
    fn weight(&self, endpoint: u8) -> Option<u32> {
        let tables = self.kernel.tables();
        let server = tables.virtual_servers.get(&WEB)?;
        let real = server.real_servers.get(&real_server(endpoint))?;
        Some(real.weight)
    }

    fn until(&self, what: &str, limit: Duration, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + limit;
        while !done(self) {
            assert!(Instant::now() < deadline, "not in time: {what}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Stops the loop and checks that it ends within a second.
    fn stop(&self) {
        self.stop.send_replace(true);
        let ended = self.ended.recv_timeout(Duration::from_secs(1));
        assert_eq!(ended, Ok(Ended::Stopped));
    }
}

const WEB: VirtualServerKey = VirtualServerKey::Address {
    address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 96, 0, 1)),
    port: 80,
    protocol: Protocol::Tcp,
};

fn real_server(endpoint: u8) -> RealServerKey {
    RealServerKey {
        address: [10, 1, 0, endpoint].into(),
        port: 8080,
    }
}

fn web() -> Object {
    Object::Service(fixtures::service(
        ObjectName::new("default", "web"),
        [10, 96, 0, 1],
    ))
}

fn slice(endpoints: &[u8]) -> ClusterEvent {
    ClusterEvent::Upsert(web_slice(endpoints))
}

fn web_slice(endpoints: &[u8]) -> Object {
    let name = ObjectName::new("default", "web-1");
    let endpoints = fixtures::endpoints(endpoints.iter().map(|last| [10, 1, 0, *last]));
    Object::EndpointSlice(fixtures::slice(name, "web", endpoints))
}

#[test]
fn a_failing_drain_reading_delays_neither_changes_nor_the_stop() {
    let node = Running::start(Duration::ZERO);
    node.send_lists(&[1, 2]);
    node.until("served", LIMIT, |node| node.weight(2) == Some(1));
    let connections = Connections {
        active: 3,
        ..Connections::default()
    };
    node.kernel
        .set_connections(WEB, real_server(2), connections);
    node.send(slice(&[1]));
    node.until("drains", LIMIT, |node| node.weight(2) == Some(0));
    let before = node.kernel.counts().observations;
    node.kernel.fail_observations(u32::MAX);
    let failed = || node.kernel.counts().observations - before;
    node.until("readings fail", LIMIT, |_| failed() >= 3);
    let since = Instant::now();

    node.send(slice(&[1, 3]));
    node.until("a new endpoint", Duration::from_secs(1), |node| {
        node.weight(3) == Some(1)
    });
    thread::sleep(Duration::from_secs(1));
    // Waits double from 100 ms: each of two failing tasks is tried at most 5 times in 1.5 s, and
    // less often later.
    let allowed = 20 + 20 * since.elapsed().as_secs();
    assert!(failed() < allowed, "{} readings", failed());
    assert_eq!(
        node.weight(2),
        Some(0),
        "unknown connections keep the drain"
    );
    node.stop();
}

#[test]
fn events_are_handled_between_the_effects_of_one_sync() {
    let node = Running::start(Duration::from_millis(50));
    node.send_lists(&[1]);
    node.until("begun", LIMIT, |node| node.log.count(Did::Effect) > 0);
    let lists = node.log.count(Did::Queued);
    node.send(slice(&[1, 2]));
    let effects = node.log.count(Did::Effect);
    node.until("both served", LIMIT, |node| {
        node.weight(1) == Some(1) && node.weight(2) == Some(1)
    });
    node.log.check_alive_between_effects();
    let log = node.log.all();
    let mut queued = (log.iter().enumerate()).filter(|(_, (did, _))| *did == Did::Queued);
    let (handled, _) = queued.nth(lists).expect("the change was handled");
    let before = log[..handled].iter().filter(|(did, _)| *did == Did::Effect);
    // It may have arrived just before the next effect began.
    assert!(before.count() <= effects + 1);
    // The first sync reads each column on its own, so that there are many effects.
    assert!(node.log.count(Did::Effect) > 6);
    node.stop();
}

#[test]
fn constant_work_starves_neither_changes_nor_the_stop() {
    let node = Running::start(Duration::from_millis(50));
    node.send_lists(&[1]);
    node.until("served", LIMIT, |node| node.weight(1) == Some(1));
    // Changes arrive faster than effects are carried out: the loop is never idle.
    let feed = node.to_loop.clone();
    let (more, ends) = channel::<()>();
    let feeder = thread::spawn(move || {
        let mut number = 0_u8;
        while ends.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            number = number % 200 + 1;
            let event = SourceEvent::Cluster(slice(&[1, number]), Instant::now());
            if feed.blocking_send(event).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    for _ in 0..3 {
        let (queued, tables) = (node.log.count(Did::Queued), node.kernel.tables());
        node.until("handled", Duration::from_secs(1), |node| {
            node.log.count(Did::Queued) > queued
        });
        node.until("applied", Duration::from_secs(2), |node| {
            node.kernel.tables() != tables
        });
    }
    node.log.check_alive_between_effects();
    node.stop();
    drop(more);
    feeder.join().expect("a feeder");
}

/// Tests a loop without a deadline, since its lists are incomplete, and a loop with a distant next
/// task.
#[test]
fn an_idle_loop_gives_signs_of_life() {
    let empty = Running::start(Duration::ZERO);
    let synced = Running::start(Duration::ZERO);
    synced.send_lists(&[]);
    thread::sleep(Duration::from_millis(500));
    let signs = [&empty, &synced].map(|node| node.log.count(Did::Alive));
    let slack = Duration::from_millis(1500);
    for (node, before) in [&empty, &synced].into_iter().zip(signs) {
        node.until("a sign of life", HEARTBEAT + slack, |node| {
            node.log.count(Did::Alive) > before
        });
        node.stop();
    }
    assert_eq!(empty.log.count(Did::Effect), 0);
}

/// The finding lasts until the source recovers. Other problems of a source cause no finding.
#[test]
fn a_list_that_waits_for_confirmation_is_a_finding() {
    let node = Running::start(Duration::ZERO);
    node.send_lists(&[1]);
    let trouble = |kind| {
        SourceEvent::Trouble(SourceProblem {
            subject: "services".into(),
            kind,
            message: "the list lacks 9 of 9 known objects".to_owned(),
            advice: None,
        })
    };
    let send = |event| node.to_loop.blocking_send(event).expect("a loop");
    send(trouble(ProblemKind::Unreachable));
    send(trouble(ProblemKind::Shrunk));
    send(trouble(ProblemKind::Shrunk));
    let of_lists = |node: &Running| -> Vec<_> {
        let findings = node.log.findings();
        findings
            .into_iter()
            .filter(|(_, code, _)| *code == Code::ShrunkList)
            .collect()
    };
    node.until("a finding", LIMIT, |node| !of_lists(node).is_empty());
    send(SourceEvent::Recovered {
        subject: "services".into(),
    });
    node.until("its end", LIMIT, |node| of_lists(node).len() > 1);
    let found = |change| (change, Code::ShrunkList, "services".to_owned());
    assert_eq!(of_lists(&node), [found(1), found(-1)]);
    node.stop();
}

#[test]
fn the_change_log_has_the_latency_of_changes_by_objects() {
    let node = Running::start(Duration::ZERO);
    node.send_lists(&[1]);
    node.until("served", LIMIT, |node| node.weight(1) == Some(1));
    let arrived = Instant::now();
    node.send(slice(&[1, 2]));
    node.until("changed", LIMIT, |node| node.weight(2) == Some(1));
    let all = |node: &Running| node.changes.select(Some(0), 100, |_| true).changes;
    // The cause is known once the sync has ended.
    let is_done = |node: &Running| all(node).last().is_some_and(|last| last.cause.is_some());
    node.until("synced", LIMIT, is_done);
    let waited = arrived.elapsed();
    let changes = all(&node);
    let (last, first) = changes.split_last().expect("changes");
    let of_first_sync =
        |change: &Change| change.cause == Some("first sync") && change.latency.is_none();
    assert!(first.iter().all(of_first_sync), "{first:#?}");
    assert_eq!(last.cause, Some("change"));
    assert!(last.line.starts_with("-a -t "), "{}", last.line);
    assert!(
        last.latency.is_some_and(|latency| latency <= waited),
        "{last:#?}"
    );
    assert_eq!(
        last.service.as_ref().map(ToString::to_string),
        Some("default/web:http".to_owned())
    );
}
