//! Quoting for a POSIX shell, and commands with a plain error.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::error::{Context, Error, Result};

/// Returns `text` as one shell word.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Runs a command and returns its standard output.
///
/// # Errors
/// When it cannot start or does not exit with 0. The error has its standard error.
pub(crate) fn output<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .context(|| format!("starting {program}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!(
            "{program} failed ({}): {}",
            output.status,
            why.trim()
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
