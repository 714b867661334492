//! `cargo xtask bless`: writes what the steps of scenarios show into them, and the list of fields.

use clap::Args;
use std::process::Stdio;

use crate::error::{Context, Result};
use crate::project::{Project, cargo};

/// `cargo xtask bless …`
#[derive(Args)]
#[command(after_help = "\
It writes what `tables`, `kernel`, `plan`, `findings` and `health` show below these steps, in
tests/conformance/scenarios, and then runs the scenarios. Read the difference before you commit it. What is written
by hand stays: the expectation of a `trace`, recordings, the list of deviations. The exit status is 1 if a
scenario fails all the same. Without a name it also writes tests/conformance/fields.txt, the fields that
docs/semantics.md has to explain.")]
pub(crate) struct Arguments {
    /// Only scenarios with this in their name
    filter: Option<String>,
}

/// Blesses; the exit status is that of the scenarios' test program.
pub(crate) fn command(project: &Project, arguments: &Arguments) -> Result<u8> {
    let mut test = cargo();
    test.args([
        "test",
        "--quiet",
        "-p",
        "conformance",
        "--test",
        "scenarios",
        "--test",
        "fields",
        "--",
    ])
    .args(&arguments.filter)
    .env("BLESS", "1")
    .current_dir(&project.root)
    .stdin(Stdio::null());
    let status = test.status().context(|| "starting cargo")?;
    Ok(u8::from(!status.success()))
}
