//! Readiness of the node, with the reasons if it is not ready.

use std::collections::BTreeMap;

use serde::Serialize;
use sources::{SourceStatus, SourceStatuses};

use super::moment::{Moment, date};

/// Answer of `/readyz`. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// True once every source has delivered a full list and the first sync has ended. It stays
    /// true.
    pub ready: bool,
    /// Current time.
    pub current_time: String,
    /// Conditions that are not met yet, each with its reason.
    pub missing: Vec<String>,
    /// Problems of sources that have delivered a list before. The node serves their last known
    /// objects.
    pub stale: Vec<String>,
    /// Sources by name.
    pub sources: BTreeMap<&'static str, SourceReport>,
}

/// State of one source. Times are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceReport {
    /// `listing`, `watching`, `refused`, `unreachable` or `failing`.
    pub state: String,
    /// Start of the current state.
    pub since: String,
    /// True once the source has delivered a full list.
    pub listed: bool,
    /// Time of the last successful request or reading of a file.
    pub last_success: Option<String>,
    /// Last problem; it may be over.
    pub last_error: Option<SourceErrorReport>,
    /// Number of watches that were opened again after they had ended.
    pub watch_restarts: u64,
    /// Number of full lists after the first one.
    pub relists: u64,
}

/// A problem of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceErrorReport {
    /// Time of the last occurrence.
    pub time: String,
    /// Kind: `forbidden`, `unreachable` and so on.
    pub kind: String,
    /// Text, escaped, at most 256 characters.
    pub message: String,
}

impl Readiness {
    pub(super) fn new(statuses: &SourceStatuses, synced: bool, now: Moment) -> Self {
        let sources = SourceReport::all(statuses);
        let mut missing = Vec::new();
        if sources.is_empty() {
            missing.push("no source has started".to_owned());
        }
        let unlisted = sources.iter().filter(|(_, source)| !source.listed);
        missing.extend(unlisted.map(|(name, source)| {
            let why = source.problem().unwrap_or_default();
            format!("{name}: no full list yet, {}{why}", source.state)
        }));
        if !synced {
            missing.push("the first sync has not ended".to_owned());
        }
        let stale = (sources.iter())
            .filter(|(_, source)| source.listed)
            .filter_map(|(name, source)| {
                let why = source.problem()?;
                Some(format!(
                    "{name}: {} since {}{why}",
                    source.state, source.since
                ))
            })
            .collect();
        Self {
            ready: missing.is_empty(),
            current_time: now.time.to_string(),
            missing,
            stale,
            sources,
        }
    }
}

impl SourceReport {
    /// Returns the reports of all sources by name.
    #[must_use]
    pub fn all(statuses: &SourceStatuses) -> BTreeMap<&'static str, Self> {
        let all = statuses.all().into_iter();
        all.map(|(name, status)| (name, Self::of(&status)))
            .collect()
    }

    fn of(status: &SourceStatus) -> Self {
        Self {
            state: status.state.to_string(),
            since: date(status.since),
            listed: status.has_listed(),
            last_success: status.last_success.map(date),
            last_error: status.last_error.as_ref().map(|error| SourceErrorReport {
                time: date(error.time),
                kind: error.kind.to_string(),
                message: error.message.to_string(),
            }),
            watch_restarts: status.watch_restarts,
            relists: status.relists(),
        }
    }

    /// Returns the current problem as `: text`, or `None` if the source works.
    fn problem(&self) -> Option<String> {
        if matches!(&*self.state, "listing" | "watching") {
            return None;
        }
        let error = self.last_error.as_ref()?;
        Some(format!(": {}", error.message))
    }
}

/// Formats the report as one line for a terminal.
impl std::fmt::Display for SourceReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            state,
            since,
            listed,
            last_success,
            last_error,
            watch_restarts,
            relists,
        } = self;
        write!(f, "{state} since {since}")?;
        if !listed {
            f.write_str(", no full list yet")?;
        }
        if let Some(time) = last_success {
            write!(f, ", last success {time}")?;
        }
        write!(f, ", {watch_restarts} watch restarts, {relists} relists")?;
        match last_error {
            Some(SourceErrorReport { time, message, .. }) => {
                write!(f, "; last error {time}: {message}")
            }
            None => Ok(()),
        }
    }
}
