//! `--cleanup`.

use std::process::ExitCode;

use kernel::linux::leftovers::Sweeper;
use kernel::{Fate, Kernel, ObserveError, carry_out};
use model::{Leftovers, NodeConfig, Op, Scope, chain};
use planner::Ownership;
use tracing::{error, info};

/// Deletes what is ours from the node, and with `sweeper` the rules of an old version's ipvs mode, which look into our sets. Status 1 if
/// anything could not be deleted.
pub(super) fn clean(
    kernel: &mut dyn Kernel,
    mut sweeper: Sweeper,
    config: &NodeConfig,
) -> Result<ExitCode, ObserveError> {
    let live = kernel.observe(&Scope::EVERYTHING)?;
    let plan = planner::cleanup(&live, &Ownership::new(config));
    // Until then these rules keep clients out of what is still served; the sets cannot go before the rules.
    let is_set = |planned: &model::PlannedOp| matches!(planned.op, Op::DestroySet(_));
    let before_sets = (plan.ops().position(is_set)).unwrap_or_else(|| plan.ops().count());
    let (mut failed, mut told) = (0, 0);
    if before_sets == 0 {
        failed += sweep(&mut sweeper);
    }
    carry_out(kernel, &plan, |planned, fate| {
        match fate {
            Fate::Done => {}
            Fate::Failed(problem) => {
                failed += 1;
                error!("{}", chain(&problem));
            }
            Fate::LeftOut => {
                failed += 1;
                error!("left out, for what failed before: {}", planned.op);
            }
        }
        told += 1;
        if told == before_sets {
            failed += sweep(&mut sweeper);
        }
    });
    if plan.withheld > 0 {
        error!("another program changes the IPVS table: nothing was deleted, try again");
    }
    info!(failed, "cleaned up. {}", plan.summary());
    Ok(if failed == 0 && plan.withheld == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Returns the number of problems.
fn sweep(sweeper: &mut Sweeper) -> usize {
    match sweeper.sweep_old_ipvs_mode() {
        Ok(found) => {
            if !found.is_empty() {
                info!("deleted what an old kube-proxy left behind: {found}");
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

/// Reports chains that stay, with the chains of other programs that lead to them. Returns their number.
fn report_held(found: &Leftovers) -> usize {
    let mut count = 0;
    for (family, rules) in &found.rules {
        for (table, held) in &rules.tables {
            for kept in &held.held {
                let by: Vec<&str> = held.held_by.iter().map(|name| &**name).collect();
                error!(
                    "{family} chain {kept} of table {table} stays: chains of other programs lead to it ({}); delete their rules \
                     and clean up again",
                    by.join(", ")
                );
                count += 1;
            }
        }
    }
    count
}
