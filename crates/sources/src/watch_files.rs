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
//! Changes are noticed by inotify, which does not see what other machines do to a network file system.
//! Where inotify is not to be had, the files are read every 10 s.

mod changes;
mod notify;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::Name;
use tokio::sync::mpsc::Sender;

pub use self::changes::Changes;

use crate::event::{ProblemKind, SourceEvent, SourceProblem};
use crate::files::{FileObjects, FileSet};

/// Delivers what is at `paths` until the receiver is gone. Standard input cannot change: it is read
/// once, and read again as empty, so do not watch it.
pub async fn run(paths: Vec<PathBuf>, events: Sender<SourceEvent>) {
    let mut teller = Teller::new(events);
    let mut files = FileSet::new(paths);
    loop {
        // Watch first, read then: what changes in between is read again.
        let changes = Changes::at(files.paths());
        let (after, found) = read(files).await;
        files = after;
        if teller.tell(found).await.is_err() {
            return;
        }
        tokio::select! {
            () = changes.settled() => {}
            () = teller.events.closed() => return,
        }
    }
}

/// Delivers what is at `paths` once.
pub async fn run_once(paths: Vec<PathBuf>, events: Sender<SourceEvent>) {
    let (_, found) = read(FileSet::new(paths)).await;
    let mut teller = Teller::new(events);
    // The receiver may have lost its interest; there is nobody to tell.
    let _ = teller.tell(found).await;
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

/// The receiver is gone.
struct Closed;

/// Tells what is new.
struct Teller {
    events: Sender<SourceEvent>,
    told: Option<FileObjects>,
    troubles: BTreeMap<Name, String>,
}

impl Teller {
    fn new(events: Sender<SourceEvent>) -> Self {
        Self {
            events,
            told: None,
            troubles: BTreeMap::new(),
        }
    }

    async fn tell(&mut self, found: FileObjects) -> Result<(), Closed> {
        self.tell_troubles(&found).await?;
        for (kind, count) in &found.other_kinds {
            tracing::debug!(kind, count, "objects of this kind are passed over");
        }
        let same = (self.told.as_ref()).is_some_and(|told| told.objects == found.objects);
        if same || (found.incomplete && self.told.is_none()) {
            return Ok(());
        }
        self.told = Some(found.clone());
        for event in found.into_events() {
            self.send(SourceEvent::Cluster(event)).await?;
        }
        Ok(())
    }

    async fn tell_troubles(&mut self, found: &FileObjects) -> Result<(), Closed> {
        let mut troubles: BTreeMap<Name, String> = BTreeMap::new();
        for error in &found.errors {
            let message = troubles
                .entry(error.file.display().to_string().into())
                .or_default();
            if !message.is_empty() {
                message.push_str("; ");
            }
            message.push_str(&error.to_string());
        }
        for (subject, message) in &troubles {
            if self.troubles.get(subject) != Some(message) {
                self.send(SourceEvent::Trouble(SourceProblem {
                    subject: subject.clone(),
                    kind: ProblemKind::File,
                    message: message.clone(),
                    advice: None,
                }))
                .await?;
            }
        }
        for subject in std::mem::take(&mut self.troubles).into_keys() {
            if !troubles.contains_key(&subject) {
                self.send(SourceEvent::Recovered { subject }).await?;
            }
        }
        self.troubles = troubles;
        Ok(())
    }

    async fn send(&self, event: SourceEvent) -> Result<(), Closed> {
        self.events.send(event).await.map_err(|_| Closed)
    }
}
