//! Waits for several descriptors at once.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// Polls a descriptor until it can be read.
pub(super) fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

/// Polls a descriptor until it can be written to.
pub(super) fn writable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::OUT)
}

/// Waits until a descriptor is ready, closed or failed, or until `limit` has passed. Returns true
/// for each descriptor in such a state. `None` is never ready. After an interruption by a signal,
/// all are false.
pub(super) fn wait<const N: usize>(
    polled: [Option<PollFd<'_>>; N],
    limit: Option<Duration>,
) -> io::Result<[bool; N]> {
    // A limit beyond the range of the kernel's clock counts as no limit.
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    let mut open: Vec<PollFd<'_>> = polled.iter().flatten().cloned().collect();
    match rustix::event::poll(&mut open, limit.as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok([false; N]),
        Err(error) => return Err(error.into()),
    }
    let mut ready = open.iter().map(|polled| !polled.revents().is_empty());
    Ok(polled.map(|polled| polled.is_some() && ready.next() == Some(true)))
}
