//! The loop around the reconciler: the one thread that owns the kernel.

mod report;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kernel::Kernel;
use sources::SourceEvent;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use self::report::Reporter;
use crate::reconciler::{Effect, Event, Reconciler};

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

/// What wakes the loop.
enum Wake {
    Source(Box<SourceEvent>),
    SourcesEnded,
    Timeout,
    Stop,
}

/// Keeps `kernel` as `inputs` ask. Called on a thread of its own: it blocks.
///
/// When it ends, the kernel stays as it is.
pub fn run(
    kernel: &mut dyn Kernel,
    mut reconciler: Reconciler,
    mut inputs: mpsc::Receiver<SourceEvent>,
    mut stop: watch::Receiver<bool>,
    runtime: &Handle,
    until: Until,
) -> Ended {
    let mut sources_live = true;
    let mut reporter = Reporter::default();
    let mut pending: VecDeque<Event> = VecDeque::new();
    loop {
        while let Some(event) = pending.pop_front() {
            for effect in reconciler.handle(event, Instant::now()) {
                if let Effect::Report(report) = &effect {
                    reporter.log(report);
                }
                pending.extend(carry_out(kernel, effect));
            }
        }
        if until == Until::Synced && reconciler.has_synced() {
            return Ended::Synced {
                failed: reporter.last_failed,
                problems: reporter.problems,
            };
        }
        if *stop.borrow() {
            return Ended::Stopped;
        }
        if !sources_live && reconciler.poll_timeout().is_none() {
            return Ended::NoInput;
        }
        let deadline = reconciler.poll_timeout();
        match runtime.block_on(wait(&mut inputs, &mut stop, sources_live, deadline)) {
            Wake::Source(event) => pending.extend(reporter.source_event(*event)),
            Wake::SourcesEnded => sources_live = false,
            Wake::Timeout => pending.push_back(Event::Timeout),
            Wake::Stop => return Ended::Stopped,
        }
    }
}

async fn wait(
    inputs: &mut mpsc::Receiver<SourceEvent>,
    stop: &mut watch::Receiver<bool>,
    sources_live: bool,
    deadline: Option<Instant>,
) -> Wake {
    // A day stands for never: without a deadline only an input or a stop ends the wait.
    let never = Instant::now() + Duration::from_secs(86_400);
    tokio::select! {
        biased;
        _ = stop.changed() => Wake::Stop,
        event = inputs.recv(), if sources_live => match event {
            Some(event) => Wake::Source(Box::new(event)),
            None => Wake::SourcesEnded,
        },
        () = tokio::time::sleep_until(deadline.unwrap_or(never).into()) => Wake::Timeout,
    }
}

fn carry_out(kernel: &mut dyn Kernel, effect: Effect) -> Option<Event> {
    match effect {
        Effect::Observe(scope) => {
            let answer = kernel.observe(&scope);
            Some(Event::Observed(scope, answer))
        }
        Effect::Apply(stage) => {
            let outcomes = kernel.apply(&stage);
            Some(Event::Applied(stage, outcomes))
        }
        Effect::Report(_) => None,
    }
}
