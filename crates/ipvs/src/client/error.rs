//! Errors of the client.

use netlink::generic::ResolveError;
use netlink::{DumpError, Failure};

use super::Request;

/// Text of a cause: `ip_vs` was loaded when the client was opened and is not any more.
const GONE: &str = "the kernel no longer has IPVS: its module ip_vs was unloaded";

/// IPVS could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The netlink socket could not be opened.
    #[error("failed to reach generic netlink")]
    Socket(#[source] netlink::OpenError),
    /// The kernel has no IPVS: the module `ip_vs` is not loaded, or was not built.
    #[error("the kernel has no IPVS: its module ip_vs is not loaded")]
    NoFamily,
    /// The kernel did not answer the request for the family.
    #[error("failed to look for IPVS in the kernel")]
    Resolve(#[source] ResolveError),
}

/// A failed reading. Prints the part that was read; the cause is the error's source.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {what}")]
pub struct ReadError {
    what: String,
    source: ReadCause,
}

/// Cause of a failed reading.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadCause {
    #[error(transparent)]
    Dump(#[from] DumpError),
    #[error("{GONE}")]
    NoFamily,
    /// The flag of [`Client::set_interrupt`](super::Client::set_interrupt) is true.
    #[error("the reading was interrupted")]
    Interrupted,
}

impl ReadError {
    pub(super) fn new(what: impl Into<String>, source: impl Into<ReadCause>) -> Self {
        Self {
            what: what.into(),
            source: source.into(),
        }
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.source {
            ReadCause::Dump(DumpError::Refused { errno, .. }) => kind_of(None, errno.0),
            ReadCause::Dump(_) => ErrorKind::Lost,
            ReadCause::NoFamily => ErrorKind::NoFamily,
            ReadCause::Interrupted => ErrorKind::Interrupted,
        }
    }
}

/// A request that failed, or whose outcome is unknown. Prints the request and its key; the cause is
/// the error's source.
#[derive(Debug, thiserror::Error)]
#[error("failed to {request}")]
pub struct RequestError {
    request: Box<Request>,
    source: RequestCause,
}

/// Cause of a failed request.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestCause {
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error("{GONE}")]
    NoFamily,
}

impl RequestError {
    pub(super) fn new(request: Request, source: RequestCause) -> Self {
        Self {
            request: Box::new(request),
            source,
        }
    }

    /// Returns the request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Returns the failure that netlink reported; `None` for [`ErrorKind::NoFamily`].
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match &self.source {
            RequestCause::Failed(failure) => Some(failure),
            RequestCause::NoFamily => None,
        }
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.source {
            RequestCause::Failed(Failure::Refused { errno, .. }) => {
                kind_of(Some(&self.request), errno.0)
            }
            RequestCause::Failed(Failure::Lost) => ErrorKind::Lost,
            RequestCause::Failed(Failure::NotSent(_)) => ErrorKind::NotSent,
            RequestCause::NoFamily => ErrorKind::NoFamily,
        }
    }
}

/// Meaning of an error number, which depends on the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// `ESRCH`: the virtual server does not exist, or the synchronisation daemon is not running.
    NoSuchService,
    /// `ENOENT` for a real server: the virtual server has no real server with this key.
    NoSuchDestination,
    /// `ENOENT` for a virtual server: the kernel does not have the scheduler or persistence engine
    /// and could not load its module.
    UnknownScheduler,
    /// `EEXIST`: the entry already exists.
    AlreadyExists,
    /// `EPERM`: `CAP_NET_ADMIN` is missing.
    NotPermitted,
    /// `ERANGE`: a weight above 2^31-1, or a lower threshold above the upper one.
    OutOfRange,
    /// `EINVAL`: contradictory settings, for example a real server of another family without a
    /// tunnel; or the loopback device of the network namespace is down.
    Invalid,
    /// The kernel's answer was lost: the request may have been executed.
    Lost,
    /// The request could not be sent and was not executed.
    NotSent,
    /// The module `ip_vs` was unloaded; nothing was executed.
    NoFamily,
    /// The reading was interrupted before its next list.
    Interrupted,
    /// Any other error number.
    Other(i32),
}

/// Returns the meaning of `errno`.
///
/// Source: `ip_vs_genl_set_cmd` and its callees, `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1.
fn kind_of(request: Option<&Request>, errno: i32) -> ErrorKind {
    match errno {
        libc::ESRCH => ErrorKind::NoSuchService,
        libc::ENOENT => match request {
            Some(Request::NewService(_) | Request::SetService(_)) => ErrorKind::UnknownScheduler,
            Some(Request::NewDest(..) | Request::SetDest(..) | Request::DelDest(..)) => {
                ErrorKind::NoSuchDestination
            }
            _ => ErrorKind::Other(errno),
        },
        libc::EEXIST => ErrorKind::AlreadyExists,
        libc::EPERM | libc::EACCES => ErrorKind::NotPermitted,
        libc::ERANGE => ErrorKind::OutOfRange,
        libc::EINVAL => ErrorKind::Invalid,
        other => ErrorKind::Other(other),
    }
}
