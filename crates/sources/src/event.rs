//! Events of a source.

use std::fmt;

use model::{ClusterEvent, Name};

/// One message of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceEvent {
    /// The cluster is different now.
    Cluster(ClusterEvent),
    /// Something is in the way. The source goes on trying, and what it said before stays true.
    /// Repeated at intervals while it lasts, at once when it changes.
    Trouble(SourceProblem),
    /// The problem of `subject` is gone; sent once after one or more troubles.
    Recovered {
        /// The [`SourceProblem::subject`] of those.
        subject: Name,
    },
}

/// Why a source cannot deliver. Prints as one line that says what failed, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceProblem {
    /// The objects that cannot be delivered: `services`, `endpointslices`, `nodes`, or a path.
    pub subject: Name,
    /// The kind of problem, for a metric.
    pub kind: ProblemKind,
    /// The failed action, and its place.
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
    /// The connection could not be secured.
    Tls,
    /// 401: the server does not know who asks.
    Unauthorized,
    /// 403: the server does not let us.
    Forbidden,
    /// 429: the server asks for patience.
    Throttled,
    /// 5xx: the server failed.
    ServerFailed,
    /// 404: the server has no such resource.
    NotServed,
    /// The answer made no sense, or the request none to the server.
    Protocol,
    /// A file could not be read, or holds a mistake.
    File,
    /// A complete list would delete most objects, and waits for a second one.
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
