//! A sync in progress: its readings, then its plan, applied stage by stage.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipvs::VirtualServerKey;
use model::kernel::OpErrorKind;
use model::plan::{DependencyGate, Op, Plan, PlannedOp, Reason, Stage, Summary};
use model::snapshot::{Scope, Selection};
use model::tables::TableKeys;

use crate::agenda::Task;
use crate::column::Column;
use crate::entry::EntryKey;
use crate::messages::Trigger;
use crate::slices::SLICE;

/// A reading that a sync needs.
#[derive(Clone, Debug)]
struct Reading {
    column: Column,
    scope: Scope,
}

/// The entries of a sync and its progress.
#[derive(Debug)]
pub(crate) struct SyncRun {
    pub(crate) trigger: Trigger,
    /// The tasks that this sync runs.
    pub(crate) tasks: Vec<Task>,
    pub(crate) began: Instant,
    /// Readings to execute before the plan is made.
    readings: VecDeque<Reading>,
    /// The reading in progress and its start.
    reading: Option<(Column, Instant)>,
    /// Columns that were read completely.
    pub(crate) read: BTreeSet<Column>,
    /// Virtual servers that were read with their real servers.
    pub(crate) servers: BTreeSet<VirtualServerKey>,
    /// True if every virtual server was read with its real servers.
    pub(crate) all_servers: bool,
    /// Addresses of the dummy device that differ from the cache.
    pub(crate) moved: BTreeSet<IpAddr>,
    /// True if the existence of the dummy device differs from the cache.
    pub(crate) device_moved: bool,
    /// Entries to compare.
    pub(crate) keys: TableKeys,
    /// The part of `keys` that the cluster changed since the last sync. A difference there is not
    /// drift.
    pub(crate) expected: TableKeys,
    /// True in the first sync of this process, where no difference is drift.
    pub(crate) first: bool,
    /// True if another writer disturbed a reading. Nothing is deleted then.
    pub(crate) torn: bool,
    /// Number of cluster events that are applied once this sync ends.
    pub(crate) covers: Option<u64>,
    pub(crate) summary: Summary,
    /// The ops that succeeded.
    pub(crate) done: Summary,
    /// Entries with a failed op, and the error.
    pub(crate) failures: BTreeMap<EntryKey, OpErrorKind>,
    /// Entries with an op that was skipped because a prerequisite failed.
    pub(crate) blocked: BTreeSet<EntryKey>,
    pub(crate) failed_ops: usize,
    /// Entries of the ops that exceed the limit of one sync.
    pub(crate) left: TableKeys,
    /// Virtual servers in `left` with a drain that ends. They are read again before the drain ends.
    pub(crate) left_drains: BTreeSet<VirtualServerKey>,
    gate: DependencyGate,
    stages: VecDeque<Stage>,
    applying: bool,
    /// Time when the readings ended and the plan was made.
    planned_at: Option<Instant>,
}

impl SyncRun {
    pub(crate) fn new(trigger: Trigger, tasks: Vec<Task>, began: Instant) -> Self {
        Self {
            trigger,
            tasks,
            began,
            readings: VecDeque::new(),
            reading: None,
            read: BTreeSet::new(),
            servers: BTreeSet::new(),
            all_servers: false,
            moved: BTreeSet::new(),
            device_moved: false,
            keys: TableKeys::default(),
            expected: TableKeys::default(),
            first: false,
            torn: false,
            covers: None,
            summary: Summary::default(),
            done: Summary::default(),
            failures: BTreeMap::new(),
            blocked: BTreeSet::new(),
            failed_ops: 0,
            left: TableKeys::default(),
            left_drains: BTreeSet::new(),
            gate: DependencyGate::default(),
            stages: VecDeque::new(),
            applying: false,
            planned_at: None,
        }
    }

    /// Adds a reading to a new sync.
    pub(crate) fn reading(mut self, column: Column, scope: Scope) -> Self {
        self.readings.push_back(Reading { column, scope });
        self
    }

