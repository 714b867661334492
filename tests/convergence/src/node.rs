//! A node: the reconciler on a kernel in memory, with a simulated clock. It executes effects as
//! `node::run` does, and checks each of them ([`Guard`]).

mod guard;

use std::time::{Duration, Instant};

use kernel::{Kernel as _, MemoryKernel, OpErrorKind};
use model::{ClusterEvent, NodeConfig, NodeTables, Op};
use reconciler::{Effect, Event, Reconciler, Report};

pub use self::guard::{Guard, Law, Rules, Violation};

/// Maximum number of wake-ups of the loop within one [`Node::pass`].
const MAX_WAKES: u32 = 100_000;

/// Maximum number of characters of a line of the trace.
const LINE: usize = 3_000;

/// A node.
#[derive(Debug)]
pub struct Node {
    /// Kernel of the node.
    pub kernel: MemoryKernel,
    /// Reconciler of the node.
    pub reconciler: Reconciler,
    /// Reports so far.
    pub reports: Vec<Report>,
    /// Current time. Only waiting and the cost of effects advance it.
    pub now: Instant,
    /// Maximum number of ops of one sync, if it differs from the default.
    ops_at_once: Option<usize>,
    /// Duration of a reading.
    pub reading: Duration,
    /// Duration of a stage.
    pub applying: Duration,
    /// Total duration of the effects so far.
    pub spent: Duration,
    /// Another program that adds and deletes this virtual server after each effect.
    pub writer: Option<ipvs::VirtualServer>,
    /// Checks effects.
    pub guard: Guard,
    /// Lines about events and effects, if tracing is on.
    pub trace: Option<Vec<String>>,
    began: Instant,
}

impl Node {
    /// Returns a node with this kernel whose daemon has just started.
    #[must_use]
    pub fn new(config: NodeConfig, kernel: MemoryKernel) -> Self {
        Self::with_rules(config, kernel, Rules::default())
    }

    /// Returns a node whose loop is checked by `rules`.
    #[must_use]
    pub fn with_rules(config: NodeConfig, kernel: MemoryKernel, rules: Rules) -> Self {
        let now = Instant::now();
        Self {
            guard: Guard::new(rules, &kernel.tables(), now),
            kernel,
            reconciler: Reconciler::new(config, 1, now),
            reports: Vec::new(),
            ops_at_once: None,
            now,
            reading: Duration::ZERO,
            applying: Duration::ZERO,
            spent: Duration::ZERO,
            writer: None,
            trace: None,
            began: now,
        }
    }

