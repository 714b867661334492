//! Runs a machine: start, boot, output, exit status, end.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::guard::Guard;
use super::job::Job;
use super::output::{self, Output};
use super::{VmRun, VmSpec};
use crate::error::{Context, Error, Result};

/// The machine's file descriptor for the command's standard output.
pub(crate) const STDOUT: i32 = 200;
/// The machine's file descriptor for the command's standard error.
pub(crate) const STDERR: i32 = 201;
/// The machine's file descriptor for `booted` and `exit N`.
pub(crate) const CONTROL: i32 = 202;

/// Time limit for a kernel to start the command.
const BOOT: Duration = Duration::from_secs(60);
/// Time limit from the exit status to the power-off.
const POWER_OFF: Duration = Duration::from_secs(20);

/// A process that runs a kernel. Its own standard output and standard error are the console.
pub(crate) struct Machine {
    /// Command with the three file descriptors above.
    pub(crate) command: Command,
    /// Tar archive to which the guest writes the exchange directory, if it cannot write it
    /// directly.
    pub(crate) archive: Option<PathBuf>,
}

enum Event {
    Control(String),
    /// The process has ended; its process group has not been killed yet.
    Ended,
}

/// Runs the machine to its end.
pub(crate) fn run(machine: Machine, spec: &VmSpec, job: &Job, output: &Output) -> Result<VmRun> {
    let Machine { command, archive } = machine;
    let started = Instant::now();
    let log = File::create(&job.log).context(|| format!("creating {}", job.log.display()))?;
    let (mut child, pipes) = start(command)?;
    let id = i32::try_from(child.id()).unwrap_or(0);
    let guard = Guard::new(id);
    let [stdout, stderr, control, console] = pipes;
    let copy = |pipe: PipeReader, to: Box<dyn Write + Send>| {
        std::thread::spawn(move || output::copy(pipe, to))
    };
    let console = copy(console, Box::new(log));
    let stdout = copy(stdout, output.writer(std::io::stdout()));
    let stderr = copy(stderr, output.writer(std::io::stderr()));
    let (sender, events) = channel();
    listen(control, sender.clone());
    wait(id, sender);
    let watched = watch(&events, started, spec.timeout);
    drop(guard);
    child.wait().context(|| "waiting for the VM")?;
    let stdout = stdout.join().unwrap_or_default();
    let _ = (stderr.join(), console.join());
    match watched {
        Ok((status, boot)) => {
            if let Some(archive) = archive {
                unpack(&archive, &job.out)?;
            }
            Ok(VmRun {
                status,
                stdout,
                boot,
            })
        }
        Err(why) => Err(failure(&why, &job.log)),
    }
}

fn start(mut command: Command) -> Result<(Child, [PipeReader; 4])> {
    let pipe = || std::io::pipe().context(|| "making a pipe");
    let (first, second, third, console) = (pipe()?, pipe()?, pipe()?, pipe()?);
    let numbers = [STDOUT, STDERR, CONTROL];
    // Kept open until the machine has its own copies.
    let writers = [first.1, second.1, third.1];
    let given: [i32; 3] = [0, 1, 2].map(|n: usize| writers[n].as_raw_fd());
    command
        .stdin(Stdio::null())
        .stderr(console.1.try_clone().context(|| "sharing the console")?)
        .stdout(console.1)
        .process_group(0);
    // SAFETY: dup2 and prctl may be called between fork and exec, and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            for (from, to) in given.into_iter().zip(numbers) {
                if libc::dup2(from, to) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    let program = command.get_program().to_owned();
    let child = command
        .spawn()
        .context(|| format!("starting {}", program.display()))?;
    Ok((child, [first.0, second.0, third.0, console.0]))
}

fn listen(control: PipeReader, events: Sender<Event>) {
    std::thread::spawn(move || {
        for line in BufReader::new(control)
            .lines()
            .map_while(std::result::Result::ok)
        {
            let _ = events.send(Event::Control(line.trim().to_owned()));
        }
    });
}

/// Reports the end of a process without reaping it, so that its number is not reused.
fn wait(id: i32, events: Sender<Event>) {
    std::thread::spawn(move || {
        let options = libc::WEXITED | libc::WNOWAIT;
        loop {
            // SAFETY: zeroes are a valid siginfo_t, and waitid writes to nothing else.
            let result = unsafe {
                let mut info: libc::siginfo_t = std::mem::zeroed();
                libc::waitid(libc::P_PID, id.cast_unsigned(), &raw mut info, options)
            };
            let interrupted =
                std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted;
            if result == 0 || !interrupted {
                let _ = events.send(Event::Ended);
                return;
            }
        }
    });
}

/// Returns the exit status and the boot time, or the reason for their absence.
fn watch(
    events: &Receiver<Event>,
    started: Instant,
    timeout: Duration,
) -> std::result::Result<(u8, Duration), String> {
    let (mut boot, mut status, mut deadline) = (None, None, BOOT.min(timeout));
    loop {
        let left = deadline.saturating_sub(started.elapsed());
        match (events.recv_timeout(left), boot, status) {
            (Ok(Event::Control(line)), _, _) => {
                if line == "booted" {
                    boot = Some(started.elapsed());
                    deadline = timeout;
                } else if let Some(number) = exit_status(&line) {
                    status = Some(number);
                    deadline = started.elapsed() + POWER_OFF;
                }
            }
            // The machine is off, or it hangs while it powers off: the command has ended.
            (_, Some(boot), Some(status)) => return Ok((status, boot)),
            (Err(RecvTimeoutError::Timeout), None, _) => {
                return Err(format!(
                    "the VM did not boot within {} s",
                    deadline.as_secs()
                ));
            }
            (Err(RecvTimeoutError::Timeout), Some(_), _) => {
                return Err(format!(
                    "the command did not end within {} s; the VM was killed",
                    timeout.as_secs()
                ));
            }
            (_, None, _) => return Err("the VM stopped while booting".to_owned()),
            (_, Some(_), None) => {
                return Err("the VM stopped before the command had ended".to_owned());
            }
        }
    }
}

fn exit_status(line: &str) -> Option<u8> {
    line.strip_prefix("exit ")?.parse().ok()
}

fn unpack(archive: &Path, out: &Path) -> Result {
    let archive = archive.to_string_lossy();
    super::shell::output(
        "tar",
        &["-x", "-f", &*archive, "-C", &*out.to_string_lossy()],
    )
    .map(|_| ())
}

fn failure(why: &str, log: &Path) -> Error {
    let console = fs::read(log).unwrap_or_default();
    let tail = tail(&String::from_utf8_lossy(&console), 15);
    Error::new(format!(
        "{why}. The end of its console:\n{tail}\nThe whole console is in {}",
        log.display()
    ))
}

fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let start = lines.len().saturating_sub(count);
    let indented = lines[start..].iter().map(|line| format!("  | {line}"));
    indented.collect::<Vec<_>>().join("\n")
}
