//! A whole plan, for programs that do one and end.

#[cfg(test)]
mod tests;

use model::plan::Undone;
use model::{Plan, PlannedOp, Stage};

use model::kernel::Kernel;
use model::kernel::OpError;

/// How many changes are handed over at once: whoever watches sees progress in between.
const CHUNK: usize = 1024;

/// What became of one change of a plan.
#[derive(Debug)]
pub enum Fate {
    /// It was done.
    Done,
    /// It failed.
    Failed(OpError),
    /// It was not tried, because it builds on one that failed ([`Undone`]).
    LeftOut,
}

/// Does all of `plan`, stage by stage, and tells what became of each change. One that fails holds up
/// only what builds on it.
pub fn carry_out(kernel: &mut dyn Kernel, plan: &Plan, mut tell: impl FnMut(&PlannedOp, Fate)) {
    let mut undone = Undone::default();
    for stage in &plan.stages {
        for chunk in stage.ops.chunks(CHUNK) {
            let (ops, left_out) = undone.admit(chunk.to_vec());
            for planned in &left_out {
                tell(planned, Fate::LeftOut);
            }
            let stage = Stage { ops };
            for (planned, outcome) in stage.ops.iter().zip(kernel.apply(&stage)) {
                match outcome {
                    Ok(()) => tell(planned, Fate::Done),
                    Err(error) => {
                        undone.note(&planned.op);
                        tell(planned, Fate::Failed(error));
                    }
                }
            }
        }
    }
}
