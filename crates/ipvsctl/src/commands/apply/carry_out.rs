//! Applies a plan.

use std::fmt;

use indicatif::ProgressBar;
use kernel::{Kernel, OpStatus};
use model::chain;
use model::{OpEffect, Plan, PlannedOp, Summary};

use crate::style;

#[cfg(test)]
mod tests;

/// Outcome of a plan. Prints as `Applied: 3 added, 0 changed, 1 deleted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The changes that were made.
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
                "; {} skipped because they depend on a failed one",
                self.skipped
            )?;
        }
        Ok(())
    }
}

/// Applies `plan`. A failed change is reported on standard error, changes that depend on it are
/// skipped, all others are applied.
pub fn carry_out(kernel: &mut dyn Kernel, plan: &Plan, bar: &ProgressBar) -> Applied {
    let mut applied = Applied::default();
    kernel::apply_plan(kernel, plan, |planned, status| {
        match status {
            OpStatus::Done => {
                *match planned.op.effect() {
                    OpEffect::Add => &mut applied.done.add,
                    OpEffect::Change => &mut applied.done.change,
                    OpEffect::Delete => &mut applied.done.delete,
                } += 1;
            }
            OpStatus::Failed(error) => {
                bar.suspend(|| style::error(&described(planned, &error)));
                applied.failed += 1;
            }
            OpStatus::Skipped => applied.skipped += 1,
        }
        bar.inc(1);
    });
    bar.finish_and_clear();
    applied
}

fn described(planned: &PlannedOp, error: &kernel::OpError) -> String {
    let text = chain(error);
    match &planned.owner {
        Some(owner) => format!("{owner}: {text}"),
        None => text,
    }
}
