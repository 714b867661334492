//! Manifests for as long as they change.
//!
//! After a change the files are read again as a whole once nothing has changed for 150 ms (at the
//! latest after 2 s of changes), and what they say then is delivered as complete lists. So a change of
//! many files, or a ConfigMap mount that swaps its `..data` link, comes in at once, and a file that is
//! just being written is read when it is done.
//!
//! While a file has a mistake, its objects stay as [`FileSet`] says; while a path that was asked for is
//! missing, nothing is deleted, and before it was there once no list is complete.
//!
//! A reading that lacks most of the known objects deletes them only if a later one lacks them too (`list_guard`).
//!
//! Files that could not be read, for instance for want of descriptors, are read again after 5 s, without a further change.
//!
//! Changes are noticed by inotify, which does not see what other machines do to a network file system.
//! Where inotify is not to be had, the files are read every 10 s.

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

/// The name of the source.
pub const SOURCE: &str = "files";

/// Time after which files that could not be read are read again.
const RETRY_READ: Duration = Duration::from_secs(5);

/// Delivers what is at `paths` until the receiver is gone. Standard input cannot change: it is read
/// once, and read again as empty, so do not watch it.
pub async fn run(paths: Vec<PathBuf>, sink: EventSink) {
    let mut sender = FileSender::new(sink);
    let mut files = FileSet::new(paths);
    loop {
        // Watch first, read then: what changes in between is read again.
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

/// Delivers what is at `paths` once.
pub async fn run_once(paths: Vec<PathBuf>, sink: EventSink) {
    let (_, found) = read(FileSet::new(paths)).await;
    let mut sender = FileSender::new(sink);
    // A receiver that is gone needs nothing.
    let _ = sender.send(found).await;
}

/// Reads on a thread where blocking harms nobody.
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

/// Sends the differences from one reading to the next.
struct FileSender {
    sink: EventSink,
    sent: Option<FileObjects>,
    troubles: BTreeMap<Name, (ProblemKind, String)>,
    guards: BTreeMap<ObjectKind, ListGuard>,
}

impl FileSender {
    fn new(sink: EventSink) -> Self {
        let confirmation = sink.confirmation();
        let guards = ObjectKind::ALL.map(|kind| (kind, ListGuard::new(confirmation, kind)));
        Self {
            sink,
            sent: None,
            troubles: BTreeMap::new(),
            guards: guards.into(),
        }
    }

    /// Sends what is new in `found`. Returns when to read again if `found` is held back until then.
    async fn send(&mut self, found: FileObjects) -> Result<Option<Duration>, ReceiverGone> {
        for (kind, count) in &found.other_kinds {
            tracing::debug!(%kind, count, "skipping objects of this kind");
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

    /// Returns why complete lists must not be delivered yet.
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

    /// Sends what is wrong with the files where that is new, and what is right again. Returns all problems.
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
