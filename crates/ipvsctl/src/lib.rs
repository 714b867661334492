//! ipvsctl, the operator's view of a node's IPVS table.
//!
//! | module | what |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`input`] | what a command works on: the cluster, the node, the live tables |
//! | [`migration`] | what a take-over amounts to |
//! | [`doctor`] | what is wrong with a node |
//! | [`commands`] | one file for each command |
//! | [`output`] | what people read |
//! | [`schema`] | what machines read, JSON and YAML |
//! | [`error`] | what can go wrong, and the exit status |
//! | [`mod@reference`] | the command line as a page of documentation |

pub mod cli;
pub mod commands;
pub mod doctor;
pub mod error;
pub mod input;
pub mod migration;
pub mod output;
pub mod reference;
pub mod schema;
pub mod style;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::cli::Cli;

/// Does what `args` ask, the program's name first, and gives the exit status.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args = cli::as_declared(args.collect());
    let command = Cli::command().color(style::of_help(&args));
    let cli = match command
        .try_get_matches_from(args)
        .and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    style::choose(cli.colors.when());
    output::log::start(cli.verbose);
    match commands::run(cli.command) {
        Ok(status) => status.into(),
        Err(error) => {
            error.report();
            error::Status::Error.into()
        }
    }
}
