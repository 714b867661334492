//! `ipvsctl diff`.

use std::collections::BTreeSet;
use std::path::Path;

use model::{Plan, Snapshot};
use planner::Ownership;

use crate::cli::{Diff, PlanFormat};
use crate::error::{Error, Status};
use crate::input::node::{self, Fallback};
use crate::input::{Input, cluster, live};
use crate::output::{plan, print, print_json};
use crate::schema;
use crate::style;

/// Prints the difference between the desired and the live tables.
///
/// # Errors
///
/// The node, the cluster or the live tables cannot be read, or the output cannot be written.
pub fn run(args: &Diff) -> Result<Status, Error> {
    let stdin = Path::new("-");
    if args.live.as_deref() == Some(stdin) && args.source.paths.iter().any(|path| path == stdin) {
        return Err(Error::StandardInputTwice);
    }
    let mut node = node::read(&args.node, Fallback::Host)?;
    let cluster = cluster::from_source(&args.source, &node)?;
    let compile = |node| Input::compile(&cluster.state, cluster.whole, node).report();
    let (input, live, ours) = match &args.live {
        Some(path) => {
            let input = compile(node);
            let (live, ours) = live::of_file(path, &input)?;
            (input, live, ours)
        }
        None => {
            let live = live::of_kernel(&mut live::read_only_kernel()?, &mut node)?;
            (compile(node), live, BTreeSet::new())
        }
    };
    let plan = compare(&input, &live, ours);
    match args.output {
        PlanFormat::Text => print(&plan::text(&plan))?,
        PlanFormat::Json => print_json(&schema::Plan::new(
            &input.config.node_name,
            &input.findings,
            &plan,
        ))?,
    }
    Ok(if !input.whole {
        Status::Error
    } else if plan.is_empty() && plan.withheld == 0 {
        Status::Done
    } else {
        Status::Differences
    })
}

/// Returns the plan that turns `live` into the desired tables of `input`. Prints findings and
/// withheld deletions on standard error. `ours` are virtual servers that are ours whatever their
/// address.
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
    plan.findings.values().for_each(style::finding);
    if plan.withheld > 0 {
        let why = if input.whole {
            "another program changed the IPVS table while it was read: run the command again"
        } else {
            "a part of the input could not be read: see the errors above"
        };
        style::warning(&format!("{} deletions are withheld: {why}", plan.withheld));
    }
    plan
}
