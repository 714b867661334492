//! `kube-ipvsd` and `ipvsctl` as processes, observed from outside.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::daemon::Files;

/// A sync without changes is logged only at level debug.
const ARGUMENTS: [&str; 2] = ["--log-level", "info,node::run::report=debug"];

/// The kernel's figures about a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Resident memory in bytes.
    pub(crate) resident: u64,
    /// Maximum of the resident memory.
    pub(crate) peak: u64,
    /// Processor time, user and system, of the process and of the children that it waited for.
    pub(crate) processor: Duration,
    /// Number of times that one of its threads waited.
    pub(crate) waits: u64,
    /// Part of the resident memory that is not of a file.
    pub(crate) anonymous: u64,
    /// Number of its open sockets.
    pub(crate) sockets: usize,
}

/// A running daemon. Killed when it is dropped.
pub(crate) struct Daemon {
    child: Child,
    lines: Receiver<String>,
}

impl Daemon {
    /// Starts the daemon in the network namespace of this thread.
    pub(crate) fn start(files: &Files) -> Outcome<Self> {
        let mut child = start("kube-ipvsd", &ARGUMENTS, &files.arguments())?;
        let (sender, lines) = mpsc::channel();
        let log = child.stderr.take().ok_or("no log")?;
        thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// Waits until the daemon logs that it has synced and returns that line.
    pub(crate) fn synced(&self, timeout: Duration) -> Outcome<String> {
        let deadline = Instant::now() + timeout;
        let mut log = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains("synced") => return Ok(line),
                Ok(line) => log.push(line),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("kube-ipvsd has not synced:\n{}", log.join("\n")).into());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("kube-ipvsd has ended:\n{}", log.join("\n")).into());
                }
            }
        }
    }

    /// Resets the maximum of the resident memory (proc(5), `clear_refs`).
    pub(crate) fn forget_peak(&self) -> Outcome {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?;
        Ok(())
    }

    /// Returns its current usage.
    pub(crate) fn usage(&self) -> Outcome<Usage> {
        usage_of(&[self.child.id()])
    }
}

/// Returns the sum of the current usage of these processes.
pub(crate) fn usage_of(processes: &[u32]) -> Outcome<Usage> {
    let mut sum = Usage::default();
    for id in processes {
        let folder = format!("/proc/{id}");
        for task in fs::read_dir(format!("{folder}/task"))? {
            let status = fs::read_to_string(task?.path().join("status"))?;
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            sum.waits += line
                .and_then(|number| number.trim().parse::<u64>().ok())
                .unwrap_or_default();
        }
        // A descriptor may be closed while they are read.
        let links = fs::read_dir(format!("{folder}/fd"))?
            .flatten()
            .flat_map(|descriptor| fs::read_link(descriptor.path()));
        sum.sockets += links
            .filter(|link| link.to_string_lossy().starts_with("socket:"))
            .count();
        sum.resident += bytes(*id, "VmRSS:")?;
        sum.anonymous += bytes(*id, "RssAnon:")?;
        sum.peak += bytes(*id, "VmHWM:")?;
        sum.processor += processor(*id)?;
    }
    Ok(sum)
}

/// Returns the process `parent` and its children.
pub(crate) fn family(parent: u32) -> Outcome<Vec<u32>> {
    let mut family = vec![parent];
    for entry in fs::read_dir("/proc")?.flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        // A process may end while they are read.
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        if line.is_some_and(|line| line.trim() == parent.to_string()) {
            family.push(id);
        }
    }
    Ok(family)
}

/// Returns the processor time, user and system, of process `id` and of the children that it waited
/// for.
pub(crate) fn processor(id: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name may have any characters but ends with the last parenthesis. After it, utime, stime,
    // cutime, cstime are fields 14 to 17 (proc(5)).
    let (_, fields) = stat.rsplit_once(')').ok_or("stat has no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields.get(11..15).ok_or("stat is too short")?;
    let ticks = ticks.iter().filter_map(|field| field.parse::<u64>().ok());
    // USER_HZ is 100 on every architecture of this benchmark.
    Ok(Duration::from_millis(ticks.sum::<u64>() * 10))
}

/// One run of a command.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ran {
    /// Time from its start to its end.
    pub(crate) took: Duration,
    /// Time from its start to its first line.
    pub(crate) first: Duration,
    /// Number of lines that it printed.
    pub(crate) lines: u64,
    /// Maximum of its resident memory in bytes.
    pub(crate) peak: u64,
}

/// Runs `ipvsctl` with `arguments` and `more`, which must find nothing to report.
pub(crate) fn ipvsctl(arguments: &[&str], more: &[OsString]) -> Outcome<Ran> {
    let mut ran = Ran::default();
    let began = Instant::now();
    let mut child = start("ipvsctl", arguments, more)?;
    let memory = watch_memory(child.id());
    let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        if ran.lines == 0 {
            ran.first = began.elapsed();
        }
        ran.lines += 1;
        line.clear();
    }
    let mut text = String::new();
    if let Some(mut log) = child.stderr.take() {
        log.read_to_string(&mut text)?;
    }
    let status = child.wait()?;
    ran.took = began.elapsed();
    ran.peak = memory.join().map_err(|_| "the memory was not observed")?;
    match status.code().unwrap_or(-1) {
        0 => Ok(ran),
        // Warnings about the node, such as its idle timeouts.
        1 if arguments == ["doctor"] => Ok(ran),
        // The pods of the benchmark do not exist, so a traced packet may find no route to them.
        _ if arguments.first() == Some(&"trace") && ran.lines > 3 => Ok(ran),
        _ => Err(format!("ipvsctl {}: status {status}: {text}", arguments.join(" ")).into()),
    }
}

/// Observes the maximum of the resident memory of process `id` until it ends, in bytes.
///
/// `ru_maxrss` would begin with the memory of this process, from which the child is forked.
fn watch_memory(id: u32) -> JoinHandle<u64> {
    thread::spawn(move || {
        let mut peak = 0;
        // A process that has ended has no memory.
        while let Ok(now) = bytes(id, "VmHWM:") {
            peak = peak.max(now);
            thread::sleep(Duration::from_millis(2));
        }
        peak
    })
}

/// Starts the program `name` of this folder.
pub(crate) fn start(name: &str, first: &[&str], more: &[OsString]) -> Outcome<Child> {
    let program = std::env::current_exe()?.with_file_name(name);
    let child = Command::new(&program)
        .args(first)
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(child)
}

/// Returns a line of `/proc/PID/status` in kibibytes as bytes.
fn bytes(id: u32, name: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or(name.to_owned())?.parse::<u64>()? * 1024)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
