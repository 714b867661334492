//! ipvsctl, the operator's view of a node's IPVS table.
//!
//! | module | contents |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`input`] | inputs of a command: the cluster, the node, the live tables |
//! | [`mod@import`] | virtual servers of ipvsadm and keepalived |
//! | [`interrupt`] | signals that end a command |
//! | [`migration`] | effects of a take-over from kube-proxy |
//! | [`monitor`] | changes of the tables as they happen |
//! | [`doctor`] | checks of a node |
//! | [`bundle`] | parts of an archive for a bug report |
//! | [`grouping`] | changes of a plan by Service and by kind |
//! | [`commands`] | one file for each command |
//! | [`output`] | text output |
//! | [`schema`] | JSON and YAML output |
//! | [`error`] | errors and exit status |
//! | [`top`] | live view of traffic |
//! | [`mod@reference`] | the command line as a page of documentation |

pub mod bundle;
pub mod cli;
pub mod commands;
pub mod doctor;
pub mod error;
pub mod grouping;
pub mod import;
pub mod input;
pub mod interrupt;
pub mod migration;
pub mod monitor;
pub mod output;
pub mod reference;
pub mod schema;
pub mod style;
pub mod suggest;
pub mod top;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::cli::Cli;

/// Version of the program: that of the crate, or the one that the build sets, which also names the
/// commit, such as `0.1.0+61d79ca`.
pub const VERSION: &str = match option_env!("KUBE_IPVS_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// Runs the program with `args`, the first of which is its name, and returns the exit status.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    commands::completion::answer();
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
    commands::run(cli.command)
        .unwrap_or_else(|error| error.report())
        .into()
}
