//! Commands that build a program of the workspace and run it: `cargo xtask fuzz`,
//! `cargo xtask simulate`.

use clap::Args;
use std::ffi::OsString;

use crate::error::{Context, Result};
use crate::project::Project;

/// Fuzzes decoders and parsers (`tests/fuzz`), with optimization.
pub(crate) const FUZZ: &[&str] = &["--profile", "fuzz", "-p", "fuzz"];

/// Simulates whole nodes (`tests/convergence`).
pub(crate) const SIMULATE: &[&str] = &["-p", "convergence", "--bin", "simulate"];

/// Arguments that are passed to the program unchanged.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Arguments of the program; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds the program that `selection` names to cargo and runs it; the exit status is the
/// program's.
pub(crate) fn command(project: &Project, selection: &[&str], arguments: &Arguments) -> Result<u8> {
    let mut run = project.cargo();
    run.args(["run", "--quiet"])
        .args(selection)
        .arg("--")
        .args(&arguments.arguments);
    let status = run.status().context(|| "starting cargo")?;
    // `None` if a signal killed it.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.unwrap_or(1))
}
