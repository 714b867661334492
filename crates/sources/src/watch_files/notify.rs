//! inotify: when to look again.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use inotify::{EventMask, EventOwned, EventStream, Inotify, WatchDescriptor, WatchMask};

/// Room for events that are read at once: some hundred.
const BUFFER_BYTES: usize = 4096;

/// Says when something changed at a set of paths, as they were when it was made.
pub(super) struct Notify {
    events: EventStream<[u8; BUFFER_BYTES]>,
    watches: Vec<(WatchDescriptor, Names)>,
}

/// inotify is not to be had.
#[derive(Debug, thiserror::Error)]
#[error("failed to watch {} for changes", path.display())]
pub(super) struct NotifyError {
    path: PathBuf,
    #[source]
    pub(super) cause: io::Error,
}

/// The names in a directory that matter.
enum Names {
    All,
    Only(BTreeSet<OsString>),
}

impl Notify {
    /// Watches everything that can change what is at `paths`: a directory's entries; for every path its
    /// own entry in the directory above; and the same again for where a link leads. A directory above
    /// that is missing is left out.
    pub(super) fn new(paths: &[PathBuf]) -> Result<Self, NotifyError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |cause| NotifyError { path, cause }
        };
        let inotify = Inotify::init().map_err(failed(Path::new(".")))?;
        let mut watches = Vec::new();
        for (directory, names) in wanted(paths) {
            match inotify.watches().add(&directory, mask()) {
                Ok(watch) => watches.push((watch, names)),
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                Err(cause) if cause.kind() == io::ErrorKind::NotADirectory => {}
                Err(cause) => return Err(failed(&directory)(cause)),
            }
        }
        let events = inotify
            .into_event_stream([0; BUFFER_BYTES])
            .map_err(failed(Path::new(".")))?;
        Ok(Self { events, watches })
    }

    /// Returns when something that matters has changed.
    pub(super) async fn changed(&mut self) {
        loop {
            match self.events.next().await {
                Some(Ok(event)) if !self.matters(&event) => {}
                // The runtime is being shut down, which ends this wait: a read that fails has an
                // error number.
                Some(Err(error)) if error.raw_os_error().is_none() => {
                    return std::future::pending().await;
                }
                _ => return,
            }
        }
    }

    fn matters(&self, event: &EventOwned) -> bool {
        let mut watches = self.watches.iter();
        event.mask.contains(EventMask::Q_OVERFLOW)
            || watches
                .any(|(watch, names)| *watch == event.wd && names.matter(event.name.as_deref()))
    }
}

impl Names {
    fn matter(&self, name: Option<&OsStr>) -> bool {
        match (self, name) {
            (Self::All, _) | (_, None) => true,
            (Self::Only(names), Some(name)) => names.contains(name),
        }
    }
}

fn mask() -> WatchMask {
    WatchMask::CREATE
        | WatchMask::CLOSE_WRITE
        | WatchMask::MODIFY
        | WatchMask::ATTRIB
        | WatchMask::MOVED_FROM
        | WatchMask::MOVED_TO
        | WatchMask::DELETE
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF
        | WatchMask::ONLYDIR
}

fn wanted(paths: &[PathBuf]) -> Vec<(PathBuf, Names)> {
    let mut wanted = Vec::new();
    for path in paths.iter().filter(|path| *path != Path::new("-")) {
        let mut ways = vec![path.clone()];
        ways.extend(path.canonicalize().ok().filter(|real| real != path));
        if path.is_dir() {
            wanted.push((path.clone(), Names::All));
            // Links among the entries lead to where changes are made, too.
            for file in std::fs::read_dir(path).into_iter().flatten().flatten() {
                let link = file.file_type().is_ok_and(|kind| kind.is_symlink());
                ways.extend(link.then(|| file.path().canonicalize().ok()).flatten());
            }
        }
        for way in ways {
            let (Some(above), Some(name)) = (way.parent(), way.file_name()) else {
                continue;
            };
            let above = match above.as_os_str().is_empty() {
                true => PathBuf::from("."),
                false => above.to_owned(),
            };
            let names = BTreeSet::from([name.to_owned(), OsString::from("..data")]);
            wanted.push((above, Names::Only(names)));
        }
    }
    wanted
}
