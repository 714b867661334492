//! The state machine.
//!
//! A sync reads what it needs, compares the entries it is about with the cache of the kernel's tables, and applies the
//! difference stage by stage. The [agenda](crate::agenda) decides which sync is next and when.

mod begin;
mod notices;
mod observe;
mod settle;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ipset::{Entry, SetName};
use ipvs::VirtualServerKey;
use model::cluster::{ClusterEvent, ClusterState};
use model::config::NodeConfig;
use model::finding::{Finding, FindingIndex};
use model::kernel::{OpError, OpErrorKind, OpOutcome};
use model::plan::{Op, Stage};
use model::snapshot::Snapshot;
use planner::Compiler;

use crate::agenda::{Agenda, Task};
use crate::column::Column;
use crate::drains::Drains;
use crate::messages::{Effect, Event, Lost, Report};
use crate::ownership::Owned;
use crate::pending::Pending;
use crate::slices::Slices;
use crate::sync_run::SyncRun;

use self::notices::Notices;

/// Time that a change waits for others: one roll-out step changes several objects at once.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// Time that a first change waits at most while others keep coming.
const DEBOUNCE_LIMIT: Duration = Duration::from_millis(100);

/// Time between two readings of the interfaces that the kernel's notices ask for.
const NOTICE_GAP: Duration = Duration::from_millis(200);

/// The state machine.
#[derive(Debug)]
pub struct Reconciler {
    pub(crate) config: NodeConfig,
    pub(crate) cluster: ClusterState,
    pub(crate) compiler: Compiler,
    /// Changes that are not compiled or not written yet.
    pub(crate) pending: Pending,
    /// When the first of those came that are not compiled.
    changed_since: Option<Instant>,
    /// When changes were synced last.
    changes_synced: Option<Instant>,
    /// The kernel's tables as far as they are known; torn if the last list may lack entries.
    pub(crate) cache: Snapshot,
    /// Columns of the cache that have been read.
    pub(crate) known: BTreeSet<Column>,
    /// Which virtual servers are ours, and which are foreign.
    pub(crate) owned: Owned,
    pub(crate) agenda: Agenda,
    pub(crate) drains: Drains,
    slices: Slices,
    notices: Notices,
    pub(crate) run: Option<SyncRun>,
    /// Entries that could not be added to their sets. They are tried again with the set.
    failed_entries: BTreeSet<(SetName, Entry)>,
    /// Virtual servers that this process may have added: the kernel's answer was lost, and they were not read since.
    unsure: BTreeSet<VirtualServerKey>,
    /// Findings that the compiler does not know.
    pub(crate) findings: FindingIndex<Source>,
    /// True if the compiler follows `config` and the node.
    compiled: bool,
    pub(crate) synced: bool,
    /// Events of the cluster taken in, and how many of them no longer wait for a sync of changes.
    absorbed: u64,
    pub(crate) applied: u64,
}

/// Where a finding comes from that is not about the cluster's objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A foreign virtual server stands in the way of this one.
    Foreign(VirtualServerKey),
    /// Idle timeouts of the kernel.
    IdleTimeouts,
    /// Rules of other programs.
    HarmfulRules,
    /// Reported from outside the loop, and cleared from there; a sync never clears it.
    Reported(Box<Finding>),
}

impl Reconciler {
    /// A reconciler that has seen nothing. `seed` spreads its attempts; `now` is when it begins.
    #[must_use]
    pub fn new(config: NodeConfig, seed: u64, now: Instant) -> Self {
        Self {
            compiler: Compiler::new(config.clone()),
            agenda: Agenda::new(config.sync_period, seed, now),
            config,
            cluster: ClusterState::default(),
            pending: Pending::default(),
            changed_since: None,
            changes_synced: None,
            cache: Snapshot::default(),
            known: BTreeSet::new(),
            owned: Owned::default(),
            drains: Drains::default(),
            slices: Slices::new(now),
            notices: Notices::default(),
            run: None,
            failed_entries: BTreeSet::new(),
            unsure: BTreeSet::new(),
            findings: FindingIndex::default(),
            compiled: false,
            synced: false,
            absorbed: 0,
            applied: 0,
        }
    }

