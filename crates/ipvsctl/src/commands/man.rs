//! `ipvsctl man`.

use std::io;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man as Page;

use crate::cli::{Cli, Man};
use crate::error::{Error, Status};
use crate::output::print;

/// Prints a manual page, or writes all of them.
///
/// # Errors
///
/// There is no such command, or the output or a file cannot be written.
pub fn run(args: &Man) -> Result<Status, Error> {
    let mut root = Cli::command().disable_help_subcommand(true);
    if let Some(path) = &args.directory {
        clap_mangen::generate_to(root, path).map_err(|source| Error::Pages {
            path: path.clone(),
            source,
        })?;
        return Ok(Status::Done);
    }
    root.build();
    let mut command = &root;
    for name in &args.command {
        let unknown = || Error::NoCommand(args.command.join(" "));
        command = command.find_subcommand(name).ok_or_else(unknown)?;
    }
    print(&page(command.clone()).map_err(Error::Output)?)?;
    Ok(Status::Done)
}

/// Returns the manual page of `command` in the language of roff.
fn page(command: Command) -> io::Result<String> {
    let mut page = Vec::new();
    Page::new(command).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
