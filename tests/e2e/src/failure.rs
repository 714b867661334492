//! One error for a library whose errors are all read by a person.

use std::fmt::{self, Display};

/// A sentence that says what is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

/// The result of everything in this library.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with this sentence.
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

/// Says what was being done when a lower error came up.
pub trait Context<T> {
    /// Turns the error into "WHAT: CAUSE".
    ///
    /// # Errors
    /// Where there was one.
    fn context<D: Display>(self, what: impl FnOnce() -> D) -> Outcome<T>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context<D: Display>(self, what: impl FnOnce() -> D) -> Outcome<T> {
        self.map_err(|error| Failure(format!("{}: {error}", what())))
    }
}

/// Fails with the sentence unless `holds`.
///
/// # Errors
/// Where it does not hold.
pub fn ensure<D: Display>(holds: bool, else_say: impl FnOnce() -> D) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(Failure(else_say().to_string()))
    }
}
