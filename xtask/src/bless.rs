//! `cargo xtask bless`: writes what the steps of scenarios show into them, and the list of fields; or the counted
//! instructions of the workloads.

use clap::Args;
use std::process::Stdio;

use crate::error::{Context, Result};
use crate::instructions;
use crate::project::{Project, cargo};

/// `cargo xtask bless …`
#[derive(Args)]
#[command(after_help = "\
It writes what `tables`, `kernel`, `plan`, `findings` and `health` show below these steps, in
tests/conformance/scenarios, and then runs the scenarios. Read the difference before you commit it. What is written
by hand stays: the expectation of a `trace`, recordings, the list of deviations. The exit status is 1 if a
scenario fails all the same. Without a name it also writes tests/conformance/fields.txt, the fields that
docs/semantics.md has to explain.

With --instructions it counts the workloads of tests/workloads and writes tests/workloads/instructions.toml, and nothing
else.")]
pub(crate) struct Arguments {
    /// Only scenarios with this in their name
    filter: Option<String>,
    /// The baseline of instructions instead of scenarios
    #[arg(long, conflicts_with = "filter")]
    instructions: bool,
}

/// Blesses; the exit status is that of the scenarios' test program, or 0.
pub(crate) fn command(project: &Project, arguments: &Arguments) -> Result<u8> {
    if arguments.instructions {
        return instructions::bless(project).map(|()| 0);
    }
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
