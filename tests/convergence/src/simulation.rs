//! Simulates a whole node: a source with a cluster, the loop, a failing kernel, other programs, and
//! a clock. A seed determines everything, so a run can be repeated.
//!
//! | module | contents |
//! |---|---|
//! | [`world`] | the cluster and the events of its source |
//! | [`trouble`] | lasting faults, and the entries that each affects |
//! | [`by_hand`] | other programs and clients |
//! | [`deadlines`] | wrong entries, and their deadlines |
//! | [`steps`] | the steps of a run |

mod by_hand;
mod deadlines;
mod drains;
mod random;
mod steps;
mod trouble;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use ipvs::VirtualServerKey;
use kernel::MemoryKernel;
use model::cluster::Changed;
use model::sets::served_by;
use model::tables::TableKeys;
use model::{ClusterEvent, ClusterState, NodeConfig, NodeTables, Scope};
use planner::Compiler;
use reconciler::Event;

use self::deadlines::{Cause, Deadlines, Waiting, Wrong};
use self::random::Random;
use self::trouble::Active;
use self::world::World;
use crate::node::{Law, Node, Rules, Violation};
use crate::subject::{Subject, address_of};

/// Deadline of a change: the loop gathers changes for at most 100 ms, and has a second for
/// everything else.
const CHANGE: Duration = Duration::from_millis(1_100);

/// Deadline after a notice of the node's interfaces, a changed configuration or the end of the
/// first lists.
const NOTICE: Duration = Duration::from_secs(3);

/// Deadline of a deletion after the last connection: two polls of 5 s and a margin.
const REST: Duration = Duration::from_secs(12);

/// Number of virtual servers in a slice, and the longest pause between two slices.
const SLICE: usize = 256;
const PAUSE: Duration = Duration::from_secs(60);

/// Duration of a reading of a large table.
const LARGE_READING: Duration = Duration::from_millis(8);

/// Number of trace lines in a failure.
const TRACE: usize = 150;

/// A run that broke a law.
#[derive(Debug)]
pub struct Failure {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the step, from 1.
    pub step: u64,
    /// The broken law.
    pub violation: Violation,
    /// The last events.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            step,
            violation,
            trace,
        } = self;
        writeln!(f, "seed {seed} step {step}: {violation}")?;
        trace.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

impl std::error::Error for Failure {}

/// Figures of a completed run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Number of steps.
    pub steps: u64,
    /// Simulated time.
    pub time: Duration,
    /// Number of changes of the kernel.
    pub ops: u64,
    /// Number of readings.
    pub readings: u64,
    /// Number of faults that began.
    pub faults: u64,
}

impl Figures {
    /// Adds the figures of another run.
    pub fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.time += other.time;
        self.ops += other.ops;
        self.readings += other.readings;
        self.faults += other.faults;
    }
}

/// Returns the number of steps of the run of one seed. Steps with a large table take longer.
#[must_use]
pub fn steps_of(seed: u64) -> u64 {
    if is_large(seed) { 400 } else { 2_500 }
}

fn is_large(seed: u64) -> bool {
    seed.is_multiple_of(16)
}

/// Returns the limit of ops of one sync. With it, each change of a third of the small nodes is too
/// large for one sync.
fn ops_at_once(seed: u64) -> Option<usize> {
    let limited = !is_large(seed) && seed % 3 == 1;
    limited.then(|| usize::try_from(6 + seed % 8).unwrap_or(6))
}

/// Runs `steps` steps from `seed`. Equal arguments give equal runs.
///
/// # Errors
///
/// The loop breaks a law. Then the run is repeated to record its last events.
pub fn run(seed: u64, steps: u64, rules: Rules) -> Result<Figures, Failure> {
    Simulation::new(seed, rules, None)
        .run(steps)
        .map_err(|(step, violation)| {
            let mut again = Simulation::new(seed, rules, Some(Vec::new()));
            let repeated = match again.run_on(steps) {
                Err((again, _)) if again == step => violation,
                _ => Violation::new(violation.law, format!("{violation}; NOT REPEATED")),
            };
            let mut trace = again.node.trace.take().unwrap_or_default();
            let from = trace.len().saturating_sub(TRACE);
            Failure {
                seed,
                step,
                violation: repeated,
                trace: trace.split_off(from),
            }
        })
}

