//! Watches.

use super::body;
use super::path::Target;
use super::query::Query;
use crate::faults::FaultState;
use crate::http::Body;
use crate::object::Object;
use crate::resource::Api;
use crate::selectors::Selector;
use crate::server::{Inner, OpenWatch};
use crate::status::{ApiError, FieldError};
use crate::store::{Change, Compacted, Event, Range, bookmark, frame, write_frame};
use bytes::Bytes;
use futures::stream;
use http::Response;
use serde_json::Value;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// Initial events are sent in chunks of about this many bytes.
const CHUNK: usize = 64 << 10;
/// At most so many events are taken from the store at once.
const BATCH: usize = 1000;

pub(super) fn serve(
    server: &Arc<Inner>,
    target: &Target,
    query: &Query,
) -> Result<Response<Body>, ApiError> {
    let api = target.api;
    let selector = query.selector(api.resource)?;
    let faults = server.faults.subscribe();
    let state = faults.borrow().clone();
    check_options(query, &state)?;
    let version = query.number("resourceVersion")?;
    let bookmarks = query.is_true("allowWatchBookmarks");
    let mut watch = Watch {
        changed: server.cluster.subscribe(api.resource),
        server: Arc::clone(server),
        _open: server.open_watch(),
        api,
        namespace: target.namespace.clone(),
        selector,
        sent: version,
        bookmarks,
        queue: VecDeque::new(),
        deadline: Instant::now() + timeout(query)?,
        next_bookmark: Instant::now() + server.config.bookmark_interval,
        generation: state.watch_generation,
        faults,
        ending: None,
    };
    let streaming = query.is_true("sendInitialEvents");
    let current = server.cluster.revision();
    if streaming && version > current {
        return Err(ApiError::too_large_revision(version, current));
    }
    if streaming || (version == 0 && !query.has("sendInitialEvents")) {
        watch.queue_initial(streaming && bookmarks);
    } else if version == 0 {
        watch.sent = current;
    }
    Ok(body::stream(stream::unfold(
        watch,
        |mut watch| async move {
            let chunk = watch.next().await?;
            Some((chunk, watch))
        },
    )))
}

/// `ValidateListOptions` for a watch.
fn check_options(query: &Query, faults: &FaultState) -> Result<(), ApiError> {
    let mut errors = Vec::new();
    let wanted = query.get("resourceVersionMatch");
    if query.has("sendInitialEvents") {
        if wanted != "NotOlderThan" {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        if faults.without_streaming_lists {
            errors.push(FieldError::forbidden(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
            ));
        }
    }
    if !wanted.is_empty() {
        if !query.has("sendInitialEvents") {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        if wanted != "NotOlderThan" {
            errors.push(FieldError::not_supported(
                "resourceVersionMatch",
                wanted,
                &["NotOlderThan"],
            ));
        }
        if !query.get("continue").is_empty() {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &errors))
    }
}

/// As asked, or half an hour to an hour as the real server picks at random.
fn timeout(query: &Query) -> Result<Duration, ApiError> {
    let asked = query.number("timeoutSeconds")?;
    let picked = || 1800 + RandomState::new().hash_one(0_u8) % 1800;
    Ok(Duration::from_secs(if asked > 0 {
        asked
    } else {
        picked()
    }))
}

/// The end of a watch once its queue is empty.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Clean,
    Cut,
}

struct Watch {
    server: Arc<Inner>,
    _open: OpenWatch,
    api: &'static Api,
    namespace: Option<String>,
    selector: Selector,
    /// All changes up to this revision are sent or queued.
    sent: u64,
    bookmarks: bool,
    queue: VecDeque<Bytes>,
    changed: watch::Receiver<u64>,
    deadline: Instant,
    next_bookmark: Instant,
    faults: watch::Receiver<FaultState>,
    generation: u64,
    ending: Option<Ending>,
}

