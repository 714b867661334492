//! `ipvsctl doctor`.

use crate::cli::Doctor;
use crate::doctor::{self, Severity};
use crate::error::{Error, Status};
use crate::input::facts;
use crate::input::node::{self, Fallback};
use crate::output::{self, show};
use crate::schema::Checkup;

/// Checks this node and prints the results.
///
/// # Errors
///
/// The node cannot be checked, or the output cannot be written.
pub fn run(args: &Doctor) -> Result<Status, Error> {
    let node = node::read(&args.node, Fallback::Host)?;
    let name = node.config.node.node_name.clone();
    let diagnoses = doctor::examine(&facts::observe(node, args.metrics_address)?);
    show(
        args.output,
        || Checkup::new(&name, &diagnoses),
        || output::doctor::text(&name, &diagnoses),
    )?;
    Ok(match doctor::worst(&diagnoses) {
        Severity::Ok => Status::Done,
        Severity::Warning | Severity::Problem => Status::Found,
    })
}
