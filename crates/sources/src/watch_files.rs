//! Watches manifests.
//!
//! - After a change all files are read again once nothing has changed for 150 ms, or after 2 s of
//!   constant changes. The objects are delivered as complete lists. So a change of many files, or a
//!   ConfigMap mount that replaces its `..data` link, arrives as one change, and a file that is
//!   being written is read when it is complete.
//! - While a file has an error, its objects are kept ([`FileSet`]). While a path is missing,
//!   nothing is deleted. Before all paths have existed once, no list is complete.
//! - A reading that lacks most of the known objects deletes them only if a later one lacks them too
//!   (`list_guard`).
//! - Files that could not be read, for example for lack of descriptors, are read again after 5 s
//!   even without a change.
//! - Changes are detected by inotify, which does not detect changes by other machines in a network
//!   file system. Without inotify the files are read every 10 s.

mod changes;
mod notify;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use model::{ClusterEvent, Name, ObjectKind};
use tokio::time::sleep;

pub use self::changes::Changes;

use crate::event::{ProblemKind, SourceProblem};
use crate::files::{FileErrorKind, FileObjects, FileSet};
use crate::list_guard::{ListGuard, Shrunk};
use crate::sink::{EventSink, ReceiverGone};

/// Name of the source.
pub const SOURCE: &str = "files";

/// Time after which files that could not be read are read again.
const RETRY_READ: Duration = Duration::from_secs(5);

/// Reads and watches `paths` until the receiver is dropped. Do not watch standard input: a second
/// reading of it is empty.
pub async fn run(paths: Vec<PathBuf>, sink: EventSink) {
    let mut sender = FileSender::new(sink);
    let mut files = FileSet::new(paths);
    loop {
        // The watch starts before the reading, so that no change is missed.
        let changes = Changes::at(files.paths());
        let (after, found) = read(files).await;
        files = after;
        let is_unread = |kind: &FileErrorKind| matches!(kind, FileErrorKind::Read { .. });
        let unread = found.errors.iter().any(|error| is_unread(&error.kind));
        let Ok(held) = sender.send(found).await else {
            return;
        };
        let again = held.or(unread.then_some(RETRY_READ));
        tokio::select! {
            () = changes.settled() => {}
            () = sleep(again.unwrap_or_default()), if again.is_some() => {}
            () = sender.sink.closed() => return,
        }
    }
}

/// Reads `paths` once.
pub async fn run_once(paths: Vec<PathBuf>, sink: EventSink) {
    let (_, found) = read(FileSet::new(paths)).await;
    let mut sender = FileSender::new(sink);
    // A dropped receiver needs no events.
    let _ = sender.send(found).await;
}

/// Reads on a thread for blocking calls.
async fn read(mut files: FileSet) -> (FileSet, FileObjects) {
    let reading = tokio::task::spawn_blocking(move || {
        let found = files.read();
        (files, found)
    });
    match reading.await {
        Ok(result) => result,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

/// Sends new readings and their problems.
struct FileSender {
    sink: EventSink,
    sent: Option<FileObjects>,
    troubles: BTreeMap<Name, (ProblemKind, String)>,
    guards: BTreeMap<ObjectKind, ListGuard>,
}

impl FileSender {
    fn new(sink: EventSink) -> Self {
        let confirmation = sink.confirmation();
        let guards = ObjectKind::OF_FILES.map(|kind| (kind, ListGuard::new(confirmation, kind)));
        Self {
            sink,
            sent: None,
            troubles: BTreeMap::new(),
            guards: guards.into(),
        }
    }

    /// Sends `found` if it differs from the last reading. If it needs confirmation, returns the
    /// time until the next reading instead.
    async fn send(&mut self, found: FileObjects) -> Result<Option<Duration>, ReceiverGone> {
        for (kind, count) in &found.other_kinds {
            tracing::debug!(%kind, count, "ignored objects of this kind");
        }
        let known = self.sent.as_ref().map_or(&[][..], |sent| &sent.warnings);
        for warning in &found.warnings {
            if !known.contains(warning) {
                tracing::warn!("{warning}");
            }
        }
        let same = (self.sent.as_ref()).is_some_and(|sent| sent.objects == found.objects);
        let withheld = found.incomplete && self.sent.is_none();
        let events = match withheld {
            true => Vec::new(),
            false => found.clone().into_events(),
        };
        let shrunk = self.judge(&events);
        let problems = self.send_troubles(&found, shrunk).await?;
        if !same && !withheld && shrunk.is_none() {
            self.sent = Some(found);
            let arrived = Instant::now();
            for event in events {
                self.sink.cluster(event, arrived).await?;
            }
            let statuses = &self.sink.progress().statuses;
            statuses.list_done(SOURCE, SystemTime::now());
        }
        self.record(&problems);
        Ok(shrunk.map(|shrunk| shrunk.wait))
    }

    /// Returns the reason why the lists must not be delivered yet, if any.
    fn judge(&mut self, events: &[ClusterEvent]) -> Option<Shrunk> {
        let now = Instant::now();
        let mut shrunk = None;
        for event in events {
            let Some(guard) = self.guards.get_mut(&event.kind()) else {
                continue;
            };
            guard.see(event);
            if let ClusterEvent::ListDone(_) = event {
                shrunk = shrunk.or(guard.end_list(now).err());
            }
        }
        shrunk
    }

    /// Records whether the files could be read.
    fn record(&self, problems: &[SourceProblem]) {
        let statuses = &self.sink.progress().statuses;
        let now = SystemTime::now();
        if problems.is_empty() {
            statuses.succeeded(SOURCE, now);
        }
        for problem in problems {
            statuses.failed(SOURCE, problem, now);
        }
    }

    /// Sends new problems of the files, and the end of earlier ones. Returns all current problems.
    async fn send_troubles(
        &mut self,
        found: &FileObjects,
        shrunk: Option<Shrunk>,
    ) -> Result<Vec<SourceProblem>, ReceiverGone> {
        let mut troubles: BTreeMap<Name, (ProblemKind, String)> = BTreeMap::new();
        for error in &found.errors {
            let (_, message) = troubles
                .entry(error.file.display().to_string().into())
                .or_insert((ProblemKind::File, String::new()));
            if !message.is_empty() {
                message.push_str("; ");
            }
            message.push_str(&error.to_string());
        }
        if let Some(shrunk) = shrunk {
            let trouble = (ProblemKind::Shrunk, shrunk.to_string());
            troubles.insert(SOURCE.into(), trouble);
        }
        let mut problems = Vec::new();
        for (subject, trouble) in &troubles {
            let (kind, message) = trouble;
            let problem = SourceProblem {
                subject: subject.clone(),
                kind: *kind,
                message: message.clone(),
                advice: (*kind == ProblemKind::Shrunk).then(Shrunk::advice),
            };
            if self.troubles.get(subject) != Some(trouble) {
                self.sink.trouble(problem.clone()).await?;
            }
            problems.push(problem);
        }
        for subject in std::mem::take(&mut self.troubles).into_keys() {
            if !troubles.contains_key(&subject) {
                self.sink.recovered(subject).await?;
            }
        }
        self.troubles = troubles;
        Ok(problems)
    }
}
