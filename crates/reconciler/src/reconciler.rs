//! The state machine of the reconcile loop.
//!
//! A sync reads the entries that it needs, compares them with the cache of the kernel's tables, and
//! applies the difference stage by stage. The [agenda](crate::agenda) decides which sync runs next
//! and when.

mod begin;
mod notices;
mod observe;
mod settle;
mod slow_start;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ipset::{Entry, SetName};
use ipvs::VirtualServerKey;
use model::cluster::{Changed, ClusterEvent, ClusterState};
use model::config::NodeConfig;
use model::finding::{Finding, FindingIndex};
use model::kernel::{OpError, OpErrorKind, OpOutcome};
use model::names::{Name, ObjectName};
use model::plan::{Op, Stage};
use model::policy::CheckTarget;
use model::snapshot::Snapshot;
use planner::Compiler;

use crate::agenda::{Agenda, Task};
use crate::column::Column;
use crate::drains::Drains;
use crate::messages::{Effect, Event, LostEntries, Report};
use crate::ownership::Owned;
use crate::pending::Pending;
use crate::ramps::Ramps;
use crate::slices::Slices;
use crate::sync_run::SyncRun;

use self::notices::Notices;

/// Debounce time of a change. One step of a roll-out changes several objects at once.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// Longest debounce time of the first change while further changes arrive.
const DEBOUNCE_LIMIT: Duration = Duration::from_millis(100);

/// Minimum time between two readings of the interfaces that kernel notices request.
const NOTICE_GAP: Duration = Duration::from_millis(200);

/// Reconciles the kernel tables of one node with the state of the cluster.
///
/// The reconciler does no IO. It receives [`Event`]s and the current time, and returns [`Effect`]s.
/// It owns the state of the cluster, the desired tables, a cache of the kernel's tables, and the
/// agenda.
#[derive(Debug)]
pub struct Reconciler {
    pub(crate) config: NodeConfig,
    pub(crate) cluster: ClusterState,
    pub(crate) compiler: Compiler,
    /// Changes that are not yet compiled or not yet written.
    pub(crate) pending: Pending,
    /// Arrival of the first change that is not yet compiled.
    changed_since: Option<Instant>,
    /// End of the last sync of changes.
    changes_synced: Option<Instant>,
    /// The kernel's tables as far as they are known. Torn if the last list may lack entries.
    pub(crate) cache: Snapshot,
    /// Columns of the cache that have been read.
    pub(crate) known: BTreeSet<Column>,
    /// Virtual servers that are ours and virtual servers that are foreign.
    pub(crate) owned: Owned,
    pub(crate) agenda: Agenda,
    pub(crate) drains: Drains,
    pub(crate) ramps: Ramps,
    slices: Slices,
    notices: Notices,
    pub(crate) run: Option<SyncRun>,
    /// Entries that could not be added to their sets. They are retried with the set.
    failed_entries: BTreeSet<(SetName, Entry)>,
    /// Virtual servers that this process may have added. The kernel's answer was lost, and they
    /// have not been read since.
    unsure: BTreeSet<VirtualServerKey>,
    /// Findings that the compiler does not report.
    pub(crate) findings: FindingIndex<Source>,
    /// True if the desired tables follow from `config` and the node as last read.
    compiled: bool,
    pub(crate) synced: bool,
    /// Number of cluster events received, and the number of those that no longer wait for a sync of
    /// changes.
    absorbed: u64,
    pub(crate) applied: u64,
    /// True if the last cluster event changed an object.
    pub(crate) changed_last: bool,
    /// Services that the last cluster event changed, once the first sync has ended.
    pub(crate) changed_services: BTreeSet<ObjectName>,
}

/// Origin of a finding that is not about an object of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A foreign virtual server that occupies the key of a desired one.
    Foreign(VirtualServerKey),
    /// Idle timeouts of the kernel.
    IdleTimeouts,
    /// Rules of other programs.
    HarmfulRules,
    /// Reported from outside the loop and cleared from there. A sync never clears it.
    Reported(Box<Finding>),
}

