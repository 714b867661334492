//! A node that the benchmark drives directly: the daemon's reconciler, the real kernel, and a
//! simulated clock. The duration of a change is therefore the work for it, without the pause in
//! which changes are gathered.

use std::time::{Duration, Instant};

use kernel::{Kernel, LinuxKernel, ModulePolicy};
use model::plan::{Op, Stage};
use model::{ClusterEvent, NodeConfig, Scope, Selection};
use reconciler::{Effect, Event, Reconciler, Report};

use crate::Outcome;
use crate::shape::NODE;

/// Duration and extent of the work for one operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    pub(crate) all: Duration,
    pub(crate) reading: Duration,
    pub(crate) servers: Duration,
    pub(crate) sets: Duration,
    pub(crate) rules: Duration,
    pub(crate) addresses: Duration,
    pub(crate) settings: Duration,
    /// Number of changes of the kernel.
    pub(crate) ops: usize,
    /// Number of memory pages that were used for the first time.
    pub(crate) page_faults: i64,
}

impl Work {
    /// Returns the kernel's part of the duration.
    pub(crate) fn kernel(&self) -> Duration {
        self.reading + self.servers + self.sets + self.rules + self.addresses + self.settings
    }

    fn part(&mut self, part: Part) -> &mut Duration {
        match part {
            Part::Servers => &mut self.servers,
            Part::Sets => &mut self.sets,
            Part::Rules => &mut self.rules,
            Part::Addresses => &mut self.addresses,
            Part::Settings => &mut self.settings,
        }
    }
}

/// A node that the benchmark drives.
pub(crate) struct Node {
    reconciler: Reconciler,
    kernel: LinuxKernel,
    now: Instant,
}

impl Node {
    /// Starts a daemon.
    pub(crate) fn start() -> Outcome<Self> {
        let now = Instant::now();
        let mut config = NodeConfig::new(NODE);
        // The limit of tracked connections belongs to the machine, and can be set only in the first
        // network namespace.
        config.kernel_settings.conntrack.max_per_core = 0;
        Ok(Self {
            reconciler: Reconciler::new(config, 1, now),
            kernel: LinuxKernel::open(ModulePolicy::Load)?,
            now,
        })
    }

    /// Passes `events` to the reconciler and works until no task is due.
    pub(crate) fn take(&mut self, events: Vec<ClusterEvent>) -> Outcome<Work> {
        let faults = page_faults();
        let began = Instant::now();
        let mut work = Work::default();
        for event in events {
            self.handle(Event::Cluster(event), &mut work)?;
        }
        // Changes are gathered for a while: the clock advances to the end of that.
        self.now += Duration::from_millis(20);
        self.handle(Event::Timeout, &mut work)?;
        // Many changes are compiled in pieces, one after the other.
        let soon = Duration::from_millis(2);
        while let Some(at) = (self.reconciler.poll_timeout()).filter(|at| *at <= self.now + soon) {
            self.now = self.now.max(at);
            self.handle(Event::Timeout, &mut work)?;
        }
        work.all = began.elapsed();
        work.page_faults = page_faults() - faults;
        Ok(work)
    }

    /// Reads and compares everything.
    pub(crate) fn audit(&mut self) -> Outcome<Work> {
        self.now += self.reconciler.config().sync_period;
        self.take(Vec::new())
    }

    /// Reads all virtual and real servers and returns the duration.
    pub(crate) fn read_servers(&mut self) -> Outcome<Duration> {
        let scope = Scope {
            virtual_servers: Selection::All,
            ..Scope::NOTHING
        };
        let began = Instant::now();
        let read = self.kernel.observe(&scope)?;
        let took = began.elapsed();
        let expected = &self.desired().tables.virtual_servers;
        match read.tables.virtual_servers == *expected {
            true => Ok(took),
            false => Err("the tables that were read differ from those that were written".into()),
        }
    }

    /// Returns the desired tables.
    pub(crate) fn desired(&self) -> &model::Desired {
        self.reconciler.desired()
    }

    fn handle(&mut self, event: Event, work: &mut Work) -> Outcome {
        let mut next = vec![event];
        while let Some(event) = next.pop() {
            for effect in self.reconciler.handle(event, self.now) {
                match effect {
                    Effect::Observe(scope) => {
                        let began = Instant::now();
                        let answer = self.kernel.observe(&scope);
                        work.reading += began.elapsed();
                        next.push(Event::Observed(scope, answer));
                    }
                    Effect::Apply(stage) => {
                        let outcomes = self.apply(&stage, work);
                        next.push(Event::Applied(stage, outcomes));
                    }
                    Effect::Report(Report::OpFailed(op, error)) => {
                        return Err(format!("{}: {error}", op.op).into());
                    }
                    Effect::Report(Report::ObserveFailed(error)) => return Err(error.into()),
                    Effect::Report(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Applies a stage as the kernel crate does, table by table.
    fn apply(&mut self, stage: &Stage, work: &mut Work) -> Vec<kernel::OpOutcome> {
        work.ops += stage.ops.len();
        let runs: Vec<_> = stage
            .ops
            .chunk_by(|a, b| part(&a.op) == part(&b.op))
            .collect();
        if let [run] = runs[..] {
            let began = Instant::now();
            let outcomes = self.kernel.apply(stage);
            *work.part(part(&run[0].op)) += began.elapsed();
            return outcomes;
        }
        let mut outcomes = Vec::with_capacity(stage.ops.len());
        for run in runs {
            let ops = run.to_vec();
            let began = Instant::now();
            outcomes.extend(self.kernel.apply(&Stage { ops }));
            *work.part(part(&run[0].op)) += began.elapsed();
        }
        outcomes
    }
}

/// Returns the number of pages that this process touched for the first time (`ru_minflt`,
/// getrusage(2)).
fn page_faults() -> i64 {
    // SAFETY: an all-zero `rusage` is valid, and outlives the call that fills it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage.ru_minflt
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Servers,
    Sets,
    Rules,
    Addresses,
    Settings,
}

fn part(op: &Op) -> Part {
    match op {
        Op::SetSysctl(..) | Op::SetTimeouts(_) | Op::StopSyncDaemon(_) | Op::StartSyncDaemon(_) => {
            Part::Settings
        }
        Op::CreateSet(..)
        | Op::ReplaceSet(..)
        | Op::AddEntry(..)
        | Op::DelEntry(..)
        | Op::DestroySet(_) => Part::Sets,
        Op::PatchRules(..) => Part::Rules,
        Op::EnsureDevice | Op::DelDevice | Op::AddAddress(_) | Op::DelAddress(_) => Part::Addresses,
        Op::AddVirtualServer(_)
        | Op::SetVirtualServer(_)
        | Op::DelVirtualServer(_)
        | Op::AddRealServer(..)
        | Op::SetRealServer(..)
        | Op::DelRealServer(..) => Part::Servers,
    }
}
