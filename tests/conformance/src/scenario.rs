//! A scenario: objects in, tables, plans and packets out. `scenarios/README.md` describes the format.

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

/// An error in a scenario, or an expectation that was not met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct Problem {
    /// The scenario's file.
    pub file: String,
    /// The line in it, from 1.
    pub line: usize,
    /// The problem.
    pub what: String,
}

/// Reads the scenario at `path`.
///
/// # Errors
///
/// It cannot be read, or is no scenario.
pub fn read(path: &Path) -> Result<Scenario, Problem> {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(path).map_err(|error| Problem {
        file: file.to_string(),
        line: 1,
        what: format!("cannot be read: {error}"),
    })?;
    Scenario::parse(&file, &text)
}

/// Runs `scenario` as it is and then in the background's company.
///
/// # Errors
///
/// The first expectation that does not hold.
pub fn check(scenario: &Scenario) -> Result<(), Problem> {
    run::alone(scenario)?;
    run::in_company(scenario)
}
