//! A node: the reconciler on a kernel in memory, in a time of its own. It carries effects out as `node::run` does,
//! and checks each of them ([`Guard`]).

mod guard;

use std::time::{Duration, Instant};

use kernel::{Kernel as _, MemoryKernel, OpErrorKind};
use model::{ClusterEvent, NodeConfig, NodeTables, Op};
use reconciler::{Effect, Event, Reconciler, Report};

pub use self::guard::{Guard, Law, Rules, Violation};

/// Wake-ups of the loop within one [`Node::pass`].
const MAX_WAKES: u32 = 100_000;

/// Characters of a line of the trace.
const LINE: usize = 3_000;

/// A node.
#[derive(Debug)]
pub struct Node {
    /// Its kernel.
    pub kernel: MemoryKernel,
    /// Its reconciler.
    pub reconciler: Reconciler,
    /// The reports so far.
    pub reports: Vec<Report>,
    /// The time. Only waiting and the cost of effects move it.
    pub now: Instant,
    /// Number of ops of one sync, if it is not the usual one.
    ops_at_once: Option<usize>,
    /// Duration of a reading.
    pub reading: Duration,
    /// Duration of a stage.
    pub applying: Duration,
    /// Duration of the effects so far.
    pub spent: Duration,
    /// Another program that adds and deletes this virtual server of its own after each effect.
    pub writer: Option<ipvs::VirtualServer>,
    /// Checks effects.
    pub guard: Guard,
    /// Lines about events and effects, if they are wanted.
    pub trace: Option<Vec<String>>,
    began: Instant,
}

impl Node {
    /// A node with this kernel whose daemon has just started.
    #[must_use]
    pub fn new(config: NodeConfig, kernel: MemoryKernel) -> Self {
        Self::with_rules(config, kernel, Rules::default())
    }

    /// The same, held to `rules`.
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

    /// Adds a line to the trace, if there is one.
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

    /// Starts the daemon again: the kernel stays, all else is forgotten.
    pub fn restart(&mut self, config: NodeConfig, seed: u64) {
        self.reconciler = Reconciler::new(config, seed, self.now);
        if let Some(ops) = self.ops_at_once {
            self.reconciler.limit_ops(ops);
        }
        self.guard.restarted(self.now);
    }

    /// The kernel's tables, without settings that the cluster does not ask for.
    #[must_use]
    pub fn tables(&self) -> NodeTables {
        let mut tables = self.kernel.tables();
        let wanted = &self.reconciler.desired().tables;
        (tables.sysctls).retain(|name, _| wanted.sysctls.contains_key(name));
        tables.timeouts = wanted.timeouts;
        tables
    }

    /// Another program changes the tables.
    ///
    /// # Errors
    ///
    /// As the kernel refuses it.
    pub fn meddle(&mut self, op: &Op) -> Result<(), OpErrorKind> {
        self.kernel.foreign(op)?;
        self.guard.weighed(op, &self.kernel, self.now);
        self.guard.disturbed(op);
        Ok(())
    }

    /// A source sends events.
    ///
    /// # Errors
    ///
    /// If the loop breaks a law.
    pub fn feed(&mut self, events: Vec<ClusterEvent>) -> Result<(), Violation> {
        (events.into_iter()).try_for_each(|event| self.handle(Event::Cluster(event)))
    }

    /// Lets time pass until nothing is left to do but the next audit.
    ///
    /// # Errors
    ///
    /// If the loop breaks a law, or has work left after 400 wake-ups.
    pub fn settle(&mut self) -> Result<(), Violation> {
        for _ in 0..400 {
            if self.reconciler.is_settled() && self.reconciler.drains().is_empty() {
                return Ok(());
            }
            self.wake()?;
        }
        Err(Violation::new(
            Law::InTime,
            format!("the node does not settle: {:#?}", self.reports),
        ))
    }

    /// Lets `duration` pass.
    ///
    /// # Errors
    ///
    /// If the loop breaks a law.
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

    /// Lets time pass until the loop wants to be woken, and wakes it.
    ///
    /// # Errors
    ///
    /// If the loop breaks a law.
    pub fn wake(&mut self) -> Result<(), Violation> {
        if let Some(at) = self.reconciler.poll_timeout() {
            self.now = self.now.max(at);
        }
        self.handle(Event::Timeout)
    }

    /// Gives the loop an event and carries out all that follows from it.
    ///
    /// # Errors
    ///
    /// If the loop breaks a law.
    pub fn handle(&mut self, event: Event) -> Result<(), Violation> {
        self.guard.wakes(&event, self.now);
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for effect in self.reconciler.handle(event, self.now) {
                if next.is_some() {
                    return Err(Violation::new(
                        Law::OneEffect,
                        format!("{effect:?} follows an effect whose answer is not in"),
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

    /// An effect ends after `cost`.
    fn take(&mut self, cost: Duration) {
        self.now += cost;
        self.spent += cost;
        if let Some(server) = &self.writer {
            let key = server.key;
            let added = self.kernel.foreign(&Op::AddVirtualServer(server.clone()));
            if added.is_err() {
                // It stands there from the last time.
                let _ = self.kernel.foreign(&Op::DelVirtualServer(key));
            }
        }
    }
}