/// A fault that ended.
#[derive(Debug)]
struct Ended {
    fault: Active,
    /// Time until which the fault may still have effects.
    until: Instant,
    /// True if recovery needs a reading that another fault disturbs since.
    lasts: bool,
}

impl Ended {
    fn is_felt(&self, now: Instant) -> bool {
        self.lasts || self.until > now
    }
}

/// A node and its environment.
#[derive(Debug)]
struct Simulation {
    seed: u64,
    random: Random,
    node: Node,
    world: World,
    /// The cluster as sent by the source.
    cluster: ClusterState,
    config: NodeConfig,
    compiler: Compiler,
    troubles: Vec<Active>,
    /// Faults that ended.
    ended: Vec<Ended>,
    /// Longest pause of audits beyond `syncPeriod` since readings were slow.
    audit_pause: Duration,
    /// Latest end of the wait after a slow reading that failed.
    slow_until: Option<Instant>,
    /// True while the process may not have read all tables.
    fresh: bool,
    /// Entries that other programs changed recently.
    tampered: BTreeMap<Subject, Instant>,
    /// Virtual servers that other programs added at our addresses.
    added: BTreeSet<VirtualServerKey>,
    /// Start of the first fault since the last time at which every entry was correct.
    trouble_since: Option<Instant>,
    deadlines: Deadlines,
    /// Number of entries that became wrong, which justify writes.
    justified: u64,
    spent: Duration,
    ops: u64,
    began: Instant,
    large: bool,
    /// Duration of a reading without a fault.
    reading: Duration,
    faults: u64,
}

impl Simulation {
    fn new(seed: u64, rules: Rules, trace: Option<Vec<String>>) -> Self {
        let mut random = Random::new(seed);
        let large = is_large(seed);
        let (services, ports) = match large {
            true => (110, 3),
            false => (3 + u16::try_from(random.below(10)).unwrap_or(0), 2),
        };
        let world = World::new(&mut random, services, ports);
        let config = steps::config(&mut random);
        let kernel = MemoryKernel::new();
        kernel.set_node(steps::interfaces(true, false));
        let mut node = Node::with_rules(config.clone(), kernel, rules);
        node.trace = trace;
        let reading = if large { LARGE_READING } else { Duration::ZERO };
        node.reading = reading;
        if let Some(ops) = ops_at_once(seed) {
            node.limit_ops(ops);
        }
        Self {
            seed,
            began: node.now,
            random,
            node,
            world,
            cluster: ClusterState::default(),
            compiler: Compiler::new(config.clone()),
            config,
            troubles: Vec::new(),
            trouble_since: None,
            deadlines: Deadlines::default(),
            ended: Vec::new(),
            audit_pause: Duration::ZERO,
            slow_until: None,
            fresh: true,
            tampered: BTreeMap::new(),
            added: BTreeSet::new(),
            justified: 0,
            spent: Duration::ZERO,
            ops: 0,
            large,
            reading,
            faults: 0,
        }
    }

    fn run(mut self, steps: u64) -> Result<Figures, (u64, Violation)> {
        self.run_on(steps)?;
        let counts = self.node.kernel.counts();
        Ok(Figures {
            steps,
            time: self.node.now - self.began,
            ops: counts.ops,
            readings: counts.observations,
            faults: self.faults,
        })
    }

    fn run_on(&mut self, steps: u64) -> Result<(), (u64, Violation)> {
        self.start().map_err(|violation| (0, violation))?;
        for step in 1..=steps {
            self.step().map_err(|violation| (step, violation))?;
            self.node.reports.clear();
        }
        (self.quiesce()).map_err(|violation| (steps, violation))
    }

