//! Network namespaces, one for each measurement, so that deleted entries of one do not slow down
//! another.

use std::io;
use std::process::Command;
use std::thread;

use support::namespace::{UnshareFlags, unshare};

/// Runs `work` on a thread in a new network namespace whose `lo` is up.
pub(crate) fn within<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(UnshareFlags::NEWNET)?;
            let status = Command::new("ip")
                .args(["link", "set", "lo", "up"])
                .status()?;
            if !status.success() {
                return Err(io::Error::other(format!("ip link set lo up: {status}")));
            }
            Ok(work())
        });
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the measurement panicked")))
    })
}
