//! Applies a plan.

use std::collections::BTreeMap;
use std::fmt;

use indicatif::ProgressBar;
use kernel::{Kernel, OpStatus};
use model::chain;
use model::{Plan, PlannedOp, Summary};

use crate::grouping::Kind;
use crate::style;

#[cfg(test)]
mod tests;

/// Outcome of a plan. Prints as `Applied: 3 added, 0 changed, 1 deleted`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The changes that were made.
    pub done: Summary,
    /// Changes that failed.
    pub failed: usize,
    /// Changes that were not tried because they build on one that failed.
    pub skipped: usize,
    /// Number of changes of each kind that were not tried because the operator stopped the command.
    pub left: BTreeMap<Kind, usize>,
}

impl Applied {
    /// Returns true if every change was made.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && self.skipped == 0 && self.left.is_empty()
    }
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
        if self.left.is_empty() {
            return Ok(());
        }
        let made = self.done.total();
        let left: usize = self.left.values().sum();
        let kinds = self.left.iter();
        let kinds: Vec<String> = kinds
            .map(|(kind, count)| format!("{} {count}", kind.plural()))
            .collect();
        write!(
            f,
            "\nstopped: {made} of {} changes were made; run the command again to finish; not tried: {}",
            made + self.failed + self.skipped + left,
            kinds.join(", ")
        )
    }
}

/// Applies `plan`. Calls `stop` before each batch of changes, and ends once it returns true. A failed
/// change is reported on standard error, changes that depend on it are skipped, all others are
/// applied.
pub fn carry_out(
    kernel: &mut dyn Kernel,
    plan: &Plan,
    bar: &ProgressBar,
    stop: impl FnMut() -> bool,
) -> Applied {
    let mut applied = Applied::default();
    kernel::apply_plan_until(kernel, plan, stop, |planned, status| {
        match status {
            OpStatus::Done => applied.done.count(&planned.op),
            OpStatus::Failed(error) => {
                bar.suspend(|| style::error(&described(planned, &error)));
                applied.failed += 1;
            }
            OpStatus::Skipped => applied.skipped += 1,
        }
        bar.inc(1);
    });
    bar.finish_and_clear();
    // Ops are tried in the order of the plan, so those that were not tried are its last ones.
    let tried = applied.done.total() + applied.failed + applied.skipped;
    for planned in plan.ops().skip(tried) {
        *applied.left.entry(Kind::of(&planned.op)).or_default() += 1;
    }
    applied
}

fn described(planned: &PlannedOp, error: &kernel::OpError) -> String {
    let text = chain(error);
    match &planned.owner {
        Some(owner) => format!("{owner}: {text}"),
        None => text,
    }
}
