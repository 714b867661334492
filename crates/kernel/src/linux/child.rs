//! Child processes with a deadline and a stop signal. Each child is reaped.

#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, Read, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, waitpgid,
};

use super::poll;
use super::stop::StopSignal;

/// Maximum size of each output of a child in bytes. The rules of kube-proxy's mode `iptables` for
/// 45,000 Services with 4 endpoints print as about 130 MB.
const MAX_OUTPUT: usize = 256 << 20;

/// Number of bytes that a pipe accepts without blocking once `poll` reports it as writable:
/// `PIPE_BUF`, `pipe_poll`, `fs/pipe.c`, Linux 6.1.
const PIPE_BUF: usize = 4096;

/// Number of bytes read at once, the capacity of a pipe.
const READ_BYTES: usize = 64 << 10;

/// Time to wait for the end of a killed child. `SIGKILL` ends a process at once unless it is in an
/// uninterruptible system call, such as the initialisation of a module.
const KILL_WAIT: Duration = Duration::from_millis(300);

/// Maximum number of killed process groups that have not ended.
const MAX_UNENDING: usize = 16;

/// Killed process groups that have not ended yet. Each run of another child reaps those that have
/// ended since.
static UNENDING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Reason why a child process gave no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChildError {
    /// The child was not started.
    #[error(transparent)]
    Start(io::Error),
    #[error(
        "it did not end within {} s and was killed: run it by hand to see what it waits for",
        .0.as_secs()
    )]
    TimedOut(Duration),
    #[error("it was killed because the daemon is stopping")]
    Stopped,
    #[error("it printed more than {} MiB and was killed", MAX_OUTPUT >> 20)]
    TooMuchOutput,
    #[error(
        "it was not started: {MAX_UNENDING} earlier programs were killed and have not ended; look for \
         processes in state D (ps -eo pid,stat,wchan,args) and for kernel messages, then reboot the node"
    )]
    TooManyUnending,
    #[error("it was killed because its input or output failed: {0}")]
    Io(io::Error),
}

/// Runs `command` to its end in a separate process group, with `input` as its standard input.
/// Returns its status and outputs.
///
/// The whole group is killed when the child ends, at the deadline, and on `stop`. A program that
/// the child left running therefore neither survives nor delays the caller by keeping an output
/// open.
///
/// # Errors
///
/// Fails if the child was not started or was killed. Its effects until then remain.
pub(super) fn run(
    mut command: Command,
    input: &[u8],
    limit: Duration,
    stop: &StopSignal,
) -> Result<Output, ChildError> {
    if stop.is_set() {
        return Err(ChildError::Stopped);
    }
    if reap_unending() >= MAX_UNENDING {
        return Err(ChildError::TooManyUnending);
    }
    let deadline = Instant::now() + limit;
    command.process_group(0);
    command.stdin(match input {
        [] => Stdio::null(),
        _ => Stdio::piped(),
    });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(ChildError::Start)?;
    // The id belongs to the child and its group until the child is reaped.
    let group = Pid::from_child(&child);
    // Becomes readable when the process ends (`pidfd_open(2)`, since Linux 5.3).
    let ended = match pidfd_open(group, PidfdFlags::empty()) {
        Ok(ended) => ended,
        Err(error) => {
            kill_group(group);
            unending().push(group);
            return Err(ChildError::Io(error.into()));
        }
    };
    let outputs = talk(&mut child, &ended, input, deadline, stop);
    kill_group(group);
    wait_for_end(&ended);
    let (status, is_reaped) = reap_group(group);
    if !is_reaped {
        unending().push(group);
    }
    match (outputs, status) {
        (Ok((stdout, stderr)), Some(status)) => Ok(Output {
            status,
            stdout,
            stderr,
        }),
        (Err(ChildError::TimedOut(_)) | Ok(_), _) => Err(ChildError::TimedOut(limit)),
        (Err(error), _) => Err(error),
    }
}

