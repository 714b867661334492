//! One error for a tool whose errors are all read by a person.

use std::fmt::{self, Display};

/// A sentence that says what failed and why.
#[derive(Debug)]
pub(crate) struct Error(String);

/// The result of everything in this tool.
pub(crate) type Result<T = ()> = std::result::Result<T, Error>;

impl Error {
    /// An error with this sentence.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Error(what.into())
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when a lower error came up.
pub(crate) trait Context<T> {
    /// Turns the error into "WHAT: CAUSE".
    fn context<D: Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn context<D: Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| Error(format!("{}: {error}", what())))
    }
}
