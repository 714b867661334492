//! `cargo xtask bless`: writes the results of the steps into the scenarios, and the list of fields;
//! or the counted instructions of the workloads.

use clap::Args;

use crate::error::{Context, Result};
use crate::instructions;
use crate::project::Project;

/// `cargo xtask bless …`
#[derive(Args)]
#[command(after_help = "\
It writes the results of `tables`, `kernel`, `plan`, `findings` and `health` below these steps, in
tests/conformance/scenarios, and then runs the scenarios. Review the difference before you commit it. Text written
by hand stays: the expectation of a `trace`, recordings, the list of deviations. The exit status is 1 if a
scenario still fails. Without a name it also writes tests/conformance/fields.txt, the fields that
docs/semantics.md must explain.

With --instructions it counts the workloads of tests/workloads and writes only
tests/workloads/instructions.toml.")]
pub(crate) struct Arguments {
    /// Only scenarios with this in their name
    filter: Option<String>,
    /// Bless the baseline of instructions instead of scenarios
    #[arg(long, conflicts_with = "filter")]
    instructions: bool,
}

/// Blesses. The exit status is that of the scenarios' test program, or 0.
pub(crate) fn command(project: &Project, arguments: &Arguments) -> Result<u8> {
    if arguments.instructions {
        return instructions::bless(project).map(|()| 0);
    }
    let mut test = project.cargo();
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
    .env("BLESS", "1");
    let status = test.status().context(|| "starting cargo")?;
    Ok(u8::from(!status.success()))
}
