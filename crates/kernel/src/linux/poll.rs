//! Waiting for several descriptors at once.

use std::io::{self, ErrorKind};
use std::os::fd::RawFd;
use std::time::Duration;

/// A descriptor to wait for; -1 is ignored.
pub(super) fn readable(fd: RawFd) -> libc::pollfd {
    let events = libc::POLLIN;
    libc::pollfd {
        fd,
        events,
        revents: 0,
    }
}

/// The same, until it can be written to.
pub(super) fn writable(fd: RawFd) -> libc::pollfd {
    let events = libc::POLLOUT;
    libc::pollfd {
        fd,
        events,
        revents: 0,
    }
}

/// Waits until one of `polled` is ready, was closed or failed, or until `limit` is over; returns which of them are.
/// After an interruption by a signal none of them is ready.
pub(super) fn wait<const N: usize>(
    mut polled: [libc::pollfd; N],
    limit: Option<Duration>,
) -> io::Result<[bool; N]> {
    // Rounded up: a wait of less than 1 ms would be none.
    let limit = limit.map_or(-1, |limit| {
        let milliseconds = limit.as_nanos().div_ceil(1_000_000);
        libc::c_int::try_from(milliseconds).unwrap_or(libc::c_int::MAX)
    });
    let count = libc::nfds_t::try_from(N).unwrap_or(0);
    // SAFETY: the pointer is to `count` `pollfd`, which outlive the call.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), count, limit) };
    if ready >= 0 {
        return Ok(polled.map(|polled| polled.revents != 0));
    }
    match io::Error::last_os_error() {
        error if error.kind() == ErrorKind::Interrupted => Ok([false; N]),
        error => Err(error),
    }
}
