//! Errors of the client.

use std::io;

use netlink::{DumpError, Errno, Failure};

use super::Request;

/// `IPSET_ERR_PRIVATE` and the numbers after it, which are specific to ipset
/// (`include/uapi/linux/netfilter/ipset/ip_set.h`, Linux 6.1).
const PROTOCOL: i32 = 4097;
const FIND_TYPE: i32 = 4098;
const MAX_SETS: i32 = 4099;
const BUSY: i32 = 4100;
const EXIST_SETNAME2: i32 = 4101;
const TYPE_MISMATCH: i32 = 4102;
/// `IPSET_ERR_EXIST`: the entry to add exists, or the entry to delete does not.
const EXISTS: i32 = 4103;
const INVALID_CIDR: i32 = 4104;
const INVALID_FAMILY: i32 = 4106;
const REFERENCED: i32 = 4108;
const IPADDR_IPV4: i32 = 4109;
const IPADDR_IPV6: i32 = 4110;
/// `IPSET_ERR_TYPE_SPECIFIC`: the numbers from here on depend on the type of the set
/// (`ip_set_hash.h` and `ip_set_bitmap.h` in the same folder).
const HASH_FULL: i32 = 4352;
const BITMAP_RANGE: i32 = 4352;
const INVALID_PROTO: i32 = 4354;
const MISSING_PROTO: i32 = 4355;

/// Failure to open a client.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The netlink socket could not be opened.
    #[error("failed to open a netlink socket to netfilter")]
    Socket(#[source] netlink::OpenError),
    /// The kernel has no sets: the module `ip_set` does not exist or could not be loaded.
    #[error("the kernel has no sets: its module ip_set is not loaded (modprobe ip_set)")]
    NoModule,
    /// The process lacks `CAP_NET_ADMIN`.
    #[error("not permitted to use the kernel's sets: CAP_NET_ADMIN is missing")]
    NotPermitted,
    /// The kernel supports only other protocol versions.
    #[error("the kernel supports ipset protocols {oldest} to {newest}, this program 6 and 7")]
    Protocol {
        /// The kernel's newest version.
        newest: u8,
        /// The kernel's oldest version.
        oldest: u8,
    },
    /// The kernel refused the request for its protocol versions.
    #[error("failed to read the kernel's ipset protocol")]
    Refused(#[source] Errno),
    /// The kernel did not answer the request for its protocol versions.
    #[error("failed to read the kernel's ipset protocol")]
    Ask(#[source] DumpError),
}

/// A failed reading. Prints the part that was read; the cause is the error's source.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {what}")]
pub struct ReadError {
    what: String,
    source: DumpError,
}

impl ReadError {
    pub(super) fn new(what: impl Into<String>, source: DumpError) -> Self {
        Self {
            what: what.into(),
            source,
        }
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.source {
            DumpError::Refused { errno, .. } => kind_of(errno.0, None),
            _ => ErrorKind::Lost,
        }
    }
}

/// A request that failed, or whose outcome is unknown. Prints the request and its set; the cause is
/// the error's source.
#[derive(Debug, thiserror::Error)]
#[error("failed to {request}")]
pub struct RequestError {
    request: Box<Request>,
    source: Cause,
}

impl RequestError {
    pub(super) fn new(request: Request, failure: Failure) -> Self {
        let kind = match &failure {
            Failure::Refused { errno, .. } => kind_of(errno.0, Some(&request)),
            Failure::Lost => ErrorKind::Lost,
            Failure::NotSent(_) => ErrorKind::NotSent,
        };
        Self {
            request: Box::new(request),
            source: Cause { kind, failure },
        }
    }

    /// Returns the request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Returns the failure that netlink reported.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.source.failure
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.source.kind
    }
}

/// The kind of failure with the error number behind it.
#[derive(Debug, thiserror::Error)]
#[error("{kind}{}", number(.failure))]
struct Cause {
    kind: ErrorKind,
    failure: Failure,
}

fn number(failure: &Failure) -> String {
    match failure {
        Failure::Refused { errno, .. } => format!(" (error {})", errno.0),
        Failure::NotSent(error) => format!(": {error}"),
        Failure::Lost => String::new(),
    }
}

/// Kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// The set does not exist (`ENOENT`).
    #[error("there is no such set")]
    NoSuchSet,
    /// The set does not contain the entry (`IPSET_ERR_EXIST`).
    #[error("the set does not hold this entry")]
    NoSuchEntry,
    /// A different set has this name (`EEXIST`, `IPSET_ERR_EXIST_SETNAME2`), or the entry exists.
    #[error("there is another set of this name")]
    AlreadyExists,
    /// A rule or another set uses the set (`IPSET_ERR_BUSY`, `IPSET_ERR_REFERENCED`), or a program
    /// is reading it (`EBUSY`).
    #[error("a rule or another set uses it")]
    InUse,
    /// The set has its maximum number of entries (`IPSET_ERR_HASH_FULL`).
    #[error("the set is full")]
    Full,
    /// The port is outside the range of the set (`IPSET_ERR_BITMAP_RANGE`).
    #[error("the port is outside the range of the set")]
    OutOfRange,
    /// The two sets have different types (`IPSET_ERR_TYPE_MISMATCH`).
    #[error("the two sets are of different types")]
    TypeMismatch,
    /// The kernel does not have the type, or not in this revision (`IPSET_ERR_FIND_TYPE`).
    #[error("the kernel does not have this type of sets")]
    NoSuchType,
    /// The kernel has its maximum number of sets (`IPSET_ERR_MAX_SETS`).
    #[error("the kernel has its maximum number of sets")]
    TooManySets,
    /// The entry does not fit the set: it has another family, a network of length 0, or lacks a
    /// part.
    #[error("the entry does not fit the set")]
    Unfit,
    /// The process lacks `CAP_NET_ADMIN` (`EPERM`).
    #[error("not permitted, CAP_NET_ADMIN is missing")]
    NotPermitted,
    /// The kernel rejects the message as malformed (`IPSET_ERR_PROTOCOL`, `EINVAL`).
    #[error("the kernel does not understand the request")]
    Invalid,
    /// The answer was lost: the request may have been executed.
    #[error("the kernel's answer was lost")]
    Lost,
    /// The request could not be sent.
    #[error("the request could not be sent")]
    NotSent,
    /// Any other error number.
    #[error("the kernel refused")]
    Other,
}