    /// Sets the number of ops of one sync at most, one at least. A small one shows in a simulation that a change may be written in parts.
    pub fn limit_ops(&mut self, ops: usize) {
        self.pending.ops_at_once = ops.max(1);
    }

    /// Takes in what happened at `now`, and returns what is to be done. An observe or apply effect is the last of
    /// its batch; the next event is to be its answer.
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Cluster(event) => self.absorb(event, now),
            Event::Observed(scope, answer) => self.observed(&scope, answer, now, &mut effects),
            Event::Applied(stage, outcomes) => self.note_outcomes(&stage, outcomes, &mut effects),
            Event::NodeChanged => self.interfaces_changed(now),
            Event::Lost(lost) => self.lost(&lost, now),
            Event::Found(finding) => {
                let source = Source::Reported(Box::new(finding.clone()));
                self.findings.set(source, vec![finding]);
            }
            Event::Gone(finding) => {
                (self.findings).set(Source::Reported(Box::new(finding)), Vec::new());
            }
            Event::Configured(config) => self.configure(*config, now),
            Event::Timeout => {}
        }
        self.proceed(now, &mut effects);
        effects
    }

    /// When to come back at the latest; `None` while an effect is being carried out, or while the first lists are not
    /// in.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.run.is_some() || !self.cluster.is_complete() {
            return None;
        }
        self.agenda.next()
    }

    fn configure(&mut self, config: NodeConfig, now: Instant) {
        self.compiler.configure(config.clone());
        self.drains.follow(&config);
        self.agenda.limit(config.sync_period);
        self.agenda.unpark();
        self.config = config;
        self.compiled = false;
        if self.synced {
            // What is known of the kernel is enough, even while it cannot be read.
            self.agenda.advance(Task::Changes, now);
        }
        self.agenda.advance(Task::Audit, now);
    }

    fn absorb(&mut self, event: ClusterEvent, now: Instant) {
        let was_complete = self.cluster.is_complete();
        let changed = self.cluster.absorb(event);
        self.absorbed += 1;
        if !self.cluster.is_complete() {
            // Compiled as a whole once the lists are in.
            return;
        }
        if !was_complete {
            self.agenda.advance(Task::Audit, now);
        } else if !changed.is_empty() {
            self.pending.add(changed);
            self.debounce(now);
        }
        self.count_applied();
    }

    /// Schedules the sync of the changes gathered so far.
    fn debounce(&mut self, now: Instant) {
        let first = *self.changed_since.get_or_insert(now);
        let gathered = (now + DEBOUNCE).min(first + DEBOUNCE_LIMIT);
        let allowed = (self.changes_synced).map(|last| last + self.config.min_sync_period);
        let at = allowed.map_or(gathered, |allowed| gathered.max(allowed));
        self.agenda.schedule(Task::Changes, at);
    }

    /// An interface other than the dummy device changed.
    fn interfaces_changed(&mut self, now: Instant) {
        let task = Task::Read(Column::Addresses);
        let last = self.agenda.last_run(&task);
        let at = last.map_or(now, |last| now.max(last + NOTICE_GAP));
        if self.synced || self.run.is_some() {
            self.agenda.advance(task, at);
        }
    }

    /// Entries left the dummy device. Unless that was this process, the kernel is read again.
    fn lost(&mut self, lost: &Lost, now: Instant) {
        let addresses = &self.cache.tables.addresses;
        let unexpected = (lost.device && self.cache.device)
            || (lost.addresses.iter()).any(|address| addresses.contains(address));
        if unexpected && self.synced {
            let last = self.agenda.last_run(&Task::Audit);
            let at = (self.notices).next_audit(last, self.config.sync_period, now);
            self.agenda.advance(Task::Audit, at);
        }
    }

    /// Begins or continues a sync.
    fn proceed(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        loop {
            match &mut self.run {
                Some(run) if run.is_waiting() => break,
                Some(run) if !run.is_planned() => match run.next_reading(now) {
                    Some(scope) => {
                        effects.push(Effect::Observe(scope));
                        break;
                    }
                    None => self.plan(now, effects),
                },
                Some(run) => match run.next_stage() {
                    Some(stage) => {
                        effects.push(Effect::Apply(stage));
                        break;
                    }
                    None => self.finish(now, effects),
                },
                None if !self.cluster.is_complete() => break,
                None => match self.agenda.take(now) {
                    Some(task) => self.begin(task, now),
                    None => break,
                },
            }
        }
        self.report_findings(effects);
    }

    fn note_outcomes(
        &mut self,
        stage: &Stage,
        outcomes: Vec<OpOutcome>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(run) = &mut self.run else {
            return;
        };
        let cache = &mut self.cache;
        let desired = &self.compiler.desired().tables;
        let mut ops = stage.ops.iter().zip(outcomes).peekable();
        while let Some((planned, outcome)) = ops.next() {
            match outcome.or_else(|error| gone(&planned.op, error)) {
                Ok(()) => {
                    cache.apply(&planned.op);
                    run.done(&planned.op);
                    // A virtual server that is complete shares its memory with the desired one.
                    if let Some(key) = planned.op.real_server_of()
                        && (ops.peek())
                            .is_none_or(|(next, _)| next.op.real_server_of() != Some(key))
                    {
                        cache.tables.share_virtual_server(desired, &key);
                    }
                    match &planned.op {
                        Op::AddVirtualServer(server) => {
                            self.owned.created(server.key);
                            self.unsure.remove(&server.key);
                        }
                        Op::DelVirtualServer(key) => {
                            self.owned.deleted(*key);
                        }
                        Op::AddEntry(set, entry) if !self.failed_entries.is_empty() => {
                            self.failed_entries.remove(&(set.clone(), *entry));
                        }
                        _ => {}
                    }
                }
                Err(error) => {
                    run.failed(planned, error.kind());
                    match &planned.op {
                        Op::AddEntry(set, entry) => {
                            self.failed_entries.insert((set.clone(), *entry));
                        }
                        Op::AddVirtualServer(server) if *error.kind() == OpErrorKind::Unknown => {
                            self.unsure.insert(server.key);
                        }
                        _ => {}
                    }
                    effects.push(Effect::Report(Report::OpFailed(planned.clone(), error)));
                }
            }
        }
        run.stage_done();
    }

    /// Counts the events taken in as applied if nothing of them waits.
    fn count_applied(&mut self) {
        let waits = self.pending.has_changes() || self.run.is_some() || !self.compiled;
        if self.synced && !waits {
            self.applied = self.absorbed;
        }
    }

    fn report_findings(&mut self, effects: &mut Vec<Effect>) {
        let mut reports = Vec::new();
        for changes in [
            self.compiler.take_finding_changes(),
            self.findings.take_changes(),
        ] {
            reports.extend(changes.raised.into_iter().map(Report::FindingRaised));
            reports.extend(changes.cleared.into_iter().map(Report::FindingCleared));
        }
        if reports.is_empty() {
            return;
        }
        // An effect that waits for an answer stays the last one.
        let last = match effects.last() {
            Some(Effect::Observe(_) | Effect::Apply(_)) => effects.pop(),
            _ => None,
        };
        effects.extend(reports.into_iter().map(Effect::Report));
        effects.extend(last);
    }
}

/// A deletion of what another program deleted before is done.
fn gone(op: &Op, error: OpError) -> Result<(), OpError> {
    match (op, error.kind()) {
        (Op::DelVirtualServer(_), OpErrorKind::NoSuchVirtualServer)
        | (Op::DelRealServer(..), OpErrorKind::NoSuchRealServer)
        | (Op::DelAddress(_), OpErrorKind::NoSuchAddress) => Ok(()),
        _ => Err(error),
    }
}
