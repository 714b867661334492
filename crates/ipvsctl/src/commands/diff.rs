//! `ipvsctl diff`.

use crate::cli::Diff;
use crate::error::{Error, Status};
use crate::input::view::View;
use crate::output::{plan, show};
use crate::schema;

/// Prints the difference between the desired and the live tables.
///
/// # Errors
///
/// The node, the cluster or the live tables cannot be read, or the output cannot be written.
pub fn run(args: &Diff) -> Result<Status, Error> {
    let view = View::read(&args.compared)?;
    let View { input, plan, .. } = &view;
    show(
        args.output,
        || schema::Plan::new(&input.config.node_name, &input.findings, plan),
        || plan::text(plan),
    )?;
    Ok(view.status(!plan.is_empty() || plan.withheld > 0))
}
