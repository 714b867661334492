//! Errors of netlink as errors of the seam.

use std::io;

use model::Op;
use model::kernel::Errno;
use netlink::{DumpError, Failure};

use model::kernel::{ObserveError, OpError, OpErrorKind};

/// Why `op` failed, or why that is not known.
pub(super) fn op_error(op: &Op, failure: &Failure) -> OpError {
    match failure {
        Failure::Refused { errno, message } => {
            crate::errno::op_error(op.clone(), Errno(errno.0)).with_message(message.clone())
        }
        Failure::Lost => OpError::new(op.clone(), OpErrorKind::Unknown, None),
        Failure::NotSent(error) => not_sent(op, error),
    }
}

/// `op` was not tried, since what it needs could not be read.
pub(super) fn not_tried(op: &Op, error: &DumpError) -> OpError {
    match error {
        DumpError::Refused { errno, .. } => other(op, Errno(errno.0)),
        DumpError::Send(error) | DumpError::Receive(error) => not_sent(op, error),
        DumpError::Truncated { .. } | DumpError::Decode(_) => other(op, Errno(libc::EBADMSG)),
    }
}

/// Why `what` could not be read.
pub(super) fn observe_error(what: &'static str, error: DumpError) -> ObserveError {
    match error {
        DumpError::Refused { errno, .. } if errno.0 == libc::EPERM => {
            let source = Errno(errno.0);
            ObserveError::NotPermitted { what, source }
        }
        error => ObserveError::Failed {
            what,
            source: Box::new(error),
        },
    }
}

/// An error number of the socket means nothing about the change itself.
fn not_sent(op: &Op, error: &io::Error) -> OpError {
    other(op, Errno(error.raw_os_error().unwrap_or(libc::EIO)))
}

fn other(op: &Op, errno: Errno) -> OpError {
    OpError::new(op.clone(), OpErrorKind::Other(errno), Some(errno))
}
