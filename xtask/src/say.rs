//! Progress in plain words, on standard error.

use std::fmt::Display;
use std::io::Write;

/// Writes one line of progress; a closed standard error is no reason to stop.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "xtask: {line}");
}