    /// Sends events as the source, all at one instant.
    fn feed(&mut self, events: Vec<ClusterEvent>) -> Result<(), Violation> {
        let was_complete = self.cluster.is_complete();
        let mut changed = Changed::default();
        for event in &events {
            changed.merge(self.cluster.absorb(event.clone()));
        }
        let complete = self.cluster.is_complete();
        let anew = complete && !was_complete;
        if anew {
            self.compile_all();
            self.review(Cause::Anew, false);
        } else if complete && !changed.is_empty() {
            self.compile(&changed);
            self.review(Cause::Change, false);
        }
        for event in events {
            self.node.handle(Event::Cluster(event))?;
        }
        self.compare()
    }

    /// Passes an event to the loop.
    fn send(&mut self, event: Event) -> Result<(), Violation> {
        self.node.handle(event)?;
        self.compare()
    }

    /// Advances the time.
    fn pass(&mut self, time: Duration) -> Result<(), Violation> {
        let end = self.node.now + time;
        for _ in 0..100_000 {
            let next = self.node.reconciler.poll_timeout();
            let Some(at) = next.filter(|at| *at <= end) else {
                self.check(end)?;
                self.node.now = self.node.now.max(end);
                return Ok(());
            };
            self.check(at)?;
            self.node.wake()?;
            self.compare()?;
        }
        let what = format!("endless wake-ups within {time:?}");
        Err(Violation::new(Law::AtOneInstant, what))
    }

    /// Compares the tables with the desired ones after the loop has run.
    fn compare(&mut self) -> Result<(), Violation> {
        let spent = self.node.spent - self.spent;
        if !spent.is_zero() {
            self.spent = self.node.spent;
            self.deadlines.postpone(spent);
        }
        let ops = self.node.kernel.counts().ops;
        if ops != self.ops {
            self.ops = ops;
            self.review(Cause::Change, false);
            let allowed = 200 + 6 * self.justified;
            if self.node.guard.writes > allowed {
                let what = format!(
                    "{} writes for {} entries that became wrong",
                    self.node.guard.writes, self.justified
                );
                return Err(Violation::new(Law::Writes, what));
            }
        }
        self.check(self.node.now)
    }

    /// Fails if the deadline of an entry is before `at`.
    fn check(&mut self, at: Instant) -> Result<(), Violation> {
        let Err(late) = self.deadlines.check(at) else {
            return Ok(());
        };
        let tables = self.node.kernel.tables();
        let of = |tables: &NodeTables| match &late.subject {
            Subject::RealServer(key, real) => (tables.virtual_servers.get(key))
                .and_then(|entry| entry.real_servers.get(real))
                .map(|real| format!("{real:?}")),
            Subject::VirtualServer(key) => {
                (tables.virtual_servers.get(key)).map(|entry| format!("{:?}", entry.server))
            }
            _ => None,
        };
        let known = self.node.reconciler.live();
        let what = format!(
            "{}; wanted: {:?}, kernel: {:?}, known to the loop: {:?}",
            late.what,
            of(self.desired()),
            of(&tables),
            known.map(|live| of(&live.tables))
        );
        Err(Violation::new(Law::InTime, what))
    }

    /// Returns the desired tables.
    fn desired(&self) -> &NodeTables {
        &self.compiler.desired().tables
    }

    /// Compiles the whole cluster, as after a changed configuration.
    fn compile_all(&mut self) {
        self.compiler = Compiler::new(self.config.clone());
        let node = self.node.kernel.snapshot().node;
        self.compiler.compile(&self.cluster, &node, drop);
        self.node.guard.excuse(|_| true);
        self.node.guard.rules_written = true;
    }

    /// Compiles the changed objects. The loop may try their entries at once, however often they
    /// failed.
    fn compile(&mut self, changed: &Changed) {
        let keys = self.compiler.update(&self.cluster, changed);
        self.excuse(&keys);
    }

