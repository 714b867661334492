//! Usage of the machine by processes.

use std::time::Duration;

use procfs::ProcResult;
use procfs::process::Process;

/// Resources that a process has used so far, and holds now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Processor time, of user and kernel.
    pub(crate) cpu: Duration,
    /// Resident memory, in bytes.
    pub(crate) resident: u64,
}

/// Asks the kernel about the process `id`.
///
/// # Errors
///
/// There is no such process.
pub(crate) fn usage(id: i32) -> ProcResult<Usage> {
    let stat = Process::new(id)?.stat()?;
    let ticks = (stat.utime + stat.stime) as f64;
    Ok(Usage {
        cpu: Duration::from_secs_f64(ticks / procfs::ticks_per_second() as f64),
        resident: stat.rss * procfs::page_size(),
    })
}

/// Asks the kernel about this process.
///
/// # Errors
///
/// `/proc` cannot be read.
pub(crate) fn own_usage() -> ProcResult<Usage> {
    usage(Process::myself()?.pid)
}
