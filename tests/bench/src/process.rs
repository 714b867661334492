//! `kube-ipvsd` and `ipvsctl` as processes, observed from outside.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::shape::NODE;

/// A sync without changes is logged only at level debug.
const ARGUMENTS: [&str; 4] = [
    "--node-name",
    NODE,
    "--log-level",
    "info,node::run::report=debug",
];

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
}

/// A running daemon. Killed when it is dropped.
pub(crate) struct Daemon {
    child: Child,
    lines: Receiver<String>,
}

impl Daemon {
    /// Starts the daemon in the network namespace of this thread.
    pub(crate) fn start(kubeconfig: &Path, config: &Path) -> Outcome<Self> {
        let mut child = start("kube-ipvsd", &ARGUMENTS, kubeconfig, config)?;
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
        let folder = format!("/proc/{}", self.child.id());
        let stat = fs::read_to_string(format!("{folder}/stat"))?;
        // The name may have any characters but ends with the last parenthesis. After it, utime,
        // stime, cutime, cstime are fields 14 to 17 (proc(5)).
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = fields.get(11..15).ok_or("stat is too short")?;
        let ticks: u64 = ticks
            .iter()
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        let mut waits = 0;
        for task in fs::read_dir(format!("{folder}/task"))? {
            let status = fs::read_to_string(task?.path().join("status"))?;
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            waits += line
                .and_then(|number| number.trim().parse::<u64>().ok())
                .unwrap_or_default();
        }
        Ok(Usage {
            resident: bytes(&self.child, "VmRSS:")?,
            peak: bytes(&self.child, "VmHWM:")?,
            // USER_HZ is 100 on every architecture of this benchmark.
            processor: Duration::from_millis(ticks * 10),
            waits,
        })
    }
}

/// Runs `ipvsctl diff`, which must find no difference, and returns its maximum memory.
pub(crate) fn difference(kubeconfig: &Path, config: &Path) -> Outcome<u64> {
    let mut child = start("ipvsctl", &["diff", "--node", NODE], kubeconfig, config)?;
    let mut peak = 0;
    loop {
        // A process that has ended has no memory.
        peak = peak.max(bytes(&child, "VmHWM:").unwrap_or_default());
        if let Some(status) = child.try_wait()? {
            let mut text = String::new();
            if let Some(mut log) = child.stderr.take() {
                log.read_to_string(&mut text)?;
            }
            return match status.success() {
                true => Ok(peak),
                false => Err(format!("ipvsctl diff: {status}: {text}").into()),
            };
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn start(name: &str, first: &[&str], kubeconfig: &Path, config: &Path) -> Outcome<Child> {
    let program = std::env::current_exe()?.with_file_name(name);
    let child = Command::new(&program)
        .args(first)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--config")
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(child)
}

/// Returns a line of `/proc/PID/status` in kibibytes as bytes.
fn bytes(child: &Child, name: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
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
