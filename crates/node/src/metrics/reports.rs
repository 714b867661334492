//! Updates metrics from reports of the reconciler and outcomes of the kernel.

use std::collections::BTreeMap;

use kernel::{Errno, OpOutcome};
use model::plan::{Op, Stage};

use super::{Metrics, errno_name, family_name, set};
use crate::health::Moment;
use reconciler::{Column, EntryKey, Reconciler, Report};

/// Label for failures without an errno: the answer was lost, or a program failed.
const NO_ERRNO: &str = "none";

impl Metrics {
    /// Counts a report of the reconciler. [`Self::applied`] counts ops.
    pub fn observe(&self, report: &Report, now: Moment) {
        match report {
            Report::Synced {
                trigger,
                failed,
                took,
                ..
            } => self.synced(trigger.name(), *took, *failed),
            Report::Audited => self.audited(now.instant),
            Report::Drift(planned) => {
                let drift = &self.handles.drift;
                drift.with_label_values(&[op_name(&planned.op)]).inc();
            }
            Report::OpFailed(..) | Report::ChecksWanted(_) => {}
            Report::ObserveFailed(_) => self.observe_failed(),
            Report::FindingRaised(finding) => self.finding(finding.code, 1.0),
            Report::FindingCleared(finding) => self.finding(finding.code, -1.0),
            Report::SlowStartsSkipped(count) => self.slow_starts_skipped(*count),
            Report::DeletionsWithheld(count) => self.withheld(*count),
        }
    }

    /// Counts the outcomes of the ops of `stage`, in the same order.
    pub fn applied(&self, stage: &Stage, outcomes: &[OpOutcome]) {
        for (planned, outcome) in stage.ops.iter().zip(outcomes) {
            let errno = outcome.as_ref().map_err(kernel::OpError::errno);
            self.op(&planned.op, errno.copied());
        }
    }

    /// Counts real servers that started with their full weight despite slow start.
    pub fn slow_starts_skipped(&self, count: usize) {
        let none: [&str; 0] = [];
        let skipped = self.handles.slow_starts_skipped.with_label_values(&none);
        skipped.inc_by(count.try_into().unwrap_or(u64::MAX));
    }

    /// Sets the numbers of slow starts, of failing entries by kind, of failing readings by column, and of entries
    /// that wait for later syncs.
    pub fn unsettled(&self, reconciler: &Reconciler) {
        let handles = &self.handles;
        set(&handles.slow_starts, &[], reconciler.ramps().len() as f64);
        set(
            &handles.large_services,
            &[],
            reconciler.large_services() as f64,
        );
        set(
            &handles.waiting_entries,
            &[],
            reconciler.pending_entries() as f64,
        );
        let entries = reconciler.failing_kinds();
        for kind in EntryKey::KINDS {
            let count = entries.get(kind).copied().unwrap_or_default();
            set(&self.handles.failing_entries, &[kind], count as f64);
        }
        let mut readings: BTreeMap<Column, usize> = BTreeMap::new();
        for (task, _) in reconciler.failing_readings() {
            *readings.entry(task.column()).or_default() += 1;
        }
        for column in Column::ALL {
            let count = readings.get(&column).copied().unwrap_or_default();
            let label = [column.name()];
            set(&self.handles.failing_readings, &label, count as f64);
        }
    }

    /// Counts one attempted op.
    pub fn op(&self, op: &Op, outcome: Result<(), Option<Errno>>) {
        let handles = &self.handles;
        let name = op_name(op);
        handles.operations.with_label_values(&[name]).inc();
        if let Err(errno) = outcome {
            let errno = errno.map_or_else(|| NO_ERRNO.to_owned(), |errno| errno_name(errno.0));
            handles.errors.with_label_values(&[name, &errno]).inc();
            if let Op::PatchRules(family, _) = op {
                let failures = &handles.restore_failures;
                failures.with_label_values(&[family_name(*family)]).inc();
            }
        }
    }
}

/// Returns the value of the label `operation` for an op.
#[must_use]
pub fn op_name(op: &Op) -> &'static str {
    match op {
        Op::SetSysctl(..) => "set_sysctl",
        Op::SetTimeouts(_) => "set_timeouts",
        Op::StopSyncDaemon(_) => "stop_sync_daemon",
        Op::StartSyncDaemon(_) => "start_sync_daemon",
        Op::CreateSet(..) => "create_set",
        Op::ReplaceSet(..) => "replace_set",
        Op::AddEntry(..) => "add_entry",
        Op::DelEntry(..) => "delete_entry",
        Op::DestroySet(_) => "destroy_set",
        Op::PatchRules(..) => "patch_rules",
        Op::EnsureDevice => "ensure_device",
        Op::DelDevice => "delete_device",
        Op::AddAddress(_) => "add_address",
        Op::DelAddress(_) => "delete_address",
        Op::AddVirtualServer(_) => "add_virtual_server",
        Op::SetVirtualServer(_) => "change_virtual_server",
        Op::DelVirtualServer(_) => "delete_virtual_server",
        Op::AddRealServer(..) => "add_real_server",
        Op::SetRealServer(..) => "change_real_server",
        Op::DelRealServer(..) => "delete_real_server",
    }
}
