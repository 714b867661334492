//! Background processes with a log, and commands that run to their end.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::container::Container;
use crate::failure::{Context as _, Failure, Outcome};
use crate::wait::within;

/// Number of lines at the end of a log that are shown.
const SHOWN: usize = 60;

/// Logs of all processes since [`forget_logs`].
static LOGS: Mutex<Vec<Arc<Log>>> = Mutex::new(Vec::new());
static NUMBER: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
struct Log {
    name: String,
    path: PathBuf,
}

/// A background process, killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Id of the process in the container that `child` runs.
    contained: Option<libc::pid_t>,
    log: Arc<Log>,
}

/// Result of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Exit status, or 128 plus the signal that ended the process.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Process {
    /// Starts a process with its log as standard output and standard error.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, mut command: Command) -> Outcome<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = format!("e2e-{}-{number}-{name}.log", std::process::id());
        let log = Arc::new(Log {
            name: name.to_owned(),
            path: std::env::temp_dir().join(file),
        });
        let path = &log.path;
        let file = File::create(path).context(|| format!("creating {}", path.display()))?;
        let second = file.try_clone().context(|| "copying a file descriptor")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(second)
            .spawn()
            .context(|| format!("starting {name}"))?;
        LOGS.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&log));
        Ok(Self {
            child,
            contained: None,
            log,
        })
    }

    /// Starts a container and waits until it runs. Signals are sent to the process in it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start_container(name: &str, container: Container) -> Outcome<Self> {
        let mut process = Self::start(name, container.command)?;
        let path = container.process_id;
        // The container runtime writes the file when the process runs.
        let id = within(Duration::from_secs(5), || {
            let text =
                fs::read_to_string(&path).context(|| format!("reading {}", path.display()))?;
            text.trim().parse().context(|| "a process id")
        })?;
        process.contained = Some(id);
        Ok(process)
    }

    /// Returns the log so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log.path).unwrap_or_default()
    }

    /// Waits until a line of the log has all of `words`.
    ///
    /// # Errors
    /// If no such line appears in `time`.
    pub fn wait_for_log(&self, time: Duration, words: &[&str]) -> Outcome<String> {
        within(time, || {
            let log = self.log();
            let line = log
                .lines()
                .find(|line| words.iter().all(|word| line.contains(word)));
            line.map(str::to_owned)
                .ok_or_else(|| Failure::new(format!("{}: no line with {words:?}", self.log.name)))
        })
    }

    /// Returns true if the process has ended by itself.
    ///
    /// # Errors
    /// If its state cannot be read.
    pub fn has_ended(&mut self) -> Outcome<bool> {
        let status = self.child.try_wait();
        status
            .map(|status| status.is_some())
            .context(|| format!("waiting for {}", self.log.name))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn signal(&self, signal: libc::c_int) -> Outcome {
        let id = self.id()?;
        // SAFETY: no pointers are involved; the child is not yet waited for, so the id is its.
        let status = unsafe { libc::kill(id, signal) };
        if status == 0 {
            Ok(())
        } else {
            let why = std::io::Error::last_os_error();
            Err(Failure::new(format!("signalling {}: {why}", self.log.name)))
        }
    }

    /// Returns the id of the process, even if a container runtime started it.
    ///
    /// # Errors
    /// If the id is out of range.
    pub fn id(&self) -> Outcome<libc::pid_t> {
        match self.contained {
            Some(id) => Ok(id),
            None => libc::pid_t::try_from(self.child.id()).context(|| "a process id"),
        }
    }

    /// Kills the process with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// If it is gone already.
    pub fn kill(&mut self) -> Outcome {
        self.signal(libc::SIGKILL)?;
        self.wait(Duration::from_secs(5)).map(drop)
    }

    /// Ends the process with SIGTERM. Returns its exit status.
    ///
    /// # Errors
    /// If it does not end.
    pub fn terminate(&mut self) -> Outcome<ExitStatus> {
        self.signal(libc::SIGTERM)?;
        self.wait(Duration::from_secs(5))
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    /// If it has not ended after `time`.
    pub fn wait(&mut self, time: Duration) -> Outcome<ExitStatus> {
        within(time, || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(Failure::new(format!("{} is still running", self.log.name))),
            Err(error) => Err(Failure::new(format!(
                "waiting for {}: {error}",
                self.log.name
            ))),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        if self.contained.is_some() && matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.signal(libc::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let status = output.status;
        let by_signal = || 128 + status.signal().unwrap_or_default();
        Self {
            status: status.code().unwrap_or_else(by_signal),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// Returns the result if the exit status is `status`.
    ///
    /// # Errors
    /// The exit status is another one. The error contains the output.
    pub fn exits(self, status: i32) -> Outcome<Self> {
        if self.status == status {
            Ok(self)
        } else {
            Err(Failure::new(format!(
                "exit status {}, expected {status}\n{}{}",
                self.status, self.out, self.err
            )))
        }
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: Command) -> Outcome<Ran> {
    run_with_input(command, "")
}

/// Runs a command to its end with `input` as its standard input, which must be small.
pub(crate) fn run_with_input(mut command: Command, input: &str) -> Outcome<Ran> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(|| format!("starting {name}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input reports its problem otherwise.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child
        .wait_with_output()
        .context(|| format!("waiting for {name}"))?;
    Ok(output.into())
}

/// Deletes the logs of ended processes before a new case.
pub fn forget_logs() {
    let mut logs = LOGS.lock().unwrap_or_else(PoisonError::into_inner);
    logs.retain(|log| {
        let runs = Arc::strong_count(log) > 1;
        if !runs {
            // A leftover temporary file does no harm.
            let _ = fs::remove_file(&log.path);
        }
        runs
    });
}

/// Returns the ends of all logs, for a failed case.
#[must_use]
pub fn logs() -> String {
    let mut text = String::new();
    for log in LOGS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let all = fs::read_to_string(&log.path).unwrap_or_default();
        let lines: Vec<&str> = all.lines().collect();
        let end = &lines[lines.len().saturating_sub(SHOWN)..];
        text.push_str(&format!("--- {}\n{}\n", log.name, end.join("\n")));
    }
    text
}