    /// Inserts readings of these virtual servers with their real servers before the other readings.
    pub(crate) fn read_servers(&mut self, keys: &[VirtualServerKey]) {
        self.servers.extend(keys);
        for keys in keys.chunks(SLICE) {
            let column = Column::VirtualServers;
            let scope = column.scope(Selection::Only(keys.iter().copied().collect()));
            self.readings.push_front(Reading { column, scope });
        }
    }

    /// Appends a reading.
    pub(crate) fn read_later(&mut self, column: Column, scope: Scope) {
        self.readings.push_back(Reading { column, scope });
    }

    /// Starts the next reading. Returns `None` if no reading is left.
    pub(crate) fn next_reading(&mut self, now: Instant) -> Option<Scope> {
        let Reading { column, scope } = self.readings.pop_front()?;
        self.reading = Some((column, now));
        Some(scope)
    }

    /// Ends the reading in progress and returns its column and its start.
    pub(crate) fn take_reading(&mut self) -> Option<(Column, Instant)> {
        self.reading.take()
    }

    /// Returns true if an effect of this sync is being executed.
    pub(crate) fn is_waiting(&self) -> bool {
        self.applying || self.reading.is_some()
    }

    pub(crate) fn is_planned(&self) -> bool {
        self.planned_at.is_some()
    }

    /// Returns the duration of the readings, up to `now` if there is no plan yet. The time of
    /// writing is not counted.
    pub(crate) fn time_of_reading(&self, now: Instant) -> Duration {
        let end = self.planned_at.unwrap_or(now);
        end.saturating_duration_since(self.began)
    }

    pub(crate) fn is_audit(&self) -> bool {
        self.trigger == Trigger::Audit
    }

    /// Returns true if this sync reads one column again.
    pub(crate) fn is_of_column(&self) -> bool {
        matches!(self.tasks[..], [Task::Read(_)])
    }

    /// Returns true if `entry` was read completely.
    pub(crate) fn has_read(&self, entry: &EntryKey) -> bool {
        match entry {
            EntryKey::VirtualServer(key) => self.all_servers || self.servers.contains(key),
            entry => self.read.contains(&entry.column()),
        }
    }

    /// Leaves the ops after the first `limit` to later syncs. No op within the limit depends on
    /// them.
    ///
    /// Two kinds of syncs have no limit:
    /// - the first sync, since no other task runs before it ends
    /// - a sync with a torn reading, since it has read the entries that it adds
    pub(crate) fn limit(&mut self, plan: &mut Plan, limit: usize) {
        if !self.first && !self.torn {
            for planned in plan.split_off(limit).ops() {
                self.left.merge(planned.op.keys());
                if matches!(planned.reason, Reason::Drained | Reason::DrainExpired) {
                    self.left_drains.extend(planned.op.real_server_of());
                }
            }
        }
    }

    /// Sets the plan, made at `now`. `gate` knows the entries that earlier syncs could not write.
    pub(crate) fn plan(&mut self, plan: Plan, gate: DependencyGate, now: Instant) {
        self.summary = plan.summary();
        self.stages = plan.stages.into();
        self.gate = gate;
        self.planned_at = Some(now);
    }

    /// Returns the next ops to apply, or `None` at the end. Ops with a failed prerequisite are
    /// skipped.
    pub(crate) fn next_stage(&mut self) -> Option<Stage> {
        while let Some(stage) = self.stages.pop_front() {
            let (ops, blocked) = self.gate.admit(stage.ops);
            for planned in &blocked {
                self.blocked.extend(EntryKey::all_of(&planned.op.keys()));
            }
            self.failed_ops += blocked.len();
            if !ops.is_empty() {
                self.applying = true;
                return Some(Stage { ops });
            }
        }
        None
    }

    pub(crate) fn failed(&mut self, planned: &PlannedOp, error: &OpErrorKind) {
        self.failed_ops += 1;
        for entry in EntryKey::all_of(&planned.op.keys()) {
            self.failures.insert(entry, error.clone());
        }
        self.gate.not_done(&planned.op);
    }

    pub(crate) fn done(&mut self, op: &Op) {
        self.done.count(op);
        self.gate.done(op);
    }

    pub(crate) fn stage_done(&mut self) {
        self.applying = false;
    }
}
