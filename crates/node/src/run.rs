//! The loop: feeds events to the reconciler and carries out its effects, on the one thread that
//! owns the kernel.

mod report;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use kernel::{Kernel, OpOutcome};
use model::names::ObjectName;
use model::plan::Stage;
use sources::SourceEvent;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use self::report::Reporter;
use crate::changes::Arrival;
use crate::health::Moment;
use crate::mailbox::NodeInbox;
use reconciler::{Effect, Event, Reconciler, Report};

/// Maximum number of source events handled per wakeup of the loop, or between two effects.
const MAX_EVENTS: usize = 256;

/// Maximum time between two signs of life, unless a call of the kernel takes longer.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Maximum time between two updates of the observer while the loop is busy.
const LOOK: Duration = Duration::from_secs(1);

/// Condition for the end of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Runs until it is stopped.
    Stopped,
    /// Ends after the first full sync.
    Synced,
}

/// Reason for the end of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The loop was stopped.
    Stopped,
    /// The first full sync has ended.
    Synced {
        /// Ops that failed or were skipped because another op had failed.
        failed: usize,
        /// Problems that sources reported.
        problems: usize,
    },
    /// The sources ended before their first lists were complete.
    NoInput,
}

/// Inputs of the loop.
#[derive(Debug)]
pub struct Inputs {
    /// Changes of the cluster.
    pub sources: mpsc::Receiver<SourceEvent>,
    /// Changes of the node: interfaces, configuration, findings.
    pub node: NodeInbox,
    /// Stops the loop when it becomes true.
    pub stop: watch::Receiver<bool>,
}

/// Observes the loop without influence on it.
///
/// `now` is the time of the loop's last wakeup or of the kernel's last answer. A list of objects
/// calls an observer once for each object, so an observer should not read the clock again.
pub trait Observer {
    /// Called for each event of a source. `_changed` is true if the event changes an object; a
    /// relisted, unchanged object is not a change.
    fn queued(&mut self, _arrival: &Arrival, _changed: bool, _now: Moment) {}
    /// Called after [`Self::queued`] for an event that changed these Services or their slices.
    /// `_arrived` is the time at which the source received the event.
    fn changed(&mut self, _services: &BTreeSet<ObjectName>, _arrived: Instant) {}
    /// Called for each report of the reconciler.
    fn reported(&mut self, _report: &Report, _now: Moment) {}
    /// Called after each stage, with one outcome for each op in the same order.
    fn applied(&mut self, _stage: &Stage, _outcomes: &[OpOutcome]) {}
    /// Called at each turn, between effects, and every few seconds while the loop is idle.
    fn alive(&mut self, _now: Instant) {}
    /// Called when all pending events have been handled, and once a second while the loop is busy.
    fn idle(&mut self, _reconciler: &Reconciler, _now: Moment) {}
}

/// An observer that does nothing.
impl Observer for () {}

/// Forwards every call to each observer.
impl Observer for Vec<Box<dyn Observer>> {
    fn queued(&mut self, arrival: &Arrival, changed: bool, now: Moment) {
        self.iter_mut()
            .for_each(|each| each.queued(arrival, changed, now));
    }

    fn changed(&mut self, services: &BTreeSet<ObjectName>, arrived: Instant) {
        self.iter_mut()
            .for_each(|each| each.changed(services, arrived));
    }

    fn reported(&mut self, report: &Report, now: Moment) {
        self.iter_mut().for_each(|each| each.reported(report, now));
    }

    fn applied(&mut self, stage: &Stage, outcomes: &[OpOutcome]) {
        self.iter_mut()
            .for_each(|each| each.applied(stage, outcomes));
    }

    fn alive(&mut self, now: Instant) {
        self.iter_mut().for_each(|each| each.alive(now));
    }

    fn idle(&mut self, reconciler: &Reconciler, now: Moment) {
        self.iter_mut().for_each(|each| each.idle(reconciler, now));
    }
}

/// An event that waits to be handled.
struct Waiting {
    event: Event,
    /// Time at which the source received the event; `None` for events of other origin.
    arrived: Option<Instant>,
}

impl From<Event> for Waiting {
    fn from(event: Event) -> Self {
        Self {
            event,
            arrived: None,
        }
    }
}

/// A reason for the loop to wake.
enum Wake {
    /// Events of the sources; empty once the sources have ended.
    Sources(Vec<SourceEvent>),
    Node(Vec<Event>),
    Timeout,
    Stop,
}

/// Runs the loop, which keeps the tables of `kernel` in the state that `inputs` require. It blocks
/// the calling thread.
///
/// Between two effects it receives new events, reports a sign of life to the observer and checks
/// for a stop, so that no chain of effects starves the sources or a stop. When the loop ends, the
/// kernel's tables stay unchanged.
pub fn run(
    kernel: &mut dyn Kernel,
    reconciler: Reconciler,
    inputs: Inputs,
    observer: &mut dyn Observer,
    runtime: &Handle,
    until: Until,
) -> Ended {
    let now = Moment::now();
    let mut running = Loop {
        reporter: Reporter::new(reconciler.config().node_name.clone()),
        kernel,
        reconciler,
        inputs,
        observer,
        sources_live: true,
        pending: VecDeque::new(),
        now,
        looked: now.instant,
    };
    loop {
        if let Some(ended) = running.turn(until) {
            return ended;
        }
        if let Some(ended) = running.wait(runtime) {
            return ended;
        }
    }
}

