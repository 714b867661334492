//! Carrying a plan out.

use std::fmt;

use indicatif::ProgressBar;
use kernel::Kernel;
use model::chain;
use model::plan::Undone;
use model::{OpEffect, Plan, PlannedOp, Stage, Summary};

use crate::output::style;

#[cfg(test)]
mod tests;

/// How many changes are handed over at once: the bar moves between.
const CHUNK: usize = 1024;

/// What became of a plan. Prints as `Applied: 3 added, 0 changed, 1 deleted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// What was done.
    pub done: Summary,
    /// Changes that failed.
    pub failed: usize,
    /// Changes that were not tried because they build on one that failed.
    pub skipped: usize,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary {
            add,
            change,
            delete,
        } = self.done;
        write!(
            f,
            "Applied: {add} added, {change} changed, {delete} deleted"
        )?;
        if self.failed > 0 {
            write!(f, "; {} failed", self.failed)?;
        }
        if self.skipped > 0 {
            write!(
                f,
                "; {} left out because they build on a failed one",
                self.skipped
            )?;
        }
        Ok(())
    }
}

/// Does all of `plan`, stage by stage. A change that fails is told on standard error, what builds on
/// it is left out, and all else is done.
pub fn carry_out(kernel: &mut dyn Kernel, plan: &Plan, bar: &ProgressBar) -> Applied {
    let mut applied = Applied::default();
    let mut undone = Undone::default();
    for stage in &plan.stages {
        for chunk in stage.ops.chunks(CHUNK) {
            let (skipped, ops): (Vec<_>, Vec<_>) =
                (chunk.iter().cloned()).partition(|planned| undone.blocks(&planned.op));
            for planned in &skipped {
                undone.note(&planned.op);
            }
            applied.skipped += skipped.len();
            apply(kernel, ops, &mut applied, &mut undone, bar);
            bar.inc(chunk.len() as u64);
        }
    }
    bar.finish_and_clear();
    applied
}

fn apply(
    kernel: &mut dyn Kernel,
    ops: Vec<PlannedOp>,
    applied: &mut Applied,
    undone: &mut Undone,
    bar: &ProgressBar,
) {
    let stage = Stage { ops };
    for (planned, outcome) in stage.ops.iter().zip(kernel.apply(&stage)) {
        match outcome {
            Ok(()) => {
                *match planned.op.effect() {
                    OpEffect::Add => &mut applied.done.add,
                    OpEffect::Change => &mut applied.done.change,
                    OpEffect::Delete => &mut applied.done.delete,
                } += 1;
            }
            Err(error) => {
                bar.suspend(|| style::error(&described(planned, &error)));
                undone.note(&planned.op);
                applied.failed += 1;
            }
        }
    }
}

fn described(planned: &PlannedOp, error: &kernel::OpError) -> String {
    let text = chain(error);
    match &planned.owner {
        Some(owner) => format!("{owner}: {text}"),
        None => text,
    }
}
