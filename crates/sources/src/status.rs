//! The state of each source, for health pages and metrics.

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
    /// The full list is awaited or arrives.
    Listing,
    /// The full list was delivered and changes are followed.
    Watching,
    /// The server refuses the credentials (401) or the request (403).
    Refused,
    /// The server cannot be reached.
    Unreachable,
    /// Another problem: the server fails or throttles, or a file has a mistake.
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

    /// The word for it.
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

    /// State of a source with a problem of this kind.
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

/// One source: a resource of the API server, or the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// The state.
    pub state: SourceState,
    /// Time of the last change of state.
    pub since: SystemTime,
    /// Complete lists delivered so far.
    pub lists: u64,
    /// Times at which a watch that had ended was opened again.
    pub watch_restarts: u64,
    /// Last time the server or a file delivered what was asked for.
    pub last_success: Option<SystemTime>,
    /// The last problem, which may be over.
    pub last_error: Option<SourceError>,
}

/// A problem of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    /// When it occurred last.
    pub time: SystemTime,
    /// Its kind.
    pub kind: ProblemKind,
    /// Its text: it holds what a server or a file said.
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

    /// Returns true if a full list was delivered once.
    #[must_use]
    pub fn has_listed(&self) -> bool {
        self.lists > 0
    }

    /// Complete lists after the first one.
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

/// The state of every source by its name: `services`, `endpointslices`, `nodes`, or `files`. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SourceStatuses(Arc<Mutex<BTreeMap<&'static str, SourceStatus>>>);

impl SourceStatuses {
    /// Sources that have delivered nothing since `now`.
    #[must_use]
    pub fn new(names: &[&'static str], now: SystemTime) -> Self {
        let fresh = |name: &&'static str| (*name, SourceStatus::new(now));
        Self(Arc::new(Mutex::new(names.iter().map(fresh).collect())))
    }

    /// A copy of all states.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, SourceStatus> {
        (self.0.lock())
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns true if there are sources and each has delivered a full list once.
    #[must_use]
    pub fn have_listed(&self) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !all.is_empty() && all.values().all(SourceStatus::has_listed)
    }

    /// A complete list begins. A problem lasts until the list is complete: one that breaks off each time must not
    /// look like a success in between.
    pub fn list_started(&self, name: &'static str, now: SystemTime) {
        self.update(name, now, |status| {
            if status.state == SourceState::Watching {
                status.enter(SourceState::Listing, now);
            }
        });
    }

    /// A complete list was delivered.
    pub fn list_done(&self, name: &'static str, now: SystemTime) {
        self.update(name, now, |status| {
            status.enter(SourceState::Watching, now);
            status.last_success = Some(now);
            status.lists += 1;
        });
    }

    /// A watch that had ended was opened again.
    pub fn watch_restarted(&self, name: &'static str, now: SystemTime) {
        self.update(name, now, |status| status.watch_restarts += 1);
        self.succeeded(name, now);
    }

    /// The server answered a watch or sent an event, or a file was read.
    pub fn succeeded(&self, name: &'static str, now: SystemTime) {
        self.update(name, now, |status| {
            status.enter(SourceState::Watching, now);
            status.last_success = Some(now);
        });
    }

    /// The source has a problem. The source goes on trying.
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
