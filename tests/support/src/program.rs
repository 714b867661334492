//! Programs that are run to their end.

use std::io::{ErrorKind, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

/// Runs `program` in this thread's namespaces, gives it `input`, and returns its output. Arguments
/// end at white space.
///
/// # Panics
///
/// Panics if the program cannot be run or fails.
#[track_caller]
pub fn run(program: &str, arguments: &str, input: &str) -> String {
    let output = output(program, arguments, input);
    assert!(
        output.status.success(),
        "{program} {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `program` like [`run`], but returns also the output of one that fails.
///
/// # Panics
///
/// Panics if the program cannot be run.
#[track_caller]
pub fn output(program: &str, arguments: &str, input: &str) -> Output {
    let mut child = Command::new(program)
        .args(arguments.split_ascii_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    if let Some(mut pipe) = child.stdin.take() {
        match pipe.write_all(input.as_bytes()) {
            // It reads no more; its status says why.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            written => written.unwrap_or_else(|error| panic!("{program}: {error}")),
        }
    }
    let output = child.wait_with_output();
    output.unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Makes `command` run without `CAP_NET_ADMIN`, as do all programs that it starts.
pub fn drop_net_admin(command: &mut Command) {
    let drop = || {
        Ok(remove_capability_from_bounding_set(
            CapabilitySet::NET_ADMIN,
        )?)
    };
    // SAFETY: prctl is a bare system call, which is allowed between fork and exec.
    unsafe { command.pre_exec(drop) };
}
