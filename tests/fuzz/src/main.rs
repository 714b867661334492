//! Fuzzes for a given time: `cargo xtask fuzz`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use fuzz::corpus::to_hex;
use fuzz::run::{Replay, Until, replay, run};
use fuzz::targets::{self, Target};

/// Pass mutated inputs to decoders and parsers
#[derive(Parser)]
#[command(
    name = "fuzz",
    bin_name = "cargo xtask fuzz",
    after_help = "\
Each target gets the inputs of its corpus and then mutated ones. A panic, or a print that parses to something else, is \
printed with the seed, the number of the input, and the input in hexadecimal without what is not needed. The exit status is 0 if \
nothing was found. A slow input is counted and is no failure."
)]
struct Arguments {
    /// Targets; all if none is given
    #[arg(value_parser = PossibleValuesParser::new(targets::ALL.iter().map(|target| target.name)))]
    targets: Vec<String>,
    /// Minutes for all targets together
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Seed; equal seeds give equal inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run only this input of the seed, and print it
    #[arg(long, conflicts_with = "minutes")]
    input: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let wanted = |target: &&Target| {
        arguments.targets.is_empty() || arguments.targets.iter().any(|name| *name == target.name)
    };
    let targets: Vec<&Target> = targets::ALL.iter().filter(wanted).collect();
    let count = u32::try_from(targets.len()).unwrap_or(u32::MAX).max(1);
    let time =
        Duration::try_from_secs_f64(arguments.minutes * 60.0).unwrap_or(Duration::MAX) / count;
    let mut found = 0;
    for target in targets {
        if let Some(number) = arguments.input {
            match replay(target, arguments.seed, number) {
                Ok(replay) => found += print_replay(target, &replay),
                Err(error) => return unreadable(target, &error),
            }
            continue;
        }
        let outcome = match run(target, arguments.seed, Until::Elapsed(time)) {
            Ok(outcome) => outcome,
            Err(error) => return unreadable(target, &error),
        };
        println!(
            "{:12} {:>10} inputs, {:>7} per second, {} failures, {} slow, slowest {:.1} ms (input {})",
            target.name,
            outcome.inputs,
            outcome.rate(),
            outcome.failures.len(),
            outcome.slow,
            outcome.slowest.0.as_secs_f64() * 1_000.0,
            outcome.slowest.1,
        );
        found += outcome.failures.len();
        for failure in &outcome.failures {
            println!("{failure}");
        }
    }
    ExitCode::from(u8::from(found > 0))
}

/// Prints an input and its result, and returns the number of failures.
fn print_replay(target: &Target, replay: &Replay) -> usize {
    println!(
        "{:12} {:.1} ms",
        target.name,
        replay.taken.as_secs_f64() * 1_000.0
    );
    println!("  hex: {}", to_hex(&replay.input));
    println!("  text: {:?}", String::from_utf8_lossy(&replay.input));
    println!("  {}", replay.problem.as_deref().unwrap_or("no failure"));
    usize::from(replay.problem.is_some())
}

fn unreadable(target: &Target, error: &std::io::Error) -> ExitCode {
    eprintln!("{}: failed to read the corpus: {error}", target.name);
    ExitCode::FAILURE
}
