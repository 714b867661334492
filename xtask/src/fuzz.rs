//! `cargo xtask fuzz`: mutated inputs for the decoders and parsers, for as long as wanted.

use clap::Args;
use std::ffi::OsString;
use std::process::Stdio;

use crate::error::{Context, Result};
use crate::project::{Project, cargo};

/// `cargo xtask fuzz …`
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Targets and options of the fuzzer; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds the fuzzer with optimization and runs it; the exit status is the program's.
pub(crate) fn command(project: &Project, arguments: &Arguments) -> Result<u8> {
    let mut run = cargo();
    run.args(["run", "--quiet", "--profile", "fuzz", "-p", "fuzz"])
        .arg("--")
        .args(&arguments.arguments)
        .current_dir(&project.root)
        .stdin(Stdio::null());
    let status = run.status().context(|| "starting cargo")?;
    // None if a signal killed it.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.unwrap_or(1))
}
