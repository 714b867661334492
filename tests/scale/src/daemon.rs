//! One node: the real source, the real loop on its own thread, and a kernel in memory.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use kernel::{MemoryKernel, OpOutcome};
use model::{NodeConfig, NodeTables, Op, Stage};
use node::health::Moment;
use node::run::{Inputs, Observer, Until, run};
use reconciler::Reconciler;
use sources::kube::{ConnectError, Connection, KubeSettings, Nodes};
use sources::{EventSink, SourceConfig};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::message::{Nanoseconds, now};
use crate::meter::Meter;
use crate::objects;

/// Length of the queue of source events, as in the daemon.
const INPUTS: usize = 1024;

/// Running pipeline of a node, stopped when dropped.
pub(crate) struct Daemon {
    pub(crate) meter: Arc<Meter>,
    seen: Arc<Mutex<Seen>>,
    kernel: MemoryKernel,
    stop: watch::Sender<bool>,
    _node: node::mailbox::NodeEvents,
    thread: Option<JoinHandle<()>>,
}

/// Times at which changes reached the kernel.
#[derive(Debug)]
struct Seen {
    synced: Option<Nanoseconds>,
    /// Time of each change; 0 if it has not arrived, or was superseded by a later one of the same
    /// slice.
    changes: Vec<Nanoseconds>,
}

/// Records changes that reach the kernel.
struct Watcher(Arc<Mutex<Seen>>);

impl Daemon {
    /// Starts the node `name`, which records at most `changes` changes.
    ///
    /// # Errors
    ///
    /// The client cannot be built.
    pub(crate) fn start(
        name: &str,
        nodes: Nodes,
        url: &http::Uri,
        changes: usize,
        runtime: &Handle,
    ) -> Result<Self, ConnectError> {
        let meter = Arc::new(Meter::default());
        let _inside = runtime.enter();
        let plain = Connection::without_credentials(url.clone())?;
        let connection = Connection {
            client: meter.client(plain.client.clone()),
            ..plain.clone()
        };
        let source = SourceConfig::Kube {
            connection,
            settings: Box::new(KubeSettings {
                nodes,
                ..KubeSettings::new(name)
            }),
        };
        let (to_loop, from_sources) = mpsc::channel(INPUTS);
        let sink = EventSink::new(source.names(), to_loop);
        runtime.spawn(sources::run(source, sink));
        let (to_node, from_node) = node::mailbox::mailbox();
        let (stop, stopped) = watch::channel(false);
        let seen = Arc::new(Mutex::new(Seen {
            synced: None,
            changes: vec![0; changes],
        }));
        let kernel = MemoryKernel::new();
        let inputs = Inputs {
            sources: from_sources,
            node: from_node,
            stop: stopped,
        };
        let config = NodeConfig::new(name);
        let (mut owned, mut watcher) = (kernel.clone(), Watcher(Arc::clone(&seen)));
        let runtime = runtime.clone();
        let thread = thread::spawn(move || {
            let reconciler = Reconciler::new(config, now(), Instant::now());
            run(
                &mut owned,
                reconciler,
                inputs,
                &mut watcher,
                &runtime,
                Until::Stopped,
            );
        });
        Ok(Self {
            meter,
            seen,
            kernel,
            stop,
            _node: to_node,
            thread: Some(thread),
        })
    }

    /// Returns the time of the first complete sync.
    pub(crate) fn synced(&self) -> Option<Nanoseconds> {
        lock(&self.seen).synced
    }

    /// Returns true if all changes with these numbers have reached the kernel.
    pub(crate) fn has_had(&self, changes: &std::ops::Range<usize>) -> bool {
        let seen = lock(&self.seen);
        let times = seen.changes.get(changes.clone());
        times.is_some_and(|times| times.iter().all(|at| *at > 0))
    }

    /// Returns the time at which each change with these numbers reached the kernel; 0 is never.
    pub(crate) fn times(&self, changes: std::ops::Range<usize>) -> Vec<Nanoseconds> {
        let seen = lock(&self.seen);
        seen.changes.get(changes).unwrap_or_default().to_vec()
    }

    /// Returns the kernel's tables.
    pub(crate) fn tables(&self) -> NodeTables {
        self.kernel.tables()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A loop that panicked has printed its message.
            let _ = thread.join();
        }
    }
}

impl Observer for Watcher {
    fn applied(&mut self, stage: &Stage, outcomes: &[OpOutcome]) {
        let at = now();
        let mut seen = lock(&self.0);
        for (planned, outcome) in stage.ops.iter().zip(outcomes) {
            let Op::AddRealServer(_, real) = &planned.op else {
                continue;
            };
            let IpAddr::V4(address) = real.key.address else {
                continue;
            };
            let number = objects::change_of(address).filter(|_| outcome.is_ok());
            if let Some(time) = number.and_then(|number| seen.changes.get_mut(number))
                && *time == 0
            {
                *time = at;
            }
        }
    }

    fn idle(&mut self, reconciler: &Reconciler, _now: Moment) {
        let mut seen = lock(&self.0);
        if seen.synced.is_none() && reconciler.has_synced() {
            seen.synced = Some(now());
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
