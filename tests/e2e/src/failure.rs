//! The error type of this library. All errors are texts for people.

use std::fmt::{self, Display};

/// Description of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

/// Result of the functions of this library.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Returns a failure with this text.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// Adds the failed action to an error.
pub trait Context<T> {
    /// Turns an error into `WHAT: CAUSE`.
    ///
    /// # Errors
    /// The result was an error.
    fn context<D: Display>(self, what: impl FnOnce() -> D) -> Outcome<T>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context<D: Display>(self, what: impl FnOnce() -> D) -> Outcome<T> {
        self.map_err(|error| Failure(format!("{}: {error}", what())))
    }
}

/// Fails with the text of `else_say` unless `holds`.
///
/// # Errors
/// If it does not hold.
pub fn ensure<D: Display>(holds: bool, else_say: impl FnOnce() -> D) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(Failure(else_say().to_string()))
    }
}