impl Watch {
    /// The next bytes to send; `None` is the end.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            self.obey_half_open().await;
            if let Some(bytes) = self.queue.pop_front() {
                return Some(Ok(bytes));
            }
            match self.ending {
                Some(Ending::Clean) => return None,
                Some(Ending::Cut) => {
                    // Time for the half event to leave before the connection goes.
                    sleep(Duration::from_millis(20)).await;
                    return Some(Err(io::Error::other("cut by a fault")));
                }
                None => {}
            }
            if self.faults.borrow().watch_generation != self.generation {
                return None;
            }
            self.changed.mark_unchanged();
            self.queue_changes();
            if !self.queue.is_empty() || self.ending.is_some() {
                continue;
            }
            let bookmark_at = if self.bookmarks {
                self.next_bookmark
            } else {
                self.deadline
            };
            tokio::select! {
                _ = self.changed.changed() => {}
                _ = self.faults.changed() => {}
                () = sleep_until(self.deadline.min(bookmark_at)) => self.on_time(),
            }
        }
    }

    /// A silenced watch never speaks again; only the end of all watches ends it.
    async fn obey_half_open(&mut self) {
        if !self.faults.borrow_and_update().half_open {
            return;
        }
        while self.faults.borrow_and_update().watch_generation == self.generation {
            if self.faults.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        self.queue.clear();
        self.ending = Some(Ending::Clean);
    }

    fn on_time(&mut self) {
        if self.bookmarks {
            self.queue_bookmark(false);
            self.next_bookmark = Instant::now() + self.server.config.bookmark_interval;
        }
        if Instant::now() >= self.deadline {
            self.ending = Some(Ending::Clean);
        }
    }

    /// The state as ADDED events, and for a streaming list the bookmark that ends it.
    fn queue_initial(&mut self, end_mark: bool) {
        let range = Range {
            namespace: self.namespace.as_deref(),
            ..Range::default()
        };
        let selector = &self.selector;
        let Ok(page) = self
            .server
            .cluster
            .list(self.api.resource, &range, |o| selector.matches(o))
        else {
            return;
        };
        self.sent = page.revision;
        let plain = !self.api.respelled();
        let mut chunk = Vec::with_capacity(CHUNK + 4096);
        for object in &page.items {
            if plain {
                write_frame(Change::Added, self.api.resource, object, &mut chunk);
            } else {
                let line = self.spell(Change::Added, object);
                chunk.extend_from_slice(&line);
            }
            if chunk.len() >= CHUNK {
                self.queue
                    .push_back(Bytes::from(std::mem::take(&mut chunk)));
            }
        }
        if !chunk.is_empty() {
            self.queue.push_back(Bytes::from(chunk));
        }
        if end_mark {
            self.queue_bookmark(true);
        }
    }

    fn queue_changes(&mut self) {
        match self
            .server
            .cluster
            .events_after(self.api.resource, self.sent, BATCH)
        {
            Ok((events, complete)) => {
                for event in &events {
                    let Some(line) = self.line(event) else {
                        continue;
                    };
                    if self.server.faults.take_cut() {
                        self.queue.push_back(line.slice(..line.len() / 2));
                        self.ending = Some(Ending::Cut);
                        return;
                    }
                    self.queue.push_back(line);
                }
                self.sent = complete;
            }
            Err(Compacted { oldest }) => {
                let error = ApiError::expired(format!(
                    "too old resource version: {} ({oldest})",
                    self.sent
                ));
                self.queue.push_back(line_of("ERROR", &error.to_value()));
                self.ending = Some(Ending::Clean);
            }
        }
    }

    /// An event as this watch sees it: an object that begins to match is added, one that ceases to
    /// match is deleted.
    fn line(&self, event: &Event) -> Option<Bytes> {
        if self
            .namespace
            .as_ref()
            .is_some_and(|ns| *ns != event.object.key.namespace)
        {
            return None;
        }
        let was = event
            .previous
            .as_ref()
            .is_some_and(|o| self.selector.matches(o));
        let is = event.change != Change::Deleted && self.selector.matches(&event.object);
        let plain = !self.api.respelled();
        let change = match (was, is) {
            (false, false) => return None,
            (false, true) => Change::Added,
            (true, true) => Change::Modified,
            (true, false) => Change::Deleted,
        };
        if change == event.change {
            return Some(if plain {
                event.frame(self.api.resource)
            } else {
                self.spell(change, &event.object)
            });
        }
        let before = event
            .previous
            .as_ref()
            .filter(|_| change == Change::Deleted);
        Some(match before {
            // The last version that matched, with the revision of the change.
            Some(before) => {
                let last = Object::new(self.api.resource, before.value.clone(), event.revision);
                self.spell(change, &last)
            }
            None => self.spell(change, &event.object),
        })
    }

    /// An event line in the spelling of this watch's API.
    fn spell(&self, change: Change, object: &Object) -> Bytes {
        if self.api.respelled() {
            line_of(change.as_str(), &self.api.encode(&object.value))
        } else {
            frame(change, self.api.resource, object)
        }
    }

    fn queue_bookmark(&mut self, end_of_initial: bool) {
        let version = self.api.api_version();
        let object = bookmark(self.api.resource, version, self.sent, end_of_initial);
        self.queue.push_back(line_of("BOOKMARK", &object));
    }
}

fn line_of(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"))
}