/// State of the running loop.
struct Loop<'a> {
    kernel: &'a mut dyn Kernel,
    reconciler: Reconciler,
    inputs: Inputs,
    observer: &'a mut dyn Observer,
    sources_live: bool,
    reporter: Reporter,
    pending: VecDeque<Waiting>,
    /// Time of the last wakeup or of the kernel's last answer.
    now: Moment,
    /// Time of the last call of [`Observer::idle`].
    looked: Instant,
}

impl Loop<'_> {
    /// Handles the pending events and carries out their effects.
    fn turn(&mut self, until: Until) -> Option<Ended> {
        self.advance_clock();
        while let Some(Waiting { event, arrived }) = self.pending.pop_front() {
            let arrival = match &event {
                Event::Cluster(event) => Some(Arrival::of(event)),
                _ => None,
            };
            let effects = self.reconciler.handle(event, self.now.instant);
            if let Some(arrival) = arrival {
                let changed = self.reconciler.changed_last();
                self.observer.queued(&arrival, changed, self.now);
            }
            if let Some(arrived) = arrived {
                let services = self.reconciler.changed_services();
                if !services.is_empty() {
                    self.observer.changed(services, arrived);
                }
            }
            for effect in effects {
                if let Effect::Report(report) = &effect {
                    self.reporter.log(report, self.now.instant);
                    self.observer.reported(report, self.now);
                }
                let Some(answer) = carry_out(self.kernel, effect, self.observer) else {
                    continue;
                };
                self.advance_clock();
                // New events precede the answer, which may cause the next effect.
                self.take_in();
                self.pending.push_back(answer.into());
                if self.now.instant.duration_since(self.looked) >= LOOK {
                    self.look();
                }
                if *self.inputs.stop.borrow() {
                    return Some(Ended::Stopped);
                }
            }
        }
        self.look();
        if until == Until::Synced && self.reconciler.has_synced() {
            return Some(Ended::Synced {
                failed: self.reporter.last_failed,
                problems: self.reporter.problems,
            });
        }
        None
    }

    fn advance_clock(&mut self) {
        self.now = Moment::now();
        self.observer.alive(self.now.instant);
    }

    fn look(&mut self) {
        self.looked = self.now.instant;
        self.observer.idle(&self.reconciler, self.now);
    }

    /// Receives a limited number of new events without waiting.
    fn take_in(&mut self) {
        self.pending
            .extend(node_events(self.inputs.node.try_take()));
        for _ in 0..MAX_EVENTS {
            match self.inputs.sources.try_recv() {
                Ok(event) => self.pending.extend(self.reporter.source_event(event)),
                // `wait` detects the end of the sources.
                Err(_) => return,
            }
        }
    }

    /// Waits for an input, the next task of the reconciler, or the time of the next heartbeat.
    fn wait(&mut self, runtime: &Handle) -> Option<Ended> {
        if *self.inputs.stop.borrow() {
            return Some(Ended::Stopped);
        }
        let deadline = self.reconciler.poll_timeout();
        if !self.sources_live && deadline.is_none() {
            return Some(Ended::NoInput);
        }
        let heartbeat = self.now.instant + HEARTBEAT;
        let wake = deadline.map_or(heartbeat, |deadline| deadline.min(heartbeat));
        match runtime.block_on(next(&mut self.inputs, self.sources_live, wake)) {
            Wake::Sources(events) => {
                self.sources_live = !events.is_empty();
                for event in events {
                    self.pending.extend(self.reporter.source_event(event));
                }
            }
            Wake::Node(events) => self.pending.extend(node_events(events)),
            Wake::Timeout => self.pending.push_back(Event::Timeout.into()),
            Wake::Stop => return Some(Ended::Stopped),
        }
        None
    }
}

fn node_events(events: Vec<Event>) -> impl Iterator<Item = Waiting> {
    events.into_iter().map(Waiting::from)
}

async fn next(inputs: &mut Inputs, sources_live: bool, deadline: Instant) -> Wake {
    let mut events = Vec::new();
    tokio::select! {
        biased;
        _ = inputs.stop.changed() => Wake::Stop,
        events = inputs.node.recv() => Wake::Node(events),
        _ = inputs.sources.recv_many(&mut events, MAX_EVENTS), if sources_live => Wake::Sources(events),
        () = tokio::time::sleep_until(deadline.into()) => Wake::Timeout,
    }
}

fn carry_out(
    kernel: &mut dyn Kernel,
    effect: Effect,
    observer: &mut dyn Observer,
) -> Option<Event> {
    match effect {
        Effect::Observe(scope) => {
            let answer = kernel.observe(&scope);
            Some(Event::Observed(scope, answer))
        }
        Effect::Apply(stage) => {
            let outcomes = kernel.apply(&stage);
            observer.applied(&stage, &outcomes);
            Some(Event::Applied(stage, outcomes))
        }
        Effect::Report(_) => None,
    }
}
