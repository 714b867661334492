//! One synchronisation under way.

use std::collections::VecDeque;
use std::time::Instant;

use model::plan::{DependencyGate, Op, Plan, Stage, Summary};
use model::tables::TableKeys;

use super::Cause;

/// What a synchronisation is about and how far it is.
#[derive(Debug)]
pub(super) struct Sync {
    pub(super) cause: Cause,
    /// What it is about; one of everything has more than that.
    pub(super) keys: TableKeys,
    /// Of these, what the cluster changed since the last one: a difference there is no drift.
    pub(super) expected: TableKeys,
    /// The first one of this process: whatever differs was not ours to keep.
    pub(super) first: bool,
    /// The reading it rests on was disturbed by another writer.
    pub(super) torn: bool,
    pub(super) began: Instant,
    pub(super) summary: Summary,
    /// Keys of which an op failed.
    pub(super) failures: TableKeys,
    /// Keys of which an op was not tried since one that it needs had failed.
    pub(super) skipped: TableKeys,
    pub(super) failed_ops: usize,
    gate: DependencyGate,
    stages: VecDeque<Stage>,
    waiting: bool,
}

impl Sync {
    /// A synchronisation that waits for a reading.
    pub(super) fn waiting(cause: Cause, keys: TableKeys, began: Instant) -> Self {
        Self {
            cause,
            expected: TableKeys::default(),
            keys,
            first: false,
            torn: false,
            began,
            summary: Summary::default(),
            failures: TableKeys::default(),
            skipped: TableKeys::default(),
            failed_ops: 0,
            gate: DependencyGate::default(),
            stages: VecDeque::new(),
            waiting: true,
        }
    }

    /// What it is about; none is everything.
    pub(super) fn about(&self) -> Option<&TableKeys> {
        (!self.is_whole()).then_some(&self.keys)
    }

    /// Whether it is about everything.
    pub(super) fn is_whole(&self) -> bool {
        self.cause == Cause::Audit
    }

    /// Whether an effect of it is being carried out.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Gives it what to do.
    pub(super) fn plan(&mut self, plan: Plan) {
        self.summary = plan.summary();
        self.stages = plan.stages.into();
        self.waiting = false;
    }

    /// What to do next; none at the end. Ops that build on one that failed are left out.
    pub(super) fn next_stage(&mut self) -> Option<Stage> {
        while let Some(stage) = self.stages.pop_front() {
            let (ops, skipped) = self.gate.admit(stage.ops);
            for planned in &skipped {
                self.skipped.merge(planned.op.keys());
            }
            self.failed_ops += skipped.len();
            if !ops.is_empty() {
                self.waiting = true;
                return Some(Stage { ops });
            }
        }
        None
    }

    pub(super) fn failed(&mut self, op: &Op) {
        self.failed_ops += 1;
        self.failures.merge(op.keys());
        self.gate.not_done(op);
    }

    pub(super) fn stage_done(&mut self) {
        self.waiting = false;
    }
}
