//! Watch requests.

use super::body;
use super::path::Target;
use super::query::Query;
use crate::faults::FaultState;
use crate::http::Body;
use crate::object::Object;
use crate::resource::Resource;
use crate::selectors::Selector;
use crate::server::{Inner, OpenWatch};
use crate::status::ApiError;
use crate::store::{Change, Compacted, Event, Range, frame, write_frame};
use bytes::Bytes;
use futures::stream;
use http::Response;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// Initial events are sent in chunks of about this many bytes.
const CHUNK: usize = 64 << 10;
/// Maximum number of events read from the store at once.
const BATCH: usize = 1000;

pub(super) fn serve(
    server: &Arc<Inner>,
    target: &Target,
    query: &Query,
) -> Result<Response<Body>, ApiError> {
    let resource = target.resource;
    let faults = server.faults.subscribe();
    let state = faults.borrow().clone();
    let streaming = query.is_true("sendInitialEvents");
    if streaming && state.without_streaming_lists {
        let why =
            "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        return Err(ApiError::new(422, "Invalid", why));
    }
    let version = query.number("resourceVersion")?;
    let bookmarks = query.is_true("allowWatchBookmarks");
    let mut watch = Watch {
        changed: server.cluster.subscribe(resource),
        server: Arc::clone(server),
        _open: server.open_watch(),
        resource,
        namespace: target.namespace.clone(),
        selector: query.selector()?,
        sent: version,
        bookmarks,
        queue: VecDeque::new(),
        deadline: Instant::now() + timeout(query)?,
        next_bookmark: Instant::now() + server.config.bookmark_interval,
        generation: state.watch_generation,
        faults,
        ending: None,
    };
    if streaming || version == 0 {
        watch.queue_initial(streaming && bookmarks);
    }
    Ok(body::stream(stream::unfold(
        watch,
        |mut watch| async move {
            let chunk = watch.next().await?;
            Some((chunk, watch))
        },
    )))
}

/// Returns the requested time-out, or half an hour to an hour, which the real server chooses at
/// random.
fn timeout(query: &Query) -> Result<Duration, ApiError> {
    let asked = query.number("timeoutSeconds")?;
    let picked = || 1800 + RandomState::new().hash_one(0_u8) % 1800;
    Ok(Duration::from_secs(if asked > 0 {
        asked
    } else {
        picked()
    }))
}

/// End of a watch after its queue is empty.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Clean,
    Cut,
}

struct Watch {
    server: Arc<Inner>,
    _open: OpenWatch,
    resource: Resource,
    namespace: Option<String>,
    selector: Selector,
    /// Revision up to which all changes are sent or queued.
    sent: u64,
    bookmarks: bool,
    queue: VecDeque<Bytes>,
    changed: watch::Receiver<()>,
    deadline: Instant,
    next_bookmark: Instant,
    faults: watch::Receiver<FaultState>,
    generation: u64,
    ending: Option<Ending>,
}

impl Watch {
    /// Returns the next bytes to send; `None` is the end.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            self.obey_half_open().await;
            if let Some(bytes) = self.queue.pop_front() {
                return Some(Ok(bytes));
            }
            match self.ending {
                Some(Ending::Clean) => return None,
                Some(Ending::Cut) => {
                    // Lets the half event leave before the connection is cut.
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

    /// Keeps a silenced watch silent; only the end of all watches ends it.
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

    /// Queues the state as ADDED events, and for a streaming list the bookmark that ends it.
    fn queue_initial(&mut self, end_mark: bool) {
        let range = Range {
            namespace: self.namespace.as_deref(),
            ..Range::default()
        };
        let select = |object: &Object| self.selector.matches(object);
        let Ok(page) = (self.server.cluster.store()).list(self.resource, &range, select) else {
            return;
        };
        self.sent = page.revision;
        let mut chunk = Vec::with_capacity(CHUNK + 4096);
        for object in &page.items {
            write_frame(Change::Added, self.resource, object, &mut chunk);
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
            .events_after(self.resource, self.sent, BATCH)
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

    /// Returns an event as this watch sees it: an object that starts to match is added, one that
    /// stops matching is deleted.
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
        let change = match (was, is) {
            (false, false) => return None,
            (false, true) => Change::Added,
            (true, true) => Change::Modified,
            (true, false) => Change::Deleted,
        };
        if change == event.change {
            return Some(event.frame(self.resource));
        }
        Some(match &event.previous {
            // The last version that matched, with the revision of the change.
            Some(before) if change == Change::Deleted => {
                let last = Object::new(self.resource, before.value.clone(), event.revision);
                frame(change, self.resource, &last)
            }
            _ => frame(change, self.resource, &event.object),
        })
    }

    fn queue_bookmark(&mut self, end_of_initial: bool) {
        let mut metadata = json!({"resourceVersion": self.sent.to_string()});
        if end_of_initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = json!({"kind": self.resource.kind(), "apiVersion": self.resource.api_version(),
            "metadata": metadata});
        self.queue.push_back(line_of("BOOKMARK", &object));
    }
}

fn line_of(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"))
}
