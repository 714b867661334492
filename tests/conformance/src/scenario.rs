//! A scenario: objects in, tables, plans and packets out. `scenarios/README.md` describes the
//! format.

mod background;
mod bless;
mod format;
mod print;
mod run;
mod step;
#[cfg(test)]
mod tests;
mod trace;
mod world;

use std::fs;
use std::path::Path;

pub use self::bless::bless;
pub use self::format::{File, Scenario};
pub use self::step::{Directive, Step};

/// An error in a scenario, or an unmet expectation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct Problem {
    /// File of the scenario.
    pub file: String,
    /// Line number in the file, from 1.
    pub line: usize,
    /// Description of the problem.
    pub what: String,
}

/// Reads the scenario at `path`.
///
/// # Errors
///
/// The file cannot be read, or is not a scenario.
pub fn read(path: &Path) -> Result<Scenario, Problem> {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(path).map_err(|error| Problem {
        file: file.to_string(),
        line: 1,
        what: format!("cannot be read: {error}"),
    })?;
    Scenario::parse(&file, &text)
}

/// Runs `scenario` alone, and then with the background's objects.
///
/// # Errors
///
/// The first unmet expectation.
pub fn check(scenario: &Scenario) -> Result<(), Problem> {
    run::alone(scenario)?;
    run::with_background(scenario)
}
