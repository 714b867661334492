//! Errors between here and the kernel.

use std::io;

use netlink::{DumpError, Errno, Failure};

use super::Request;

/// `IPSET_ERR_PRIVATE` and what follows it: numbers of ipset's own
/// (`include/uapi/linux/netfilter/ipset/ip_set.h`, Linux 6.1).
const PROTOCOL: i32 = 4097;
const FIND_TYPE: i32 = 4098;
const MAX_SETS: i32 = 4099;
const BUSY: i32 = 4100;
const EXIST_SETNAME2: i32 = 4101;
const TYPE_MISMATCH: i32 = 4102;
/// An entry that is there already, or that is not there.
const EXISTS: i32 = 4103;
const INVALID_CIDR: i32 = 4104;
const INVALID_FAMILY: i32 = 4106;
const REFERENCED: i32 = 4108;
const IPADDR_IPV4: i32 = 4109;
const IPADDR_IPV6: i32 = 4110;
/// `IPSET_ERR_TYPE_SPECIFIC`: the numbers from here on are each type's own
/// (`ip_set_hash.h` and `ip_set_bitmap.h` beside it).
const HASH_FULL: i32 = 4352;
const BITMAP_RANGE: i32 = 4352;
const INVALID_PROTO: i32 = 4354;
const MISSING_PROTO: i32 = 4355;

/// The sets could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no netlink socket to be had.
    #[error("failed to reach netfilter by netlink")]
    Socket(#[source] netlink::OpenError),
    /// The kernel has no sets: the module `ip_set` is not there and could not be loaded.
    #[error("the kernel has no sets: its module ip_set is not loaded (modprobe ip_set)")]
    NoModule,
    /// The process lacks `CAP_NET_ADMIN`.
    #[error("not permitted to use the kernel's sets, CAP_NET_ADMIN is missing")]
    NotPermitted,
    /// The kernel speaks other protocols.
    #[error("the kernel speaks ipset protocols {oldest} to {newest}, known here are 6 and 7")]
    Protocol {
        /// Its newest.
        newest: u8,
        /// Its oldest.
        oldest: u8,
    },
    /// The kernel refused to say which protocol it speaks.
    #[error("failed to ask the kernel for its ipset protocol")]
    Refused(#[source] Errno),
    /// The kernel could not be asked.
    #[error("failed to ask the kernel for its ipset protocol")]
    Ask(#[source] DumpError),
}

/// Something could not be read.
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

    /// Why.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.source {
            DumpError::Refused { errno, .. } => kind_of(errno.0, None),
            _ => ErrorKind::Lost,
        }
    }
}

/// A request that was not done, or whose outcome is not known. Names what was asked and its set; the
/// cause is its source.
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

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The failure.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.source.failure
    }

    /// Why it failed.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.source.kind
    }
}

/// The meaning of a number, and the number.
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

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// There is no such set (`ENOENT`).
    #[error("there is no such set")]
    NoSuchSet,
    /// The set does not hold this entry (`IPSET_ERR_EXIST`).
    #[error("the set does not hold this entry")]
    NoSuchEntry,
    /// There is a set of this name that is another one (`EEXIST`, `IPSET_ERR_EXIST_SETNAME2`).
    #[error("there is another set of this name")]
    AlreadyExists,
    /// A rule or another set uses it (`IPSET_ERR_BUSY`, `IPSET_ERR_REFERENCED`), or somebody is reading it
    /// (`EBUSY`).
    #[error("a rule or another set uses it")]
    InUse,
    /// The set holds as many entries as it may (`IPSET_ERR_HASH_FULL`).
    #[error("the set is full")]
    Full,
    /// The port is outside the range of the set (`IPSET_ERR_BITMAP_RANGE`).
    #[error("the port is outside the range of the set")]
    OutOfRange,
    /// The two sets are of different types (`IPSET_ERR_TYPE_MISMATCH`).
    #[error("the two sets are of different types")]
    TypeMismatch,
    /// The kernel has no such type, or not this revision of it (`IPSET_ERR_FIND_TYPE`).
    #[error("the kernel has no such type of sets")]
    NoSuchType,
    /// The kernel can hold no more sets (`IPSET_ERR_MAX_SETS`).
    #[error("the kernel holds as many sets as it can")]
    TooManySets,
    /// The entry is none of this set's: another family, a network of length 0, a missing part.
    #[error("the entry does not fit the set")]
    Unfit,
    /// The process lacks `CAP_NET_ADMIN` (`EPERM`).
    #[error("not permitted, CAP_NET_ADMIN is missing")]
    NotPermitted,
    /// The message makes no sense to the kernel (`IPSET_ERR_PROTOCOL`, `EINVAL`).
    #[error("the kernel does not understand the request")]
    Invalid,
    /// The answer was lost: it may have been done.
    #[error("the kernel's answer was lost")]
    Lost,
    /// It could not be sent.
    #[error("it could not be sent")]
    NotSent,
    /// Any other number.
    #[error("the kernel refused")]
    Other,
}

fn kind_of(number: i32, request: Option<&Request>) -> ErrorKind {
    match number {
        libc::ENOENT => ErrorKind::NoSuchSet,
        // Of two sets that should be exchanged, the second one is missing.
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
        // How a type refuses addresses of another family, and an entry that lacks a part.
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

/// The number that says "full" of a hash says "out of range" of a bitmap.
fn is_of_ports(request: Option<&Request>) -> bool {
    use crate::types::Entry::Port;
    matches!(
        request,
        Some(Request::Add(_, Port(_)) | Request::Del(_, Port(_)) | Request::Test(_, Port(_)))
    )
}

/// The same failure once more.
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
