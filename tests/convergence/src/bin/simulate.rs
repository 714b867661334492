//! Simulates nodes, seed after seed, up to a number of steps: `cargo xtask simulate`.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use convergence::node::Rules;
use convergence::simulation::{Figures, run, steps_of};

/// Simulate a node with faults and check the laws of its loop
#[derive(Parser)]
#[command(
    name = "simulate",
    bin_name = "cargo xtask simulate",
    after_help = "\
It simulates one node after another: a source, the loop, a kernel in memory that fails, other programs and a clock. Each \
seed is one run; equal seeds give equal runs. It ends at the first law that the loop breaks and prints the seed, the step and \
the last events, or with --keep-going goes on with the next seed. The exit status is 0 if no law was broken."
)]
struct Arguments {
    /// Number of steps of all runs together
    #[arg(long, default_value_t = 100_000)]
    steps: u64,
    /// First seed; each run uses the next one
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Check the laws of a loop that reads a virtual server before a real server leaves it
    #[arg(long)]
    old_rules: bool,
    /// Continue with the next seed after a failure
    #[arg(long)]
    keep_going: bool,
    /// Print broken laws without the events that led there
    #[arg(long)]
    brief: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let rules = match arguments.old_rules {
        true => Rules::ReadBeforeDrain,
        false => Rules::All,
    };
    let began = Instant::now();
    let mut figures = Figures::default();
    let mut failures = 0;
    let mut left = arguments.steps;
    let mut seed = arguments.seed;
    while left > 0 {
        let steps = left.min(steps_of(seed));
        left -= steps;
        match run(seed, steps, rules) {
            Ok(run) => figures.add(run),
            Err(failure) => {
                failures += 1;
                match arguments.brief {
                    true => println!("seed {seed} step {}: {}", failure.step, failure.violation),
                    false => println!("{failure}"),
                }
                if !arguments.keep_going {
                    break;
                }
            }
        }
        seed += 1;
    }
    let Figures {
        steps,
        time,
        ops,
        readings,
        faults,
    } = figures;
    println!(
        "seeds {} to {}: {failures} failed; the others took {steps} steps, {faults} faults, {:.1} hours of the node's \
         time, {ops} ops, {readings} readings; {:.1} s",
        arguments.seed,
        seed.saturating_sub(1),
        time.as_secs_f64() / 3600.0,
        began.elapsed().as_secs_f64()
    );
    ExitCode::from(u8::from(failures > 0))
}
