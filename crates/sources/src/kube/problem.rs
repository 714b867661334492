//! Errors of requests and the reactions to them.

use std::future::Future;
use std::io;
use std::time::Duration;

use kube::core::Status;
use model::SafeText;

use super::resource::Watched;
use crate::event::{ProblemKind, SourceProblem};
use crate::list_guard::Shrunk;

/// Error of a request or of a watch.
#[derive(Debug)]
pub(super) enum RequestError {
    /// The client could not send the request or decode the answer.
    Client(Box<kube::Error>),
    /// The server refused the request.
    Server(Box<Status>),
    /// No data arrived for this time.
    Silent(Duration),
    /// A streamed list did not end: the server supports watches, but not as lists.
    ListWithoutEnd,
    /// The connection ended in the middle of a streamed list.
    CutShort,
    /// The answer to a list is invalid, with the reason.
    BadAnswer(String),
    /// A line of a watch is invalid, with the reason. The change is unknown.
    BadEvent(String),
    /// An answer, or one event of a watch, is longer than this number of bytes.
    TooLong(usize),
    /// The connection broke while an answer was read.
    Broken(Box<kube::Error>),
    /// The server is at an earlier version than before.
    StateLost,
    /// The list lacks most of the known objects, and no other list has confirmed it.
    Shrunk(Shrunk),
    /// A list or a changed object has no resource version, so the version from which to watch is
    /// unknown.
    NoVersion,
    /// Policies read other labels than the known objects were decoded with.
    LabelsChanged,
}

impl From<kube::Error> for RequestError {
    fn from(error: kube::Error) -> Self {
        Self::Client(Box::new(error))
    }
}

impl From<kube::core::request::Error> for RequestError {
    fn from(error: kube::core::request::Error) -> Self {
        Self::from(kube::Error::BuildRequest(error))
    }
}

impl RequestError {
    /// Waits for an answer for at most `limit`.
    pub(super) async fn within<T>(
        limit: Duration,
        request: impl Future<Output = Result<T, Self>>,
    ) -> Result<T, Self> {
        match tokio::time::timeout(limit, request).await {
            Ok(answer) => answer,
            Err(_) => Err(Self::Silent(limit)),
        }
    }

