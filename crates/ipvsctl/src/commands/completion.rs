//! `ipvsctl completion`.

use clap::CommandFactory as _;

use crate::cli::{Cli, Completion};
use crate::error::{Error, Status};
use crate::output::print;

/// Prints a completion script.
///
/// # Errors
///
/// The output cannot be written.
pub fn run(args: &Completion) -> Result<Status, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ipvsctl", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Status::Done)
}
