//! `cargo xtask simulate`: the whole-node simulation of `tests/convergence`, for as many steps as wanted.

use clap::Args;
use std::process::Stdio;

use crate::error::{Context, Result};
use crate::project::{Project, cargo};

/// `cargo xtask simulate …`
#[derive(Args)]
#[command(after_help = "\
It simulates one node after another: a source, the loop, a kernel in memory that fails, other programs and a clock. Each
seed is one run; equal seeds give equal runs. It ends at the first law that the loop breaks and prints the seed, the step and
the last events, or with --keep-going goes on with the next seed. The exit status is 0 if no law was broken.")]
pub(crate) struct Arguments {
    /// Steps of all runs together
    #[arg(long, default_value_t = 100_000)]
    steps: u64,
    /// The first seed; each run has the next one
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Hold the loop to the laws of one that reads a virtual server before a real server leaves it
    #[arg(long)]
    old_rules: bool,
    /// Go on with the next seed after a failure
    #[arg(long)]
    keep_going: bool,
    /// Print broken laws without the events that led there
    #[arg(long)]
    brief: bool,
}

/// Simulates; the exit status is the program's.
pub(crate) fn command(project: &Project, arguments: &Arguments) -> Result<u8> {
    let Arguments {
        steps,
        seed,
        old_rules,
        keep_going,
        brief,
    } = arguments;
    let flags = [
        ("--old-rules", old_rules),
        ("--keep-going", keep_going),
        ("--brief", brief),
    ];
    let mut run = cargo();
    run.args(["run", "--quiet", "-p", "convergence", "--bin", "simulate"])
        .args(["--", "--steps", &steps.to_string()])
        .args(["--seed", &seed.to_string()])
        .args(flags.iter().filter(|(_, on)| **on).map(|(flag, _)| flag))
        .current_dir(&project.root)
        .stdin(Stdio::null());
    let status = run.status().context(|| "starting cargo")?;
    Ok(u8::from(!status.success()))
}