    /// Returns the status code of the server's answer.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Server(status) => Some(status.code),
            _ => None,
        }
    }

    /// Returns true if no watch from the given version can continue: the server has forgotten the
    /// version (410), or it has lost state and has not reached the version yet, or the objects up
    /// to it lack labels.
    pub(super) fn is_gone(&self) -> bool {
        let status = match self {
            Self::StateLost | Self::LabelsChanged => return true,
            Self::Server(status) => status,
            _ => return false,
        };
        let ahead = (status.details.iter().flat_map(|details| &details.causes))
            .any(|cause| cause.reason == "ResourceVersionTooLarge")
            || status.message.contains("Too large resource version");
        status.code == 410 || status.reason == "Expired" || status.reason == "Gone" || ahead
    }

    /// Returns true if the server considers the request invalid, for example because of an unknown
    /// selector.
    pub(super) fn is_bad_request(&self) -> bool {
        matches!(self.code(), Some(400 | 422))
    }

    /// Returns true if the server does not stream lists: it refused with any code, or the list had
    /// no end. Some servers answer 500, for example if their etcd lacks a feature.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self, Self::ListWithoutEnd | Self::Server(_))
    }

    /// Returns the wait that the server or the guard of lists demands.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let status = match self {
            Self::Shrunk(shrunk) => return Some(shrunk.wait),
            Self::Server(status) => status,
            _ => return None,
        };
        let seconds = status.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)))
    }

    /// Returns true if a change may have been missed, so that a new list is needed.
    pub(super) fn needs_list(&self) -> bool {
        self.is_gone() || matches!(self, Self::BadEvent(_) | Self::TooLong(_) | Self::NoVersion)
    }

    /// Describes the error for an operator. `verb` is the action that failed.
    pub(super) fn problem<K: Watched>(&self, verb: &str, server: &str) -> SourceProblem {
        let kind = self.kind();
        SourceProblem {
            subject: super::source_name(K::KIND).into(),
            kind,
            message: format!(
                "failed to {verb} {} at {server}: {}",
                K::resource(),
                self.cause()
            ),
            advice: advice::<K>(kind),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Silent(_) | Self::CutShort => ProblemKind::Unreachable,
            Self::NoVersion
            | Self::TooLong(_)
            | Self::BadAnswer(_)
            | Self::BadEvent(_)
            | Self::ListWithoutEnd
            | Self::LabelsChanged
            | Self::StateLost => ProblemKind::Protocol,
            Self::Shrunk(_) => ProblemKind::Shrunk,
            Self::Client(error) | Self::Broken(error) => client_kind(error),
            Self::Server(status) => match status.code {
                401 => ProblemKind::Unauthorized,
                403 => ProblemKind::Forbidden,
                404 => ProblemKind::NotServed,
                429 => ProblemKind::Throttled,
                500..=599 => ProblemKind::ServerFailed,
                _ => ProblemKind::Protocol,
            },
        }
    }

    fn cause(&self) -> String {
        match self {
            Self::Silent(limit) => format!("no answer in {} s", limit.as_secs_f32()),
            Self::CutShort => "the connection ended in the middle of the list".to_owned(),
            Self::ListWithoutEnd => "the streamed list has no end".to_owned(),
            Self::BadAnswer(why) => format!("the answer is not a list: {why}"),
            Self::BadEvent(why) => format!("a line of the watch is not an event: {why}"),
            Self::TooLong(limit) => format!("the answer is longer than {} MiB", limit >> 20),
            Self::StateLost => "the server is at an earlier resourceVersion than before".to_owned(),
            Self::LabelsChanged => "servicePolicies read other labels".to_owned(),
            Self::Shrunk(shrunk) => shrunk.to_string(),
            Self::NoVersion => "the answer has no resourceVersion".to_owned(),
            Self::Server(status) => {
                let text = match status.message.trim() {
                    "" => status.reason.trim(),
                    message => message,
                };
                format!("{} {}", status.code, SafeText::new(text))
                    .trim_end()
                    .to_owned()
            }
            Self::Client(error) | Self::Broken(error) => {
                SafeText::from(innermost(error)).to_string()
            }
        }
    }
}

fn client_kind(error: &kube::Error) -> ProblemKind {
    match error {
        kube::Error::Auth(_) => ProblemKind::Unauthorized,
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) | kube::Error::BuildRequest(_) => {
            ProblemKind::Protocol
        }
        _ => {
            let text = innermost(error);
            let mut cause = Some(error as &dyn std::error::Error);
            let mut tls = false;
            while let Some(error) = cause {
                // Errors of rustls are wrapped as invalid data.
                tls |= (error.downcast_ref::<io::Error>())
                    .is_some_and(|error| error.kind() == io::ErrorKind::InvalidData);
                cause = error.source();
            }
            if tls || text.contains("certificate") || text.contains("tls handshake") {
                ProblemKind::Tls
            } else {
                ProblemKind::Unreachable
            }
        }
    }
}

/// Returns the text of the innermost cause, such as "Connection refused". The outer ones describe
/// the client's layers.
fn innermost(error: &kube::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

fn advice<K: Watched>(kind: ProblemKind) -> Option<String> {
    let text = match kind {
        ProblemKind::Unauthorized => {
            "check the credentials: the token or client certificate is missing, has expired, or belongs to another cluster"
        }
        ProblemKind::Forbidden => {
            let group = match K::GROUP {
                "" => "\"\"",
                group => group,
            };
            return Some(format!(
                "a ClusterRole bound to this user must allow the verbs list and watch on {} of apiGroup {group}",
                K::PLURAL
            ));
        }
        ProblemKind::Tls => {
            "check the server's name and the certificate authority in the kubeconfig"
        }
        ProblemKind::Unreachable => {
            "check that the API server runs and is reachable from this node"
        }
        ProblemKind::Shrunk => return Some(Shrunk::advice()),
        ProblemKind::NotServed => "check that this is the URL of a Kubernetes API server",
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests;
