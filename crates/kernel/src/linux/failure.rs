//! Converts netlink errors to the errors of the trait `Kernel`.

use std::io;

use model::Op;
use model::kernel::Errno;
use netlink::{DumpError, Failure};

use model::kernel::{ObserveError, OpError, OpErrorKind};

/// Returns the error of `op`, which failed or whose outcome is unknown.
pub(super) fn op_error(op: &Op, failure: &Failure) -> OpError {
    match failure {
        Failure::Refused { errno, message } => {
            crate::errno::op_error(op.clone(), Errno(errno.0)).with_message(message.clone())
        }
        Failure::Lost => OpError::new(op.clone(), OpErrorKind::Unknown, None),
        Failure::NotSent(error) => not_sent(op, error),
    }
}

/// Returns the error of `op`, which was not tried because a reading that it needs failed.
pub(super) fn not_tried(op: &Op, error: &DumpError) -> OpError {
    match error {
        DumpError::Refused { errno, .. } => other(op, Errno(errno.0)),
        DumpError::Send(error) | DumpError::Receive(error) => not_sent(op, error),
        DumpError::Truncated { .. } | DumpError::Decode(_) => other(op, Errno(libc::EBADMSG)),
    }
}

/// Returns the error of a reading of `what`.
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

/// An error number of the socket has no meaning for the change itself.
fn not_sent(op: &Op, error: &io::Error) -> OpError {
    other(op, Errno(error.raw_os_error().unwrap_or(libc::EIO)))
}

fn other(op: &Op, errno: Errno) -> OpError {
    OpError::new(op.clone(), OpErrorKind::Other(errno), Some(errno))
}
