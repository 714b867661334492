//! The reconciler on a kernel in memory, in a time of its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kernel::{Kernel as _, MemoryKernel};
use model::{ClusterEvent, NodeConfig, NodeTables};
use reconciler::{Effect, Event, Reconciler, Report};

/// A node.
#[derive(Debug)]
pub struct Simulation {
    /// Its kernel.
    pub kernel: MemoryKernel,
    /// Its reconciler.
    pub reconciler: Reconciler,
    /// What was reported so far.
    pub reports: Vec<Report>,
    /// The time.
    pub now: Instant,
}

impl Simulation {
    /// What the kernel holds, without settings that nobody asks for.
    #[must_use]
    pub fn tables(&self) -> NodeTables {
        let mut tables = self.kernel.tables();
        let wanted = &self.reconciler.desired().tables;
        (tables.sysctls).retain(|name, _| wanted.sysctls.contains_key(name));
        tables.timeouts = wanted.timeouts;
        tables
    }

    /// A node with this kernel whose daemon has just started.
    #[must_use]
    pub fn new(config: NodeConfig, kernel: MemoryKernel) -> Self {
        let now = Instant::now();
        Self {
            kernel,
            reconciler: Reconciler::new(config, 1, now),
            reports: Vec::new(),
            now,
        }
    }

    /// The source speaks.
    pub fn feed(&mut self, events: Vec<ClusterEvent>) {
        for event in events {
            self.handle(Event::Cluster(event));
        }
    }

    /// Lets time pass until nothing is left to do but the next audit.
    ///
    /// # Panics
    ///
    /// If that does not come within 200 wake-ups.
    pub fn settle(&mut self) {
        for _ in 0..200 {
            if self.reconciler.is_settled() {
                return;
            }
            self.wake();
        }
        panic!("the node does not settle: {:#?}", self.reports);
    }

    /// Lets `duration` pass.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.reconciler.poll_timeout()
            && at <= end
        {
            self.wake();
        }
        self.now = end;
    }

    fn wake(&mut self) {
        if let Some(at) = self.reconciler.poll_timeout() {
            self.now = self.now.max(at);
        }
        self.handle(Event::Timeout);
    }

    fn handle(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.reconciler.handle(event, self.now) {
                match effect {
                    Effect::Observe(scope) => {
                        let answer = self.kernel.observe(&scope);
                        events.push_back(Event::Observed(scope, answer));
                    }
                    Effect::Apply(stage) => {
                        let outcomes = self.kernel.apply(&stage);
                        events.push_back(Event::Applied(stage, outcomes));
                    }
                    Effect::Report(report) => self.reports.push(report),
                }
            }
        }
    }
}
