//! `--cleanup`.

use std::process::ExitCode;

use kernel::linux::leftovers::Sweeper;
use kernel::{Kernel, ObserveError, OpStatus, apply_plan};
use model::{Leftovers, NodeConfig, Op, Scope, chain};
use planner::Ownership;
use tracing::{error, info};

/// Deletes our entries from the node, and with `sweeper` the rules of an old kube-proxy's ipvs
/// mode, which refer to our sets. The status is 1 if anything could not be deleted.
pub(super) fn clean(
    kernel: &mut dyn Kernel,
    mut sweeper: Sweeper,
    config: &NodeConfig,
) -> Result<ExitCode, ObserveError> {
    let live = kernel.observe(&Scope::EVERYTHING)?;
    let plan = planner::cleanup(&live, &Ownership::new(config));
    // The rules restrict access to Services that are still served, so they are deleted late. They
    // must be deleted before the sets that they refer to.
    let is_set = |planned: &model::PlannedOp| matches!(planned.op, Op::DestroySet(_));
    let before_sets = (plan.ops().position(is_set)).unwrap_or_else(|| plan.ops().count());
    let (mut failed, mut reported) = (0, 0);
    if before_sets == 0 {
        failed += sweep(&mut sweeper);
    }
    apply_plan(kernel, &plan, |planned, status| {
        match status {
            OpStatus::Done => {}
            OpStatus::Failed(problem) => {
                failed += 1;
                error!("{}", chain(&problem));
            }
            OpStatus::Skipped => {
                failed += 1;
                error!(
                    "skipped, since an operation before it failed: {}",
                    planned.op
                );
            }
        }
        reported += 1;
        if reported == before_sets {
            failed += sweep(&mut sweeper);
        }
    });
    if plan.withheld > 0 {
        error!(
            "another program changed the IPVS table during the reading: nothing was deleted; run --cleanup again"
        );
    }
    info!(failed, "cleaned up. {}", plan.summary());
    Ok(if failed == 0 && plan.withheld == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Deletes the rules of an old kube-proxy's ipvs mode. Returns the number of problems.
fn sweep(sweeper: &mut Sweeper) -> usize {
    match sweeper.sweep_old_ipvs_mode() {
        Ok(found) => {
            if !found.is_empty() {
                info!("deleted leftovers of an old kube-proxy: {found}");
            }
            report_held(&found)
        }
        Err(problems) => {
            for problem in &problems {
                error!("{}", chain(problem));
            }
            problems.len()
        }
    }
}

/// Reports chains that stay because chains of other programs jump to them. Returns their number.
fn report_held(found: &Leftovers) -> usize {
    let mut count = 0;
    for (family, rules) in &found.rules {
        for (table, held) in &rules.tables {
            for kept in &held.held {
                let by: Vec<&str> = held.held_by.iter().map(|name| &**name).collect();
                error!(
                    "{family} chain {kept} of table {table} was not deleted: chains of other programs jump to it ({}); delete \
                     their rules and run --cleanup again",
                    by.join(", ")
                );
                count += 1;
            }
        }
    }
    count
}
