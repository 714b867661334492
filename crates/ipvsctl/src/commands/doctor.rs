//! `ipvsctl doctor`.

use crate::cli::{Doctor, Format};
use crate::doctor::{self, Severity};
use crate::error::{Error, Status};
use crate::input::facts;
use crate::output::doctor::Detail;
use crate::output::{self, show};
use crate::schema::Checkup;

/// Checks this node and prints the results.
///
/// # Errors
///
/// The node cannot be checked, or the output cannot be written.
pub fn run(args: &Doctor) -> Result<Status, Error> {
    let facts = facts::observe(&args.source, &args.node, args.metrics_address)?;
    let report = doctor::examine(&facts);
    let is_verbose = args.output == Format::Wide || tracing::enabled!(tracing::Level::INFO);
    let detail = if is_verbose { Detail::All } else { Detail::Bad };
    show(
        args.output,
        || Checkup::from(&report),
        || output::doctor::text(&report, detail),
    )?;
    Ok(match report.worst() {
        Severity::Ok => Status::Done,
        Severity::Warning | Severity::Problem => Status::Found,
    })
}