    fn excuse(&mut self, keys: &TableKeys) {
        self.node.guard.rules_written |= !keys.rules.is_empty();
        let servers = &keys.virtual_servers;
        self.node.guard.excuse(|subject| match subject {
            Subject::VirtualServer(key) | Subject::RealServer(key, _) => servers.contains(key),
            Subject::Set(name) | Subject::Entry(name, _) => {
                keys.sets.contains(name) || keys.entries.iter().any(|(set, _)| set == name)
            }
            Subject::Rules(family) => keys.rules.contains(family),
            // An address is compared with its virtual servers.
            Subject::Address(address) => {
                keys.addresses.contains(address)
                    || (servers.iter()).any(|key| address_of(*key) == Some(*address))
            }
            Subject::Device | Subject::Sysctl(_) | Subject::Timeouts | Subject::SyncDaemon(_) => {
                false
            }
        });
    }

    /// Records the entries that are wrong now, and their deadlines.
    fn review(&mut self, cause: Cause, meddled: bool) {
        if !self.cluster.is_complete() {
            return;
        }
        let desired = &self.compiler.desired().tables;
        if std::mem::take(&mut self.node.guard.rules_written) {
            let live = self.node.kernel.tables();
            self.deadlines.compare_rules(desired, &live);
        }
        let live = self.node.kernel.look(&Scope {
            rules: false,
            ..Scope::EVERYTHING
        });
        self.deadlines.deletes_at_once =
            self.config.cut_lost_endpoints || self.node.guard.rules() == Rules::ReadBeforeDrain;
        self.deadlines.disown(desired, &live);
        let wrong = (self.deadlines).compare(self.compiler.desired(), &self.config, &live);
        let new = self.deadlines.unknown(&wrong);
        self.justified += new.len() as u64;
        let new: Vec<_> = (new.into_iter())
            .map(|(subject, wrong)| {
                let cause = self.cause(&subject, cause);
                let waiting = Waiting {
                    since: self.node.now,
                    cause,
                    until: self.deadline(&subject, wrong, cause, meddled),
                    timeout: self.drain_timeout(&subject),
                    meddled,
                };
                ((subject, wrong), waiting)
            })
            .collect();
        self.deadlines.update(wrong, new);
        self.follow_drain_timeouts();
        if self.troubles.is_empty()
            && (self.deadlines.all().keys()).all(|(_, wrong)| *wrong == Wrong::Draining)
        {
            self.trouble_since = None;
            // A column may wait for its first reading after the fault has ended.
            self.fresh &= self.are_readings_disturbed();
            let long_ago = self.config.sync_period + self.audit_pause + CHANGE;
            let (now, large) = (self.node.now, self.large);
            (self.tampered).retain(|_, at| large || now.saturating_duration_since(*at) < long_ago);
        }
    }

    /// Returns the reason for which an entry is wrong. The loop cannot know of a change that
    /// another program undid, or that came before its first readings.
    fn cause(&self, subject: &Subject, cause: Cause) -> Cause {
        let reads_first = || self.are_readings_disturbed() || !self.node.reconciler.has_synced();
        match cause {
            Cause::Change if self.is_tampered(subject) => Cause::Meddled,
            // The notice was about addresses.
            Cause::Node if subject.virtual_server().is_some() && self.is_tampered(subject) => {
                Cause::Meddled
            }
            Cause::Change if self.fresh && reads_first() => Cause::Anew,
            _ => cause,
        }
    }

    /// Returns the deadline of an entry that is wrong for this reason; none while a fault excuses
    /// it.
    fn deadline(
        &self,
        subject: &Subject,
        wrong: Wrong,
        cause: Cause,
        meddled: bool,
    ) -> Option<Instant> {
        let rules = self.node.guard.rules();
        if (self.troubles.iter())
            .chain(self.lasting())
            .any(|active| active.excuses(subject, wrong, cause, rules))
        {
            return None;
        }
        if self.is_unread(subject) {
            return None;
        }
        let by_hand = || self.config.sync_period + self.audit_pause + CHANGE + self.round(subject);
        let mut time = match cause {
            Cause::Change => CHANGE + self.config.min_sync_period,
            Cause::Node | Cause::Anew => {
                NOTICE + self.config.min_sync_period + self.wait_after_slow_reading()
            }
            Cause::Meddled => by_hand(),
            Cause::Fault => self.recovery(),
        };
        if cause == Cause::Fault && (meddled || self.is_tampered(subject)) {
            time += by_hand();
        }
        match wrong {
            Wrong::Lacking | Wrong::Extra => {}
            Wrong::Resting => time += REST,
            Wrong::Draining => {
                time += REST + self.drain_timeout(subject)?;
            }
        }
        // Each sync of a few ops takes 1 ms.
        let in_parts = match ops_at_once(self.seed) {
            Some(_) => Duration::from_millis(500),
            None => Duration::ZERO,
        };
        let until = self.node.now + time + in_parts;
        let suffering = (self.ended.iter())
            .filter(|ended| ended.fault.excuses(subject, wrong, cause, rules))
            .map(|ended| ended.until);
        Some(suffering.fold(until, Instant::max))
    }