fn kind_of(number: i32, request: Option<&Request>) -> ErrorKind {
    match number {
        libc::ENOENT => ErrorKind::NoSuchSet,
        // For a swap this number means that the second set is missing.
        EXIST_SETNAME2 if matches!(request, Some(Request::Swap(..))) => ErrorKind::NoSuchSet,
        EXISTS if matches!(request, Some(Request::Del(..) | Request::Test(..))) => {
            ErrorKind::NoSuchEntry
        }
        libc::EEXIST | EXIST_SETNAME2 | EXISTS => ErrorKind::AlreadyExists,
        BUSY | REFERENCED | libc::EBUSY => ErrorKind::InUse,
        BITMAP_RANGE if is_of_ports(request) => ErrorKind::OutOfRange,
        HASH_FULL => ErrorKind::Full,
        TYPE_MISMATCH => ErrorKind::TypeMismatch,
        FIND_TYPE => ErrorKind::NoSuchType,
        MAX_SETS => ErrorKind::TooManySets,
        INVALID_CIDR | INVALID_FAMILY | IPADDR_IPV4 | IPADDR_IPV6 | INVALID_PROTO
        | MISSING_PROTO => ErrorKind::Unfit,
        // A type refuses an address of another family, or an entry that lacks a part, with this
        // number.
        PROTOCOL
            if matches!(
                request,
                Some(Request::Add(..) | Request::Del(..) | Request::Test(..))
            ) =>
        {
            ErrorKind::Unfit
        }
        libc::EPERM => ErrorKind::NotPermitted,
        PROTOCOL | libc::EINVAL => ErrorKind::Invalid,
        _ => ErrorKind::Other,
    }
}

/// Returns true if the request is about a port of a bitmap. Then the number of "full" for a hash
/// means "out of range".
fn is_of_ports(request: Option<&Request>) -> bool {
    use crate::types::Entry::Port;
    matches!(
        request,
        Some(Request::Add(_, Port(_)) | Request::Del(_, Port(_)) | Request::Test(_, Port(_)))
    )
}

/// Copies a failure; `io::Error` does not implement `Clone`.
pub(super) fn copy(failure: &Failure) -> Failure {
    match failure {
        Failure::Refused { errno, message } => Failure::Refused {
            errno: *errno,
            message: message.clone(),
        },
        Failure::Lost => Failure::Lost,
        Failure::NotSent(error) => Failure::NotSent(match error.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::from(error.kind()),
        }),
    }
}
