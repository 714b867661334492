//! Progress messages on standard error.

use std::fmt::Display;
use std::io::Write;

/// Writes one line of progress. A closed standard error is ignored.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "xtask: {line}");
}