    /// Returns the rest of the wait after a slow reading that failed. Nothing shortens this wait.
    fn wait_after_slow_reading(&self) -> Duration {
        (self.slow_until).map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(self.node.now)
        })
    }

    /// Returns true while readings fail, and until their recovery deadline.
    fn are_readings_disturbed(&self) -> bool {
        let ended = (self.ended.iter()).filter(|ended| ended.is_felt(self.node.now));
        (self.troubles.iter().chain(ended.map(|ended| &ended.fault))).any(Active::disturbs_readings)
    }

    /// Returns the ended faults that still disturb readings.
    fn lasting(&self) -> impl Iterator<Item = &Active> {
        (self.ended.iter().filter(|ended| ended.lasts)).map(|ended| &ended.fault)
    }

    /// Returns true if another program recently changed the entry, its address, another part of its
    /// virtual server, or of a virtual server that it serves. A change that fails because another
    /// program deleted a real server makes the loop read the whole virtual server.
    fn is_tampered(&self, subject: &Subject) -> bool {
        let server = subject.virtual_server();
        let address = server.and_then(address_of);
        let is_near = |other: VirtualServerKey| match subject {
            Subject::Entry(_, entry) => served_by(entry, other),
            Subject::Address(address) => address_of(other) == Some(*address),
            _ => server == Some(other),
        };
        self.tampered.contains_key(subject)
            || address.is_some_and(|at| self.tampered.contains_key(&Subject::Address(at)))
            || (self.tampered.keys())
                .filter_map(Subject::virtual_server)
                .any(is_near)
    }

    /// Returns true for a part of a virtual server that waits for a reading which a fault prevents.
    fn is_unread(&self, subject: &Subject) -> bool {
        let server = subject.virtual_server();
        server.is_some()
            && self.troubles.iter().any(Active::disturbs_readings)
            && (self.deadlines.all().iter()).any(|((other, _), waiting)| {
                other.virtual_server() == server && waiting.until.is_none()
            })
    }

    /// Returns the time in which a large table is read in slices. Only slices read its real
    /// servers.
    fn round(&self, subject: &Subject) -> Duration {
        match subject {
            Subject::RealServer(..) if self.large => {
                let servers = self.desired().virtual_servers.len();
                let slices = u32::try_from(servers / SLICE + 2).unwrap_or(u32::MAX);
                slices * (PAUSE + Duration::from_secs(1))
            }
            _ => Duration::ZERO,
        }
    }

    /// Returns the recovery time after a fault. A wait doubles, so the last one is as long as all
    /// before it; and an entry may wait for another waiting entry.
    fn recovery(&self) -> Duration {
        let lasted = (self.trouble_since).map_or(Duration::ZERO, |since| self.node.now - since);
        let wait = (2 * lasted + Duration::from_millis(500)).min(self.config.sync_period);
        // A failed reading is not repeated before the duration of the reading has passed.
        let wait = wait.max(self.node.reading.min(PAUSE));
        let wait = wait.max(self.wait_after_slow_reading());
        2 * wait + Duration::from_secs(2)
    }

    /// Adds a line to the trace.
    fn note(&mut self, line: impl FnOnce() -> String) {
        self.node.note(line);
    }
}
