//! The loop: feeds the reconciler and carries out what it says, on the one thread that owns the kernel.

mod report;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kernel::{Kernel, OpOutcome};
use model::cluster::ClusterEvent;
use model::plan::Stage;
use sources::SourceEvent;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use self::report::Reporter;
use crate::health::Moment;
use crate::mailbox::NodeInbox;
use reconciler::{Effect, Event, Reconciler, Report};

/// Events of sources that are taken in for one wakeup of the loop, or between two effects.
const MAX_EVENTS: usize = 256;

/// Longest time without a sign of life, unless the kernel is slower.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Time after which the observer sees the reconciler although the loop is not idle.
const LOOK: Duration = Duration::from_secs(1);

/// When the loop ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Not before it is stopped.
    Stopped,
    /// Once everything has been synchronised.
    Synced,
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// Everything has been synchronised.
    Synced {
        /// Ops that failed or were left out because of one that failed.
        failed: usize,
        /// Problems that sources reported.
        problems: usize,
    },
    /// The sources ended before they had delivered what there is.
    NoInput,
}

/// Where the loop's events come from.
#[derive(Debug)]
pub struct Inputs {
    /// Changes of the cluster.
    pub sources: mpsc::Receiver<SourceEvent>,
    /// Changes of the node: its interfaces, its configuration.
    pub node: NodeInbox,
    /// True is the end.
    pub stop: watch::Receiver<bool>,
}

/// Follows what the loop does, without a say in it.
///
/// `now` is the loop's time: that of its last waking or of the kernel's last answer. A list of objects wakes the loop for
/// each of them, so nothing here looks at the clock again.
pub trait Observer {
    /// A source spoke; `_changed` is whether it said something new. What is listed again is nothing new.
    fn queued(&mut self, _event: &ClusterEvent, _changed: bool, _now: Moment) {}
    /// The reconciler said this.
    fn reported(&mut self, _report: &Report, _now: Moment) {}
    /// This was done to the kernel: one outcome for each op, same order.
    fn applied(&mut self, _stage: &Stage, _outcomes: &[OpOutcome]) {}
    /// The loop is alive: called at each turn, between effects, and every few seconds while it is idle.
    fn alive(&mut self, _now: Instant) {}
    /// Everything that arrived has been handled, or a second has passed with more to do.
    fn idle(&mut self, _reconciler: &Reconciler, _now: Moment) {}
}

/// An observer that does nothing.
impl Observer for () {}

/// Each of them follows.
impl Observer for Vec<Box<dyn Observer>> {
    fn queued(&mut self, event: &ClusterEvent, changed: bool, now: Moment) {
        self.iter_mut()
            .for_each(|each| each.queued(event, changed, now));
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

/// A reason for the loop to wake.
enum Wake {
    /// Events of the sources; none once the sources have ended.
    Sources(Vec<SourceEvent>),
    Node(Vec<Event>),
    Timeout,
    Stop,
}

/// Keeps `kernel` as `inputs` ask. Called on a thread of its own: it blocks.
///
/// Between two effects it takes in what has arrived, tells the observer that it is alive and looks at the stop, so that no
/// chain of effects, however long, starves the sources or a stop. When it ends, the kernel stays as it is.
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

/// The loop under way.
struct Loop<'a> {
    kernel: &'a mut dyn Kernel,
    reconciler: Reconciler,
    inputs: Inputs,
    observer: &'a mut dyn Observer,
    sources_live: bool,
    reporter: Reporter,
    pending: VecDeque<Event>,
    /// The last waking, or the kernel's last answer.
    now: Moment,
    /// When the observer saw the reconciler last.
    looked: Instant,
}

impl Loop<'_> {
    /// Handles what is pending, and what comes of it.
    fn turn(&mut self, until: Until) -> Option<Ended> {
        self.advance_clock();
        while let Some(event) = self.pending.pop_front() {
            if let Event::Cluster(event) = &event {
                let changed = self.reconciler.cluster().is_changed_by(event);
                self.observer.queued(event, changed, self.now);
            }
            for effect in self.reconciler.handle(event, self.now.instant) {
                if let Effect::Report(report) = &effect {
                    self.reporter.log(report, self.now.instant);
                    self.observer.reported(report, self.now);
                }
                let Some(answer) = carry_out(self.kernel, effect, self.observer) else {
                    continue;
                };
                self.advance_clock();
                // Before the answer, which may lead to the next effect.
                self.take_in();
                self.pending.push_back(answer);
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

    /// Takes in what has arrived, a limited number of events.
    fn take_in(&mut self) {
        self.pending.extend(self.inputs.node.try_take());
        for _ in 0..MAX_EVENTS {
            match self.inputs.sources.try_recv() {
                Ok(event) => self.pending.extend(self.reporter.source_event(event)),
                // The end of the sources is seen where the loop waits for them.
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
            Wake::Node(events) => self.pending.extend(events),
            Wake::Timeout => self.pending.push_back(Event::Timeout),
            Wake::Stop => return Some(Ended::Stopped),
        }
        None
    }
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
