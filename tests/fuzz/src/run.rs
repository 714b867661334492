//! Runs the inputs of one target.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::time::{Duration, Instant};

use crate::corpus::{self, to_hex};
use crate::mutate::mutated;
use crate::random::Random;
use crate::targets::Target;

/// Number of different failures that ends a run.
const MAX_FAILURES: usize = 10;

/// An input is slow if it takes this many times the mean of the inputs before it …
const SLOW_FACTOR: u32 = 50;

/// … and longer than this.
const SLOW_BOUND: Duration = Duration::from_millis(20);

/// Condition that ends a run.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// This number of inputs was run.
    Inputs(u64),
    /// This time has passed.
    Elapsed(Duration),
}

/// An input for which the check of its target failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the input in the run; `None` for an input of the corpus itself.
    pub number: Option<u64>,
    /// The input, reduced to the bytes that are needed.
    pub input: Vec<u8>,
    /// The panic with its place, or the difference between the first parsed value and that of its
    /// printed form.
    pub problem: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            number,
            input,
            problem,
        } = self;
        match number {
            Some(number) => write!(f, "seed {seed}, input {number}")?,
            None => f.write_str("an input of the corpus")?,
        }
        writeln!(f, ": {problem}")?;
        writeln!(f, "  hex: {}", to_hex(input))?;
        write!(f, "  text: {:?}", String::from_utf8_lossy(input))
    }
}

/// Result of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Number of inputs that were run.
    pub inputs: u64,
    /// Failures, one of each kind.
    pub failures: Vec<Failure>,
    /// Number of slow inputs.
    pub slow: u64,
    /// Duration and number of the slowest input.
    pub slowest: (Duration, u64),
    /// Duration of all inputs, without their mutation.
    pub busy: Duration,
}

impl Outcome {
    /// Returns the inputs per second of the target's own time.
    #[must_use]
    pub fn rate(&self) -> u64 {
        let micros = self.busy.as_micros().max(1);
        u64::try_from(u128::from(self.inputs) * 1_000_000 / micros).unwrap_or(u64::MAX)
    }
}

/// Runs the corpus unchanged, and then mutated inputs.
///
/// # Errors
///
/// The corpus cannot be read.
pub fn run(target: &Target, seed: u64, until: Until) -> io::Result<Outcome> {
    let corpus = corpus::read(target)?;
    let mut outcome = Outcome::default();
    for input in &corpus {
        if let Some(problem) = problem(target, input) {
            outcome.add(target, seed, None, input, problem);
        }
    }
    let began = Instant::now();
    let mut number = 0;
    while outcome.failures.len() < MAX_FAILURES
        && match until {
            Until::Inputs(count) => number < count,
            Until::Elapsed(time) => began.elapsed() < time,
        }
    {
        let input = mutated(&corpus, target.is_text, &mut Random::new(seed, number));
        let start = Instant::now();
        let problem = problem(target, &input);
        outcome.time(number, start.elapsed());
        if let Some(problem) = problem {
            outcome.add(target, seed, Some(number), &input, problem);
        }
        number += 1;
    }
    Ok(outcome)
}

/// One repeated input of a run.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The input.
    pub input: Vec<u8>,
    /// Duration in the target.
    pub taken: Duration,
    /// The problem, if there is one.
    pub problem: Option<String>,
}

/// Repeats input `number` of the run with this seed.
///
/// # Errors
///
/// The corpus cannot be read.
pub fn replay(target: &Target, seed: u64, number: u64) -> io::Result<Replay> {
    let corpus = corpus::read(target)?;
    let input = mutated(&corpus, target.is_text, &mut Random::new(seed, number));
    let start = Instant::now();
    let problem = problem(target, &input);
    Ok(Replay {
        taken: start.elapsed(),
        problem,
        input,
    })
}

impl Outcome {
    fn time(&mut self, number: u64, taken: Duration) {
        let before = u32::try_from(self.inputs).unwrap_or(u32::MAX).max(1);
        if taken > SLOW_BOUND && taken > self.busy / before * SLOW_FACTOR {
            self.slow += 1;
        }
        self.inputs += 1;
        self.busy += taken;
        self.slowest = self.slowest.max((taken, number));
    }

    /// Adds a failure, unless one of the same kind is known.
    fn add(
        &mut self,
        target: &Target,
        seed: u64,
        number: Option<u64>,
        input: &[u8],
        found: String,
    ) {
        let known = (self.failures.iter()).any(|failure| kind(&failure.problem) == kind(&found));
        if !known {
            let (input, problem) = smallest(target, input, found);
            self.failures.push(Failure {
                seed,
                number,
                input,
                problem,
            });
        }
    }
}

/// Returns the kind of a problem: its first line, which has the place of a panic or the name of the
/// failed check.
fn kind(problem: &str) -> &str {
    problem.lines().next().unwrap_or_default()
}

/// Removes shorter and shorter pieces of an input while the problem stays the same.
fn smallest(target: &Target, input: &[u8], found: String) -> (Vec<u8>, String) {
    let (mut input, mut found) = (input.to_vec(), found);
    let mut length = input.len() / 2;
    while length > 0 {
        let mut at = 0;
        while at < input.len() {
            let end = input.len().min(at + length);
            let shorter = [&input[..at], &input[end..]].concat();
            match problem(target, &shorter) {
                Some(same) if kind(&same) == kind(&found) => (input, found) = (shorter, same),
                _ => at += length,
            }
        }
        length /= 2;
    }
    (input, found)
}

thread_local! {
    /// Panic of the input that this thread runs; `None` outside of a run.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs one input and returns the problem, if there is one.
fn problem(target: &Target, input: &[u8]) -> Option<String> {
    quiet();
    PANIC.set(Some(String::new()));
    let result = panic::catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    let panic = PANIC.take();
    match result {
        Ok(result) => result.err(),
        Err(_) => Some(format!("panic {}", panic.unwrap_or_default())),
    }
}

/// Silences panics of runs and keeps their text and place. Panics of other threads print as before.
fn quiet() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let running = PANIC.with_borrow(Option::is_some);
            if !running {
                return before(info);
            }
            let place = info
                .location()
                .map_or_else(String::new, ToString::to_string);
            let text = info.payload_as_str().unwrap_or_default();
            PANIC.set(Some(format!("at {place}\n{text}")));
        }));
    });
}