    /// Adds a line to the trace, if tracing is on.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let time = self.now - self.began;
            let mut line = line();
            if let Some((end, _)) = line.char_indices().nth(LINE) {
                line.truncate(end);
            }
            trace.push(format!("{:10.3} {line}", time.as_secs_f64()));
        }
    }

    /// Limits the ops of one sync, also after a restart.
    pub fn limit_ops(&mut self, ops: usize) {
        self.ops_at_once = Some(ops);
        self.reconciler.limit_ops(ops);
    }

    /// Restarts the daemon: the kernel keeps its tables, everything else is lost.
    pub fn restart(&mut self, config: NodeConfig, seed: u64) {
        self.reconciler = Reconciler::new(config, seed, self.now);
        if let Some(ops) = self.ops_at_once {
            self.reconciler.limit_ops(ops);
        }
        self.guard.restarted(self.now);
    }

    /// Returns the kernel's tables, without settings that the cluster does not need.
    #[must_use]
    pub fn tables(&self) -> NodeTables {
        let mut tables = self.kernel.tables();
        let wanted = &self.reconciler.desired().tables;
        (tables.sysctls).retain(|name, _| wanted.sysctls.contains_key(name));
        tables.timeouts = wanted.timeouts;
        tables
    }

    /// Changes the tables as another program.
    ///
    /// # Errors
    ///
    /// The error with which the kernel refuses the change.
    pub fn meddle(&mut self, op: &Op) -> Result<(), OpErrorKind> {
        self.kernel.foreign(op)?;
        self.guard.weighed(op, &self.kernel, self.now);
        self.guard.disturbed(op);
        Ok(())
    }

    /// Sends events as a source.
    ///
    /// # Errors
    ///
    /// The loop breaks a law.
    pub fn feed(&mut self, events: Vec<ClusterEvent>) -> Result<(), Violation> {
        (events.into_iter()).try_for_each(|event| self.handle(Event::Cluster(event)))
    }

    /// Advances the time until only the next audit is left.
    ///
    /// # Errors
    ///
    /// The loop breaks a law, or still has work after 400 wake-ups.
    pub fn settle(&mut self) -> Result<(), Violation> {
        for _ in 0..400 {
            let rests = self.reconciler.drains().is_empty() && self.reconciler.ramps().is_empty();
            if self.reconciler.is_settled() && rests {
                return Ok(());
            }
            self.wake()?;
        }
        Err(Violation::new(
            Law::InTime,
            format!("the node does not settle: {:#?}", self.reports),
        ))
    }

    /// Advances the time by `duration`.
    ///
    /// # Errors
    ///
    /// The loop breaks a law.
    pub fn pass(&mut self, duration: Duration) -> Result<(), Violation> {
        let end = self.now + duration;
        for _ in 0..MAX_WAKES {
            match self.reconciler.poll_timeout() {
                Some(at) if at <= end => self.wake()?,
                Some(_) | None => {
                    self.now = self.now.max(end);
                    return Ok(());
                }
            }
        }
        Err(Violation::new(
            Law::AtOneInstant,
            format!("{MAX_WAKES} wake-ups within {duration:?}"),
        ))
    }

    /// Advances the time until the loop wants to be woken, and wakes it.
    ///
    /// # Errors
    ///
    /// The loop breaks a law.
    pub fn wake(&mut self) -> Result<(), Violation> {
        if let Some(at) = self.reconciler.poll_timeout() {
            self.now = self.now.max(at);
        }
        self.handle(Event::Timeout)
    }

    /// Passes an event to the loop and executes all effects that follow.
    ///
    /// # Errors
    ///
    /// The loop breaks a law.
    pub fn handle(&mut self, event: Event) -> Result<(), Violation> {
        self.guard.wakes(&event, self.now);
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for effect in self.reconciler.handle(event, self.now) {
                if next.is_some() {
                    return Err(Violation::new(
                        Law::OneEffect,
                        format!("{effect:?} follows an effect without an answer yet"),
                    ));
                }
                next = self.carry_out(effect)?;
            }
        }
        self.guard.sleeps(&self.reconciler, self.now)
    }

    fn carry_out(&mut self, effect: Effect) -> Result<Option<Event>, Violation> {
        match effect {
            Effect::Observe(scope) => {
                self.guard.observes(&scope, self.now)?;
                let answer = self.kernel.observe(&scope);
                self.take(self.reading);
                self.note(|| match &answer {
                    Ok(read) => format!("  read, torn {}: {scope:?}", read.torn),
                    Err(error) => format!("  {error}: {scope:?}"),
                });
                if let Ok(snapshot) = &answer {
                    self.guard.observed(&scope, snapshot);
                }
                Ok(Some(Event::Observed(scope, answer)))
            }
            Effect::Apply(stage) => {
                let node = (&self.reconciler, &self.kernel);
                self.guard.applies(&stage, node, self.now)?;
                let outcomes = self.kernel.apply(&stage);
                self.take(self.applying);
                self.note(|| {
                    let ops = stage.ops.iter().zip(&outcomes);
                    let lines = ops.map(|(planned, outcome)| match outcome {
                        Ok(()) => format!("{}", planned.op),
                        Err(error) => format!("{} FAILED {}", planned.op, error.kind()),
                    });
                    format!("  {}", lines.collect::<Vec<_>>().join("; "))
                });
                self.guard
                    .applied(&stage, &outcomes, &self.kernel, self.now)?;
                Ok(Some(Event::Applied(stage, outcomes)))
            }
            Effect::Report(report) => {
                self.reports.push(report);
                Ok(None)
            }
        }
    }

    /// Advances the time by the cost of an effect.
    fn take(&mut self, cost: Duration) {
        self.now += cost;
        self.spent += cost;
        if let Some(server) = &self.writer {
            let key = server.key;
            let added = self.kernel.foreign(&Op::AddVirtualServer(server.clone()));
            if added.is_err() {
                // It may exist from the last time.
                let _ = self.kernel.foreign(&Op::DelVirtualServer(key));
            }
        }
    }
}
