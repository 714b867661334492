//! The loop: feeds the reconciler and carries out what it says, on the one thread that owns the kernel.

mod report;

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
use reconciler::{Effect, Event, Reconciler, Report};

/// How many words of sources are taken in at once: what comes with each wake of the loop, such as a look at the clock,
/// is done once for all of them.
const AT_ONCE: usize = 256;

/// Maximum time between two heartbeats of an idle loop.
const HEARTBEAT: Duration = Duration::from_secs(5);

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
    /// What the cluster is.
    pub sources: mpsc::Receiver<SourceEvent>,
    /// What happens on the node: its interfaces, its configuration.
    pub node: mpsc::UnboundedReceiver<Event>,
    /// True is the end.
    pub stop: watch::Receiver<bool>,
}

/// Follows what the loop does, without a say in it.
pub trait Observer {
    /// A source spoke; `_changed` is whether it said something new. What is listed again is nothing new.
    fn queued(&mut self, _event: &ClusterEvent, _changed: bool, _now: Moment) {}
    /// The reconciler said this.
    fn reported(&mut self, _report: &Report) {}
    /// This was done to the kernel: one outcome for each op, same order.
    fn applied(&mut self, _stage: &Stage, _outcomes: &[OpOutcome]) {}
    /// All that has come in so far is dealt with.
    fn idle(&mut self, _reconciler: &Reconciler) {}
    /// The loop runs: called at each turn, between effects, and every 5 s while it is idle.
    fn alive(&mut self, _now: Instant) {}
}

/// Nobody follows.
impl Observer for () {}

/// Each of them follows.
impl Observer for Vec<Box<dyn Observer>> {
    fn queued(&mut self, event: &ClusterEvent, changed: bool, now: Moment) {
        self.iter_mut()
            .for_each(|each| each.queued(event, changed, now));
    }

    fn reported(&mut self, report: &Report) {
        self.iter_mut().for_each(|each| each.reported(report));
    }

    fn applied(&mut self, stage: &Stage, outcomes: &[OpOutcome]) {
        self.iter_mut()
            .for_each(|each| each.applied(stage, outcomes));
    }

    fn idle(&mut self, reconciler: &Reconciler) {
        self.iter_mut().for_each(|each| each.idle(reconciler));
    }

    fn alive(&mut self, now: Instant) {
        self.iter_mut().for_each(|each| each.alive(now));
    }
}

/// What wakes the loop.
enum Wake {
    /// Nothing, once sources have ended.
    Sources(Vec<SourceEvent>),
    Node(Box<Event>),
    Timeout,
    Heartbeat,
    Stop,
}

/// Keeps `kernel` as `inputs` ask. Called on a thread of its own: it blocks.
///
/// When it ends, the kernel stays as it is.
pub fn run(
    kernel: &mut dyn Kernel,
    mut reconciler: Reconciler,
    mut inputs: Inputs,
    observer: &mut dyn Observer,
    runtime: &Handle,
    until: Until,
) -> Ended {
    let mut sources_live = true;
    let mut reporter = Reporter::default();
    let mut pending: VecDeque<Event> = VecDeque::new();
    loop {
        let mut now = Moment::now();
        observer.alive(now.instant);
        while let Some(event) = pending.pop_front() {
            if let Event::Cluster(event) = &event {
                observer.queued(event, reconciler.cluster().is_changed_by(event), now);
            }
            for effect in reconciler.handle(event, now.instant) {
                if let Effect::Report(report) = &effect {
                    reporter.log(report);
                    observer.reported(report);
                }
                if let Some(answer) = carry_out(kernel, effect, observer) {
                    // Before what else waits: the reconciler does nothing until it has it.
                    pending.push_front(answer);
                    now = Moment::now();
                    observer.alive(now.instant);
                }
            }
        }
        observer.idle(&reconciler);
        if until == Until::Synced && reconciler.has_synced() {
            return Ended::Synced {
                failed: reporter.last_failed,
                problems: reporter.problems,
            };
        }
        if *inputs.stop.borrow() {
            return Ended::Stopped;
        }
        let deadline = reconciler.poll_timeout();
        if !sources_live && deadline.is_none() {
            return Ended::NoInput;
        }
        match runtime.block_on(wait(&mut inputs, sources_live, deadline)) {
            Wake::Sources(events) => {
                sources_live = !events.is_empty();
                pending.extend(
                    events
                        .into_iter()
                        .filter_map(|event| reporter.source_event(event)),
                );
            }
            Wake::Node(event) => pending.push_back(*event),
            Wake::Heartbeat => {}
            Wake::Timeout => pending.push_back(Event::Timeout),
            Wake::Stop => return Ended::Stopped,
        }
    }
}

async fn wait(inputs: &mut Inputs, sources_live: bool, deadline: Option<Instant>) -> Wake {
    // A day stands for never: without a deadline only an input or a stop ends the wait.
    let never = Instant::now() + Duration::from_secs(86_400);
    let mut events = Vec::new();
    tokio::select! {
        biased;
        _ = inputs.stop.changed() => Wake::Stop,
        Some(event) = inputs.node.recv() => Wake::Node(Box::new(event)),
        _ = inputs.sources.recv_many(&mut events, AT_ONCE), if sources_live => Wake::Sources(events),
        () = tokio::time::sleep_until(deadline.unwrap_or(never).into()) => Wake::Timeout,
        () = tokio::time::sleep(HEARTBEAT) => Wake::Heartbeat,
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
