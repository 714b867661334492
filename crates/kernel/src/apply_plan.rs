//! Applies a whole plan, for programs that run once and exit.

#[cfg(test)]
mod tests;

use model::kernel::{Kernel, OpError};
use model::plan::DependencyGate;
use model::{Plan, PlannedOp, Stage};

/// Maximum number of ops passed to the kernel at once, so that an observer sees progress.
const CHUNK: usize = 1024;

/// Outcome of one op of a plan.
#[derive(Debug)]
pub enum OpStatus {
    /// The op succeeded.
    Done,
    /// The op failed.
    Failed(OpError),
    /// The op was skipped, because it depends on an op that failed ([`DependencyGate`]).
    Skipped,
}

/// Applies `plan` stage by stage and reports the status of each op. A failed op blocks only the
/// ops that depend on it.
pub fn apply_plan(kernel: &mut dyn Kernel, plan: &Plan, report: impl FnMut(&PlannedOp, OpStatus)) {
    apply_plan_until(kernel, plan, || false, report);
}

/// As [`apply_plan`], until `stop` returns true. `stop` is called before each batch of at most 1,024
/// ops, whose outcomes are always reported. Ops that were not started are not reported.
pub fn apply_plan_until(
    kernel: &mut dyn Kernel,
    plan: &Plan,
    mut stop: impl FnMut() -> bool,
    mut report: impl FnMut(&PlannedOp, OpStatus),
) {
    let mut gate = DependencyGate::default();
    let chunks = (plan.stages.iter()).flat_map(|stage| stage.ops.chunks(CHUNK));
    for chunk in chunks {
        if stop() {
            return;
        }
        let (ops, skipped) = gate.admit(chunk.to_vec());
        for planned in &skipped {
            report(planned, OpStatus::Skipped);
        }
        let stage = Stage { ops };
        for (planned, outcome) in stage.ops.iter().zip(kernel.apply(&stage)) {
            match outcome {
                Ok(()) => {
                    gate.done(&planned.op);
                    report(planned, OpStatus::Done);
                }
                Err(error) => {
                    gate.not_done(&planned.op);
                    report(planned, OpStatus::Failed(error));
                }
            }
        }
    }
}
