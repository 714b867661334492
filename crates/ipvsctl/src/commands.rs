//! One file for each command.

pub mod analyze;
pub mod apply;
pub mod bundle;
pub mod completion;
pub mod config;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod export;
pub mod get;
pub mod import;
pub mod man;
pub mod migrate;
pub mod monitor;
pub mod render;
pub mod top;
pub mod trace;
pub mod version;

use crate::cli::Command;
use crate::error::{Error, Status};

/// Runs the command of the command line.
///
/// # Errors
///
/// The command failed. Errors in a part of the input are reported on standard error and by the
/// status.
pub fn run(command: Command) -> Result<Status, Error> {
    match command {
        Command::Render(args) => render::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Apply(args) => apply::run(&args),
        Command::Analyze(args) => analyze::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Get(args) => get::run(&args),
        Command::Bundle(args) => bundle::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Monitor(args) => monitor::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Completion(args) => completion::run(&args),
        Command::Man(args) => man::run(&args),
    }
}
