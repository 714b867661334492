//! Events of a source.

use std::fmt;
use std::time::Instant;

use model::{ClusterEvent, Name};

/// One message of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceEvent {
    /// A change of the cluster, and the time at which the source received it.
    Cluster(ClusterEvent, Instant),
    /// A problem of the source. The source keeps trying, and earlier events stay valid. A lasting
    /// problem is repeated at intervals; a different problem is reported at once.
    Trouble(SourceProblem),
    /// The end of the problem of `subject`; sent once after one or more troubles.
    Recovered {
        /// The [`SourceProblem::subject`] of these troubles.
        subject: Name,
    },
}

/// Reason why a source cannot deliver. Prints as one line with the failed action, its place and
/// advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceProblem {
    /// Objects that cannot be delivered: `services`, `endpointslices`, `nodes`, or a path.
    pub subject: Name,
    /// Kind of problem, for a metric.
    pub kind: ProblemKind,
    /// Failed action and its place.
    pub message: String,
    /// Advice for an operator.
    pub advice: Option<String>,
}

impl fmt::Display for SourceProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SourceProblem {}

/// Kinds of problems. Prints as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// No connection, or no answer in time.
    Unreachable,
    /// The TLS handshake failed.
    Tls,
    /// 401: the server does not accept the credentials.
    Unauthorized,
    /// 403: the user lacks a permission.
    Forbidden,
    /// 429: the server limits the rate of requests.
    Throttled,
    /// 5xx: the server failed.
    ServerFailed,
    /// 404: the server has no such resource.
    NotServed,
    /// The answer is invalid, or the server considers the request invalid.
    Protocol,
    /// A file could not be read or has an error.
    File,
    /// A complete list would delete most objects and waits for confirmation by a second one.
    Shrunk,
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Throttled => "throttled",
            Self::ServerFailed => "server-failed",
            Self::NotServed => "not-served",
            Self::Protocol => "protocol",
            Self::File => "file",
            Self::Shrunk => "shrunk",
        })
    }
}
