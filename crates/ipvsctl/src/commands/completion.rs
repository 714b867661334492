//! `ipvsctl completion`, and the completion itself.

use clap::CommandFactory as _;
use clap_complete::CompleteEnv;
use clap_complete::env::{EnvCompleter, Shells};

use crate::cli::{Cli, Completion};
use crate::error::{Error, Status};
use crate::output::print;

/// Environment variable by which a completion script asks this program for words.
const VARIABLE: &str = "COMPLETE";
const NAME: &str = "ipvsctl";

/// Prints a completion script, which runs this program to complete words.
///
/// # Errors
///
/// The output cannot be written.
pub fn run(args: &Completion) -> Result<Status, Error> {
    let shells = Shells::builtins();
    let completer = (shells.completer(&args.shell)).ok_or_else(|| Error::NoShell {
        given: args.shell.clone(),
        known: shells.names().collect::<Vec<_>>().join(", "),
    })?;
    print(&script(completer).map_err(Error::Output)?)?;
    Ok(Status::Done)
}

fn script(completer: &dyn EnvCompleter) -> std::io::Result<String> {
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, NAME, NAME, NAME, &mut script)?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// Prints the words that complete the command line and ends the program, if a completion script
/// asks for them.
pub(crate) fn answer() {
    CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .bin(NAME)
        .complete();
}
