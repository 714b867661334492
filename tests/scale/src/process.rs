//! Resource usage of processes.

use std::time::Duration;

use procfs::ProcResult;
use procfs::process::Process;

/// Resource usage of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Processor time in user and kernel mode.
    pub(crate) cpu: Duration,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
}

/// Returns the usage of the process `id`.
///
/// # Errors
///
/// The process does not exist.
pub(crate) fn usage(id: i32) -> ProcResult<Usage> {
    let stat = Process::new(id)?.stat()?;
    let ticks = (stat.utime + stat.stime) as f64;
    Ok(Usage {
        cpu: Duration::from_secs_f64(ticks / procfs::ticks_per_second() as f64),
        resident: stat.rss * procfs::page_size(),
    })
}

/// Returns the usage of this process.
///
/// # Errors
///
/// `/proc` cannot be read.
pub(crate) fn own_usage() -> ProcResult<Usage> {
    usage(Process::myself()?.pid)
}
