//! Runs an iptables program.

use std::fmt;
use std::io;
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

use model::rules::RulesError;

use super::programs::Program;
use crate::linux::child::{self, ChildError};
use crate::linux::stop::StopSignal;

/// Seconds to wait for the lock of the legacy tables, `/run/xtables.lock`. nf_tables has no lock:
/// the kernel refuses a change that is based on old rules, and the program retries it.
const WAIT: &str = "5";

/// Time limit of a program that reads or changes rules: 5 s of its own wait for the lock, plus 20
/// s. Programs of nf_tables read all rules of the node before a change, which takes seconds for
/// tens of thousands of rules.
const LIMIT: Duration = Duration::from_secs(25);

/// Time limit of a program that prints its version, which needs neither the kernel nor a lock.
const VERSION_LIMIT: Duration = Duration::from_secs(5);

/// Reason why rules were not read or changed.
#[derive(Debug, thiserror::Error)]
pub(in crate::linux) enum IptablesError {
    /// No program was found. The text names the programs and folders that were searched.
    #[error("{0}")]
    NotFound(String),
    #[error("failed to run {program}: {source}")]
    NotRun { program: String, source: io::Error },
    /// The program was killed. Its effects until then remain.
    #[error("{program}: {source}")]
    Killed { program: String, source: ChildError },
    #[error("{0}")]
    Failed(Failure),
    #[error("cannot parse the output of iptables-save: {0}")]
    Unread(RulesError),
}

/// A program that failed. Prints in one line: the program, its message, and the line of the input
/// that the message names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::linux) struct Failure {
    pub(super) program: String,
    pub(super) status: ExitStatus,
    pub(super) said: String,
    pub(super) line: Option<String>,
}

impl Failure {
    fn new(program: &Program, output: &Output, input: &str) -> Self {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Self {
            program: program.to_string(),
            status: output.status,
            line: named_line(&said, input),
            said,
        }
    }

    /// Returns true if the kernel has no packet filter for this family. x_tables: the table or the
    /// sockets do not exist (`ipv6.disable=1`). nf_tables: `EOPNOTSUPP` for a new table.
    ///
    /// The legacy iptables-restore prints the same message without `CAP_NET_ADMIN`, but without it
    /// IPVS cannot be opened either.
    pub(super) fn lacks_family(&self) -> bool {
        [
            "do you need to insmod?",
            "unable to initialize table",
            "Address family not supported",
            "TABLE_ADD failed (Operation not supported)",
        ]
        .iter()
        .any(|words| self.said.contains(words))
    }

    /// Returns true for `EPERM`.
    pub(super) fn not_permitted(&self) -> bool {
        self.said.contains("you must be root") || self.said.contains("Operation not permitted")
    }

    /// Returns true if another program held the lock during the whole wait.
    pub(super) fn locked(&self) -> bool {
        self.said.contains("holding the xtables lock")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            program, status, ..
        } = self;
        write!(f, "{program}: {status}")?;
        let said = (self.said.lines().map(str::trim))
            .filter(|line| !line.is_empty() && !line.starts_with("Try `"));
        for (index, line) in said.enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            f.write_str(line)?;
        }
        if let Some(line) = &self.line {
            write!(f, "; that line is `{line}`")?;
        }
        if self.said.contains("can't open lock file") {
            f.write_str("; a container needs the node's /run/xtables.lock at its place")?;
        }
        Ok(())
    }
}

/// Returns the line of the input that the program's message names: "Error occurred at line: 3" or
/// "line 3 failed".
fn named_line(said: &str, input: &str) -> Option<String> {
    let after = ["at line: ", "line "].iter().find_map(|words| {
        let (_, after) = said.split_once(words)?;
        after
            .starts_with(|c: char| c.is_ascii_digit())
            .then_some(after)
    })?;
    let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
    let number: usize = digits.parse().ok()?;
    let line = input.lines().nth(number.checked_sub(1)?)?;
    (line != "COMMIT").then(|| line.to_owned())
}

/// Returns the rules of all tables, as `program` prints them.
pub(super) fn save(program: &Program, stop: &StopSignal) -> Result<String, IptablesError> {
    save_table(program, None, stop)
}

/// Returns the rules of one table, or of all tables.
pub(super) fn save_table(
    program: &Program,
    table: Option<&str>,
    stop: &StopSignal,
) -> Result<String, IptablesError> {
    let mut command = program.command();
    command.args(table.into_iter().flat_map(|table| ["-t", table]));
    let output = run(program, command, "", LIMIT, stop)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(IptablesError::Failed(Failure::new(program, &output, "")))
    }
}

/// Applies `input` with `program` without flushing other rules. `waits` is true if the program can
/// wait for its lock.
pub(super) fn restore(
    program: &Program,
    waits: bool,
    input: &str,
    stop: &StopSignal,
) -> Result<(), IptablesError> {
    let mut command = program.command();
    command.arg("--noflush");
    if waits {
        command.args(["-w", WAIT]);
    }
    let output = run(program, command, input, LIMIT, stop)?;
    if output.status.success() {
        Ok(())
    } else {
        Err(IptablesError::Failed(Failure::new(program, &output, input)))
    }
}

/// Returns the output of `program --version`, or `None` if the program cannot be run.
pub(super) fn version(
    program: &Program,
    stop: &StopSignal,
) -> Result<Option<String>, IptablesError> {
    let mut command = program.command();
    command.arg("--version");
    match run(program, command, "", VERSION_LIMIT, stop) {
        Ok(output) => Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned())),
        Err(IptablesError::NotRun { .. }) => Ok(None),
        Err(why) => Err(why),
    }
}

fn run(
    program: &Program,
    command: Command,
    input: &str,
    limit: Duration,
    stop: &StopSignal,
) -> Result<Output, IptablesError> {
    child::run(command, input.as_bytes(), limit, stop).map_err(|error| {
        let program = program.to_string();
        match error {
            ChildError::Start(source) => IptablesError::NotRun { program, source },
            source => IptablesError::Killed { program, source },
        }
    })
}
