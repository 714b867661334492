//! Errors of netlink.

use std::fmt;
use std::io;

use netlink_packet_core::DecodeError;

/// An error number of the kernel, positive, for example `EEXIST` (17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl std::error::Error for Errno {}

/// A socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} a netlink socket")]
pub struct OpenError {
    pub(crate) action: &'static str,
    pub(crate) source: io::Error,
}

/// Why a request was not done, or why that is not known.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The kernel refused it.
    #[error("the kernel refused: {errno}{}", text(.message.as_deref()))]
    Refused {
        /// Why.
        errno: Errno,
        /// The kernel's text beside the number (`NLMSGERR_ATTR_MSG`, since Linux 4.12).
        message: Option<String>,
    },
    /// The kernel's answer was dropped or did not come in time: the request may have been done.
    #[error("the kernel's answer was lost")]
    Lost,
    /// The request could not be sent: it was not done.
    #[error("failed to send to the kernel")]
    NotSent(#[source] io::Error),
}

fn text(message: Option<&str>) -> String {
    message.map_or_else(String::new, |message| format!(" ({message})"))
}

/// Why a dump or a query has no answer. What was handed over until then is part of the truth at best.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The kernel refused it.
    #[error("the kernel refused: {errno}{}", text(.message.as_deref()))]
    Refused {
        /// Why.
        errno: Errno,
        /// The kernel's text beside the number.
        message: Option<String>,
    },
    /// The request could not be sent.
    #[error("failed to send to the kernel")]
    Send(#[source] io::Error),
    /// The answer could not be received; `ENOBUFS` and time-outs are among these.
    #[error("failed to receive from the kernel")]
    Receive(#[source] io::Error),
    /// A datagram did not fit the receive buffer.
    #[error("the kernel's answer has {length} bytes and was truncated")]
    Truncated {
        /// Its length in bytes.
        length: usize,
    },
    /// An answer made no sense.
    #[error("the kernel's answer makes no sense")]
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
