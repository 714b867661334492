//! `--cleanup`.

use std::process::ExitCode;

use kernel::{Fate, Kernel, ObserveError, carry_out};
use model::{NodeConfig, Scope, chain};
use planner::Ownership;
use tracing::{error, info};

/// Deletes what is ours from the node. Status 1 if anything could not be deleted.
pub(super) fn clean(
    kernel: &mut dyn Kernel,
    config: &NodeConfig,
) -> Result<ExitCode, ObserveError> {
    let live = kernel.observe(&Scope::EVERYTHING)?;
    let plan = planner::cleanup(&live, &Ownership::new(config));
    let mut failed = 0;
    carry_out(kernel, &plan, |planned, fate| match fate {
        Fate::Done => {}
        Fate::Failed(problem) => {
            failed += 1;
            error!("{}", chain(&problem));
        }
        Fate::LeftOut => {
            failed += 1;
            error!("left out, for what failed before: {}", planned.op);
        }
    });
    if plan.withheld > 0 {
        error!("somebody else changes the IPVS table: nothing was deleted, try again");
    }
    info!(failed, "cleaned up. {}", plan.summary());
    Ok(if failed == 0 && plan.withheld == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