/// Writes the input to the child and reads its outputs until it ends. Returns the standard output
/// and the standard error.
///
/// A program that the child left running may keep the outputs open. Once the child has ended, its
/// own output is in the pipes, so an empty pipe is the end.
fn talk(
    child: &mut Child,
    ended: &OwnedFd,
    mut input: &[u8],
    deadline: Instant,
    stop: &StopSignal,
) -> Result<(Vec<u8>, Vec<u8>), ChildError> {
    let mut stdin = child.stdin.take();
    let mut stdout = Reader::new(child.stdout.take());
    let mut stderr = Reader::new(child.stderr.take());
    let mut has_ended = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ChildError::TimedOut(left));
        }
        let limit = if has_ended { Duration::ZERO } else { left };
        let polled = [
            stop.descriptor().map(poll::readable),
            (!has_ended).then(|| poll::readable(ended.as_fd())),
            stdin.as_ref().map(|pipe| poll::writable(pipe.as_fd())),
            stdout.descriptor().map(poll::readable),
            stderr.descriptor().map(poll::readable),
        ];
        let [stopped, ends, takes, out, err] =
            poll::wait(polled, Some(limit)).map_err(ChildError::Io)?;
        if stopped {
            return Err(ChildError::Stopped);
        }
        if has_ended && !out && !err {
            return Ok((stdout.bytes, stderr.bytes));
        }
        has_ended |= ends;
        if let Some(pipe) = stdin.as_mut().filter(|_| takes) {
            match pipe.write(&input[..input.len().min(PIPE_BUF)]) {
                Ok(length) => input = &input[length..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The child closed its input. Its status explains why.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => input = &[],
                Err(error) => return Err(ChildError::Io(error)),
            }
            if input.is_empty() {
                stdin = None;
            }
        }
        if out {
            stdout.read()?;
        }
        if err {
            stderr.read()?;
        }
    }
}

/// An output of a child.
struct Reader<R> {
    /// `None` after the end of the output.
    pipe: Option<R>,
    bytes: Vec<u8>,
}

impl<R: Read + AsFd> Reader<R> {
    fn new(pipe: Option<R>) -> Self {
        let bytes = Vec::new();
        Self { pipe, bytes }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads the available bytes, or the end.
    fn read(&mut self) -> Result<(), ChildError> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        let mut buffer = [0; READ_BYTES];
        match pipe.read(&mut buffer) {
            Ok(0) => self.pipe = None,
            Ok(length) => self.bytes.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(ChildError::Io(error)),
        }
        match self.bytes.len() {
            ..=MAX_OUTPUT => Ok(()),
            _ => Err(ChildError::TooMuchOutput),
        }
    }
}

/// Kills every process of the group. Its leader is a child that has not been reaped, so no other
/// group has this id.
fn kill_group(group: Pid) {
    // An error means that every process of the group has ended.
    let _ = kill_process_group(group, Signal::KILL);
}

/// Waits for the end of a killed process.
fn wait_for_end(process: &OwnedFd) {
    let end = Instant::now() + KILL_WAIT;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match poll::wait([Some(poll::readable(process.as_fd()))], Some(left)) {
            Ok([false]) if !left.is_zero() => {}
            _ => return,
        }
    }
}

/// Reaps the ended processes of the group that are our children: the leader and, if we are process
/// 1 of a container, the processes that the leader left. Returns the status of the leader if it was
/// reaped, and true if no child of the group is left.
fn reap_group(group: Pid) -> (Option<ExitStatus>, bool) {
    let mut leader = None;
    loop {
        match waitpgid(group, WaitOptions::NOHANG) {
            Ok(None) => return (leader, false),
            Ok(Some((id, status))) if id == group => {
                leader = Some(ExitStatus::from_raw(status.as_raw()));
            }
            Ok(Some(_)) => {}
            // ECHILD: no child is left.
            Err(_) => return (leader, true),
        }
    }
}

/// Reaps earlier children that have ended, and returns the number of those that have not.
fn reap_unending() -> usize {
    let mut groups = unending();
    groups.retain(|group| !reap_group(*group).1);
    groups.len()
}

fn unending() -> MutexGuard<'static, Vec<Pid>> {
    UNENDING.lock().unwrap_or_else(PoisonError::into_inner)
}
