//! Errors of the crate.

use std::fmt;
use std::io;

use netlink_packet_core::DecodeError;

/// An error number of the kernel, positive, for example `EEXIST` (17). Prints as the system's
/// message for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl std::error::Error for Errno {}

/// Failure to open a socket.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} a netlink socket")]
pub struct OpenError {
    pub(crate) action: &'static str,
    pub(crate) source: io::Error,
}

/// Failure of a request.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The kernel refused the request.
    #[error("the kernel refused: {errno}{}", text(.message.as_deref()))]
    Refused {
        /// The error number.
        errno: Errno,
        /// The kernel's text beside the number (`NLMSGERR_ATTR_MSG`, since Linux 4.12).
        message: Option<String>,
    },
    /// The kernel's answer was dropped or did not arrive in time. The request may have been
    /// executed.
    #[error("the kernel's answer was lost")]
    Lost,
    /// The request could not be sent and was not executed.
    #[error("failed to send to the kernel")]
    NotSent(#[source] io::Error),
}

fn text(message: Option<&str>) -> String {
    message.map_or_else(String::new, |message| format!(" ({message})"))
}

/// Failure of a dump or a query. Entries that were passed before the failure may be incomplete or
/// outdated.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The kernel refused the request.
    #[error("the kernel refused: {errno}{}", text(.message.as_deref()))]
    Refused {
        /// The error number.
        errno: Errno,
        /// The kernel's text beside the number.
        message: Option<String>,
    },
    /// The request could not be sent.
    #[error("failed to send to the kernel")]
    Send(#[source] io::Error),
    /// The answer could not be received, for example because of `ENOBUFS` or a timeout.
    #[error("failed to receive from the kernel")]
    Receive(#[source] io::Error),
    /// A datagram did not fit the receive buffer.
    #[error("the kernel's answer has {length} bytes and was truncated")]
    Truncated {
        /// Length of the datagram, bytes.
        length: usize,
    },
    /// An answer could not be decoded.
    #[error("the kernel's answer could not be decoded")]
    Decode(#[source] DecodeError),
}

impl From<Failure> for DumpError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused { errno, message } => Self::Refused { errno, message },
            Failure::Lost => Self::Receive(io::Error::from_raw_os_error(libc::ENOBUFS)),
            Failure::NotSent(error) => Self::Send(error),
        }
    }
}
