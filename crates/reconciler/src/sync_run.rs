//! One sync under way: readings, then a plan, applied stage by stage.

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

/// The subject of a sync and how far it is.
#[derive(Debug)]
pub(crate) struct SyncRun {
    pub(crate) trigger: Trigger,
    /// The tasks that were taken for it.
    pub(crate) tasks: Vec<Task>,
    pub(crate) began: Instant,
    /// Readings to be done before it is planned.
    readings: VecDeque<Reading>,
    /// The reading that is being done, and when it began.
    reading: Option<(Column, Instant)>,
    /// Columns of which everything was read.
    pub(crate) read: BTreeSet<Column>,
    /// Virtual servers that were read with their real servers.
    pub(crate) servers: BTreeSet<VirtualServerKey>,
    /// True if every virtual server was read with its real servers.
    pub(crate) all_servers: bool,
    /// Addresses of the dummy device that are not as the cache had them, and whether the device is not.
    pub(crate) moved: BTreeSet<IpAddr>,
    pub(crate) device_moved: bool,
    /// Entries that are compared.
    pub(crate) keys: TableKeys,
    /// Of these, those that the cluster changed since the last sync: a difference there is no drift.
    pub(crate) expected: TableKeys,
    /// The first sync of this process: no difference is drift.
    pub(crate) first: bool,
    /// A reading was disturbed by another writer: nothing is deleted.
    pub(crate) torn: bool,
    /// The number of events of the cluster that are applied once it ends.
    pub(crate) covers: Option<u64>,
    pub(crate) summary: Summary,
    /// Entries of which an op failed, and why.
    pub(crate) failures: BTreeMap<EntryKey, OpErrorKind>,
    /// Entries of which an op was not tried because one that it needs had failed.
    pub(crate) blocked: BTreeSet<EntryKey>,
    pub(crate) failed_ops: usize,
    /// Entries of the ops that are too many for one sync.
    pub(crate) left: TableKeys,
    /// Virtual servers among them of which a drain ends: they are read again before that.
    pub(crate) left_drains: BTreeSet<VirtualServerKey>,
    gate: DependencyGate,
    stages: VecDeque<Stage>,
    applying: bool,
    /// When the last reading ended and the plan was made.
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

    /// The same, with a reading to be done first.
    pub(crate) fn reading(mut self, column: Column, scope: Scope) -> Self {
        self.readings.push_back(Reading { column, scope });
        self
    }

    /// Adds readings of these virtual servers with their real servers, before those that wait.
    pub(crate) fn read_servers(&mut self, keys: &[VirtualServerKey]) {
        self.servers.extend(keys);
        for keys in keys.chunks(SLICE) {
            let column = Column::VirtualServers;
            let scope = column.scope(Selection::Only(keys.iter().copied().collect()));
            self.readings.push_front(Reading { column, scope });
        }
    }

    /// Adds a reading after those that wait.
    pub(crate) fn read_later(&mut self, column: Column, scope: Scope) {
        self.readings.push_back(Reading { column, scope });
    }

    /// Begins the next reading; `None` if there is none.
    pub(crate) fn next_reading(&mut self, now: Instant) -> Option<Scope> {
        let Reading { column, scope } = self.readings.pop_front()?;
        self.reading = Some((column, now));
        Some(scope)
    }

    /// Ends the reading that is being done: its column, and when it began.
    pub(crate) fn take_reading(&mut self) -> Option<(Column, Instant)> {
        self.reading.take()
    }

    /// Returns true if an effect of it is being carried out.
    pub(crate) fn is_waiting(&self) -> bool {
        self.applying || self.reading.is_some()
    }

    pub(crate) fn is_planned(&self) -> bool {
        self.planned_at.is_some()
    }

    /// The duration of its readings: the time up to `now` if it has no plan. Writing is not counted.
    pub(crate) fn time_of_reading(&self, now: Instant) -> Duration {
        let end = self.planned_at.unwrap_or(now);
        end.saturating_duration_since(self.began)
    }

    pub(crate) fn is_audit(&self) -> bool {
        self.trigger == Trigger::Audit
    }

    /// Returns true if it was begun to read a column again.
    pub(crate) fn is_of_column(&self) -> bool {
        matches!(self.tasks[..], [Task::Read(_)])
    }

    /// Returns true if `entry` was read whole.
    pub(crate) fn has_read(&self, entry: &EntryKey) -> bool {
        match entry {
            EntryKey::VirtualServer(key) => self.all_servers || self.servers.contains(key),
            entry => self.read.contains(&entry.column()),
        }
    }

    /// Leaves ops of `plan` after the first `limit` to later syncs: none of the first ones depends on them. The first sync does them
    /// all, since nothing else is done before it has ended, and so does one whose reading was torn, since it has read what it adds.
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

    /// Gives it its plan, made at `now`. `gate` knows what earlier syncs left undone.
    pub(crate) fn plan(&mut self, plan: Plan, gate: DependencyGate, now: Instant) {
        self.summary = plan.summary();
        self.stages = plan.stages.into();
        self.gate = gate;
        self.planned_at = Some(now);
    }

    /// The next ops to apply; `None` at the end. Ops that depend on one that failed are skipped.
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
        self.gate.done(op);
    }

    pub(crate) fn stage_done(&mut self) {
        self.applying = false;
    }
}
