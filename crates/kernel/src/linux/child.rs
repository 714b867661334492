//! Child processes: every one has a deadline, can be stopped, and is reaped.

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

/// Maximum length of each of a child's outputs in bytes. The rules of kube-proxy's mode `iptables` for 45,000 Services
/// of 4 endpoints print as some 130 MB.
const MAX_OUTPUT: usize = 256 << 20;

/// Bytes that a pipe takes without blocking once `poll` calls it writable: `PIPE_BUF`, `pipe_poll`, `fs/pipe.c`,
/// Linux 6.1.
const PIPE_BUF: usize = 4096;

/// Read at once: as much as a pipe holds.
const READ_BYTES: usize = 64 << 10;

/// Time that a killed child may take to end before the caller goes on without it. `SIGKILL` ends a process at once unless it is
/// in an uninterruptible call of the kernel, such as a module's initialisation.
const KILL_WAIT: Duration = Duration::from_millis(300);

/// Maximum number of process groups that were killed and have not ended.
const MAX_UNENDING: usize = 16;

/// Process groups that were killed and have not ended yet. Each run of another child reaps those that have.
static UNENDING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A child process that gave no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChildError {
    /// It was not started.
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

/// Runs `command` to its end in a process group of its own, with `input` as its standard input, and returns its
/// status and outputs.
///
/// At the end of the child, at its deadline and on `stop` the whole group is killed: a program that the child left
/// running neither survives nor holds up the caller by keeping an output open.
///
/// # Errors
///
/// The child was not started, or was killed. What it did until then stays done.
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
    // The id stays the child's, and the group's, until it is reaped.
    let group = Pid::from_child(&child);
    // Readable once the process has ended (Linux 5.3).
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

/// Feeds the child and listens to it until it ends. Returns what it wrote to its standard output and standard error.
///
/// A program that the child left running may keep these open: what the child itself wrote is in the pipes once the child
/// has ended, so that an empty pipe is the end.
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
                // It reads no more; its status says why.
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

/// One of a child's outputs.
struct Reader<R> {
    /// `None` after its end.
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

    /// Takes over what is there, or the end.
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

/// Kills every process of the group. Its leader is a child that was not reaped, so the id belongs to no other group.
fn kill_group(group: Pid) {
    // A group of which all have ended is no failure.
    let _ = kill_process_group(group, Signal::KILL);
}

/// Waits for a killed process.
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

/// Reaps the processes of the group that have ended and are ours: its leader, and as process 1 of a container what the
/// leader left. Returns the status of the leader if it is among them, and whether none is left.
fn reap_group(group: Pid) -> (Option<ExitStatus>, bool) {
    let mut leader = None;
    loop {
        match waitpgid(group, WaitOptions::NOHANG) {
            Ok(None) => return (leader, false),
            Ok(Some((id, status))) if id == group => {
                leader = Some(ExitStatus::from_raw(status.as_raw()));
            }
            Ok(Some(_)) => {}
            // ECHILD.
            Err(_) => return (leader, true),
        }
    }
}

/// Reaps earlier children that have ended since; returns how many have not.
fn reap_unending() -> usize {
    let mut groups = unending();
    groups.retain(|group| !reap_group(*group).1);
    groups.len()
}

fn unending() -> MutexGuard<'static, Vec<Pid>> {
    UNENDING.lock().unwrap_or_else(PoisonError::into_inner)
}
