//! What a user would take instead.

use std::error::Error;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use model::{Desired, text};

/// Times of `ipvsadm -R` and `ipvsadm -Ln` for the same table.
pub(crate) fn times(
    desired: &Desired,
) -> Result<(Duration, Duration), Box<dyn Error + Send + Sync>> {
    // Sorted, -A lines come before -a lines, as ipvsadm wants it.
    let lines = text::virtual_server_lines(&desired.tables).join("\n");
    let began = Instant::now();
    let mut restore = Command::new("ipvsadm")
        .arg("-R")
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = restore.stdin.take() {
        writeln!(input, "{lines}")?;
    }
    check(restore.wait()?)?;
    let restored = began.elapsed();

    let began = Instant::now();
    let listed = Command::new("ipvsadm").arg("-Ln").output()?;
    let listing = began.elapsed();
    check(listed.status)?;
    let printed = listed.stdout.iter().filter(|byte| **byte == b'\n').count();
    let expected = lines.lines().count();
    if printed < expected {
        return Err(format!("ipvsadm lists {printed} lines of {expected}").into());
    }
    Ok((restored, listing))
}

fn check(status: std::process::ExitStatus) -> Result<(), String> {
    if status.success() {
        Ok(())
    } else {
        Err(format!("ipvsadm: {status}"))
    }
}
