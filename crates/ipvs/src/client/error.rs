//! Errors between here and the kernel.

use netlink::generic::ResolveError;
use netlink::{DumpError, Failure};

use super::Request;

/// Text of a cause: `ip_vs` was loaded when the client was opened.
const GONE: &str = "the kernel has no IPVS any more: its module ip_vs was unloaded";

/// IPVS could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no netlink socket to be had.
    #[error("failed to reach generic netlink")]
    Socket(#[source] netlink::OpenError),
    /// The kernel has no IPVS: the module `ip_vs` is not loaded, or not built.
    #[error("the kernel has no IPVS: its module ip_vs is not loaded")]
    NoFamily,
    /// The kernel could not be asked.
    #[error("failed to look for IPVS in the kernel")]
    Resolve(#[source] ResolveError),
}

/// Something could not be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {what}")]
pub struct ReadError {
    what: String,
    source: ReadCause,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadCause {
    #[error(transparent)]
    Dump(#[from] DumpError),
    #[error("{GONE}")]
    NoFamily,
    /// [`Client::set_interrupt`](super::Client::set_interrupt).
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

    /// Why.
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

/// A request that was not done, or whose outcome is not known. Names what was asked and its key; the
/// cause is its source.
#[derive(Debug, thiserror::Error)]
#[error("failed to {request}")]
pub struct RequestError {
    request: Box<Request>,
    source: RequestCause,
}

/// Why a request was not done.
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

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The failure that netlink reported; none with [`ErrorKind::NoFamily`].
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match &self.source {
            RequestCause::Failed(failure) => Some(failure),
            RequestCause::NoFamily => None,
        }
    }

    /// Why it failed.
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

/// The meaning of an error number: it means something only together with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// `ESRCH`: no such virtual server; or, of a daemon, none that runs.
    NoSuchService,
    /// `ENOENT` about a real server: the virtual server has none of this key.
    NoSuchDestination,
    /// `ENOENT` about a virtual server: the kernel has no such scheduler or persistence engine and
    /// could not load its module.
    UnknownScheduler,
    /// `EEXIST`.
    AlreadyExists,
    /// `EPERM`: `CAP_NET_ADMIN` is missing.
    NotPermitted,
    /// `ERANGE`: a weight above 2^31-1, or a lower threshold above the upper one.
    OutOfRange,
    /// `EINVAL`: contradictory, for example a real server of another family without a tunnel, or the
    /// network namespace's loopback device is down.
    Invalid,
    /// The kernel's answer was lost: the request may have been done.
    Lost,
    /// The request could not be sent: it was not done.
    NotSent,
    /// The module `ip_vs` was unloaded: nothing was done.
    NoFamily,
    /// The reading was ended before its next list.
    Interrupted,
    /// Any other error number.
    Other(i32),
}

/// Source: `ip_vs_genl_set_cmd` and what it calls, `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1.
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
