//! State of each source, for health pages and metrics.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use model::SafeText;

use crate::event::{ProblemKind, SourceProblem};

/// State of a source. Prints as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceState {
    /// The full list is not complete yet.
    Listing,
    /// The full list is complete, and changes are watched.
    Watching,
    /// The server refuses the credentials (401) or the request (403).
    Refused,
    /// The server cannot be reached.
    Unreachable,
    /// Another problem: the server fails or limits the rate of requests, or a file has an error.
    Failing,
}

impl SourceState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Listing,
        Self::Watching,
        Self::Refused,
        Self::Unreachable,
        Self::Failing,
    ];

    /// Returns the name of the state.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listing => "listing",
            Self::Watching => "watching",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Failing => "failing",
        }
    }

    /// Returns the state of a source with a problem of this kind.
    fn of(kind: ProblemKind) -> Self {
        match kind {
            ProblemKind::Unauthorized | ProblemKind::Forbidden => Self::Refused,
            ProblemKind::Unreachable | ProblemKind::Tls => Self::Unreachable,
            ProblemKind::Throttled
            | ProblemKind::ServerFailed
            | ProblemKind::NotServed
            | ProblemKind::Protocol
            | ProblemKind::File
            | ProblemKind::Shrunk => Self::Failing,
        }
    }
}

impl std::fmt::Display for SourceState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Status of one source: a resource of the API server, or the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// Current state.
    pub state: SourceState,
    /// Time of the last change of state.
    pub since: SystemTime,
    /// Number of complete lists so far.
    pub lists: u64,
    /// Number of watches that were opened again after they had ended.
    pub watch_restarts: u64,
    /// Time of the last successful request or reading of a file.
    pub last_success: Option<SystemTime>,
    /// Last problem; it may be over.
    pub last_error: Option<SourceError>,
}

/// A problem of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    /// Time of the last occurrence.
    pub time: SystemTime,
    /// Kind of problem.
    pub kind: ProblemKind,
    /// Text, which may quote a server or a file.
    pub message: SafeText,
}

impl SourceStatus {
    fn new(now: SystemTime) -> Self {
        Self {
            state: SourceState::Listing,
            since: now,
            lists: 0,
            watch_restarts: 0,
            last_success: None,
            last_error: None,
        }
    }

    /// Returns true once a full list was delivered.
    #[must_use]
    pub fn has_listed(&self) -> bool {
        self.lists > 0
    }

    /// Returns the number of complete lists after the first one.
    #[must_use]
    pub fn relists(&self) -> u64 {
        self.lists.saturating_sub(1)
    }

    fn enter(&mut self, state: SourceState, now: SystemTime) {
        if self.state != state {
            self.state = state;
            self.since = now;
        }
    }
}

/// Status of every source by name: `services`, `endpointslices`, `nodes`, or `files`. Clones share
/// it.
#[derive(Clone, Debug, Default)]
pub struct SourceStatuses(Arc<Mutex<BTreeMap<&'static str, SourceStatus>>>);

impl SourceStatuses {
    /// Returns the statuses of sources that start at `now`.
    #[must_use]
    pub fn new(names: &[&'static str], now: SystemTime) -> Self {
        let fresh = |name: &&'static str| (*name, SourceStatus::new(now));
        Self(Arc::new(Mutex::new(names.iter().map(fresh).collect())))
    }

    /// Returns a copy of all statuses.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, SourceStatus> {
        (self.0.lock())
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns true if there are sources and each has delivered a full list.
    #[must_use]
    pub fn have_listed(&self) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !all.is_empty() && all.values().all(SourceStatus::has_listed)
    }

    /// Records the start of a list. A problem lasts until the list is complete, so that a list that
    /// always aborts does not look successful in between.
    pub fn list_started(&self, name: &'static str, now: SystemTime) {
        self.update(name, now, |status| {
            if status.state == SourceState::Watching {
                status.enter(SourceState::Listing, now);
            }
        });
    }

    /// Records a complete list.
    pub fn list_done(&self, name: &'static str, now: SystemTime) {
        self.update(name, now, |status| {
            status.enter(SourceState::Watching, now);
            status.last_success = Some(now);
            status.lists += 1;
        });
    }

    /// Records that an ended watch was opened again.
    pub fn watch_restarted(&self, name: &'static str, now: SystemTime) {
        self.update(name, now, |status| status.watch_restarts += 1);
        self.succeeded(name, now);
    }

    /// Records that the server answered a watch or sent an event, or that a file was read.
    pub fn succeeded(&self, name: &'static str, now: SystemTime) {
        self.update(name, now, |status| {
            status.enter(SourceState::Watching, now);
            status.last_success = Some(now);
        });
    }

    /// Records a problem.
    pub fn failed(&self, name: &'static str, problem: &SourceProblem, now: SystemTime) {
        self.update(name, now, |status| {
            status.enter(SourceState::of(problem.kind), now);
            status.last_error = Some(SourceError {
                time: now,
                kind: problem.kind,
                message: problem.to_string().into(),
            });
        });
    }

    fn update(&self, name: &'static str, now: SystemTime, change: impl FnOnce(&mut SourceStatus)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(name).or_insert_with(|| SourceStatus::new(now)));
    }
}