impl Reconciler {
    /// Creates a reconciler that knows neither the cluster nor the kernel.
    ///
    /// `seed` randomizes the back-off. `now` is the start of the process.
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
            ramps: Ramps::new(now),
            slices: Slices::new(now),
            notices: Notices::default(),
            run: None,
            failed_entries: BTreeSet::new(),
            unsure: BTreeSet::new(),
            findings: FindingIndex::default(),
            compiled: false,
            synced: false,
            absorbed: 0,
            changed_last: false,
            changed_services: BTreeSet::new(),
            applied: 0,
        }
    }

    /// Sets the maximum number of ops in one sync, at least 1. Simulations use a small limit to
    /// test changes that are written in parts.
    pub fn limit_ops(&mut self, ops: usize) {
        self.pending.ops_at_once = ops.max(1);
    }

    /// Handles an event that happened at `now` and returns the effects to execute.
    ///
    /// An [`Effect::Observe`] or [`Effect::Apply`] is the last effect of its batch. The next event
    /// must be its answer.
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
            Event::Checked(results) => self.checked(results, now),
            Event::Configured(config) => self.configure(*config, now),
            Event::Timeout => {}
        }
        self.proceed(now, &mut effects);
        effects
    }

    /// Returns the latest time for the next call of [`Self::handle`].
    ///
    /// Returns `None` while an effect is being executed, and before the first lists are complete.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.run.is_some() || !self.cluster.is_complete() {
            return None;
        }
        self.agenda.next()
    }

    fn configure(&mut self, config: NodeConfig, now: Instant) {
        self.compiler.configure(config.clone());
        self.drains.follow(self.compiler.desired(), &config);
        self.agenda.limit(config.sync_period, now);
        self.agenda.unpark();
        self.config = config;
        self.compiled = false;
        if self.synced {
            // The cached tables are sufficient, even while the kernel cannot be read.
            self.agenda.advance(Task::Changes, now);
        }
        self.agenda.advance(Task::Audit, now);
    }

    fn absorb(&mut self, event: ClusterEvent, now: Instant) {
        let was_complete = self.cluster.is_complete();
        let changed = self.cluster.absorb(event);
        self.changed_last = !changed.is_empty();
        self.changed_services = match self.synced {
            true => changed.services.clone(),
            false => BTreeSet::new(),
        };
        self.absorbed += 1;
        if !self.cluster.is_complete() {
            // The first audit compiles the whole cluster once the lists are complete.
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

    /// Queues the Services whose endpoints failed or recovered.
    fn checked(&mut self, results: BTreeMap<CheckTarget, Option<Name>>, now: Instant) {
        let services = self.compiler.set_health(results);
        if !services.is_empty() {
            self.pending.add(Changed {
                services,
                ..Changed::default()
            });
            self.debounce(now);
        }
    }

    /// Schedules the sync of the pending changes.
    fn debounce(&mut self, now: Instant) {
        let first = *self.changed_since.get_or_insert(now);
        let gathered = (now + DEBOUNCE).min(first + DEBOUNCE_LIMIT);
        let allowed = (self.changes_synced).map(|last| last + self.config.min_sync_period);
        let at = allowed.map_or(gathered, |allowed| gathered.max(allowed));
        self.agenda.schedule(Task::Changes, at);
    }

    /// Schedules a reading of the addresses after an interface other than the dummy device changed.
    fn interfaces_changed(&mut self, now: Instant) {
        let task = Task::Read(Column::Addresses);
        let last = self.agenda.last_run(&task);
        let at = last.map_or(now, |last| now.max(last + NOTICE_GAP));
        if self.synced || self.run.is_some() {
            self.agenda.advance(task, at);
        }
    }

    /// Schedules an audit if entries left the dummy device that this process did not delete.
    fn lost(&mut self, lost: &LostEntries, now: Instant) {
        let addresses = &self.cache.tables.addresses;
        let unexpected = (lost.device && self.cache.device)
            || (lost.addresses.iter()).any(|address| addresses.contains(address));
        if unexpected && self.synced {
            let last = self.agenda.last_run(&Task::Audit);
            let at = (self.notices).next_audit(last, self.config.sync_period, now);
            self.agenda.advance(Task::Audit, at);
        }
    }

    /// Starts or continues a sync.
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
            match outcome.or_else(|error| treat_missing_as_deleted(&planned.op, error)) {
                Ok(()) => {
                    cache.apply(&planned.op);
                    run.done(&planned.op);
                    // A complete virtual server shares its memory with the desired one.
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

    /// Counts all received events as applied if no change is pending.
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
        let checks = self.compiler.take_check_changes();
        if !checks.is_empty() {
            reports.push(Report::ChecksWanted(checks));
        }
        let skipped = self.ramps.take_skipped();
        if skipped > 0 {
            reports.push(Report::SlowStartsSkipped(skipped));
        }
        if reports.is_empty() {
            return;
        }
        // An effect that waits for an answer stays the last of its batch.
        let last = match effects.last() {
            Some(Effect::Observe(_) | Effect::Apply(_)) => effects.pop(),
            _ => None,
        };
        effects.extend(reports.into_iter().map(Effect::Report));
        effects.extend(last);
    }
}

/// Treats the deletion of an entry that is already gone as a success.
fn treat_missing_as_deleted(op: &Op, error: OpError) -> Result<(), OpError> {
    match (op, error.kind()) {
        (Op::DelVirtualServer(_), OpErrorKind::NoSuchVirtualServer)
        | (Op::DelRealServer(..), OpErrorKind::NoSuchRealServer)
        | (Op::DelAddress(_), OpErrorKind::NoSuchAddress)
        | (Op::StopSyncDaemon(_), OpErrorKind::NoSuchSyncDaemon) => Ok(()),
        _ => Err(error),
    }
}
