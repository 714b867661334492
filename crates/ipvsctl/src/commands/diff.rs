//! `ipvsctl diff`.

use std::collections::BTreeSet;
use std::path::Path;

use kernel::Kernel;
use model::{Plan, Snapshot};
use planner::Ownership;

use crate::cli::{Diff, PlanFormat};
use crate::error::{Error, Status};
use crate::input::node::{self, Fallback};
use crate::input::{Input, cluster, live};
use crate::output::{plan, print, print_json, style};
use crate::schema;

/// Prints the difference between what a cluster asks for and what is there.
///
/// # Errors
///
/// The node, the cluster or the live table cannot be read, or the output cannot be written.
pub fn run(args: &Diff) -> Result<Status, Error> {
    let stdin = Path::new("-");
    if args.live.as_deref() == Some(stdin) && args.source.paths.iter().any(|path| path == stdin) {
        return Err(Error::StandardInputTwice);
    }
    let node = node::read(&args.node, Fallback::Host)?;
    let cluster = cluster::from_source(&args.source, &node)?;
    let input = Input::compile(&cluster.state, cluster.whole, node).tell();
    let (mut kernel, ours): (Box<dyn Kernel>, _) = match &args.live {
        Some(path) => {
            let (saved, ours) = live::comparable(live::saved(path)?, &input.desired);
            (Box::new(saved), ours)
        }
        None => (Box::new(live::read_only_kernel()?), BTreeSet::new()),
    };
    let live = live::observe(&mut *kernel)?;
    let plan = compare(&input, &live, ours);
    match args.output {
        PlanFormat::Text => print(&plan::text(&plan))?,
        PlanFormat::Json => print_json(&schema::Plan::new(&input, &plan))?,
    }
    Ok(if !input.whole {
        Status::Error
    } else if plan.is_empty() && plan.withheld == 0 {
        Status::Done
    } else {
        Status::Differences
    })
}

/// The plan that makes `live` what `input` asks for, and what to know about it on standard error.
/// `ours` are virtual servers known to be ours wherever their address is.
pub(super) fn compare(
    input: &Input,
    live: &Snapshot,
    ours: BTreeSet<ipvs::VirtualServerKey>,
) -> Plan {
    let own = Ownership {
        recorded: ours,
        deletions: input.whole,
        ..Ownership::new(&input.config)
    };
    let plan = planner::diff(&input.desired, live, &own);
    plan.findings.iter().for_each(style::finding);
    if plan.withheld > 0 {
        let why = if input.whole {
            "somebody else changed the IPVS table while it was read"
        } else {
            "not all of the input could be read"
        };
        style::warning(&format!(
            "{why}: nothing is deleted, {} deletions wait",
            plan.withheld
        ));
    }
    plan
}
