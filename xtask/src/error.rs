//! The error type of this tool. Its text is for people.

use std::fmt::{self, Display};

/// A sentence that names the failed operation and the cause.
#[derive(Debug)]
pub(crate) struct Error(String);

/// Result type of this tool.
pub(crate) type Result<T = ()> = std::result::Result<T, Error>;

impl Error {
    /// Creates an error with this sentence.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Error(what.into())
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Adds the operation to a lower-level error.
pub(crate) trait Context<T> {
    /// Returns an error with the text "WHAT: CAUSE".
    fn context<D: Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn context<D: Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| Error(format!("{}: {error}", what())))
    }
}
