//! Sends Kubernetes Events (`events.k8s.io/v1`); rate-limits repeated ones.
//!
//! Events have the lowest priority of all requests. They wait in a short queue. An Event that does
//! not fit, exceeds the rate limit or is refused is dropped and counted. Equal Events within six
//! minutes are merged into one with a count.

mod rate_limit;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use model::Name;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use self::rate_limit::EventRateLimit;
use super::Connection;

/// Controller name in the Events of all nodes.
const CONTROLLER: &str = "kube-ipvs";

/// Maximum number of waiting events.
const QUEUE: usize = 256;

/// Time limit of one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum lengths of a note and of the name of an instance, in bytes:
/// `pkg/apis/core/validation/events.go`, Kubernetes 1.34.
const NOTE: usize = 1024;
const INSTANCE: usize = 128;

/// Object of an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Regarding {
    /// Group and version: `v1`.
    pub api_version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Namespace; empty for cluster-scoped objects, whose events are in `default`.
    pub namespace: Name,
    /// Name.
    pub name: Name,
    /// UID, if known. `kubectl describe` shows only events with the object's UID.
    pub uid: Option<Name>,
}

/// Severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Normal operation.
    Normal,
    /// A problem.
    Warning,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEvent {
    /// Object of the event.
    pub regarding: Regarding,
    /// Severity of the event.
    pub severity: Severity,
    /// Reason, one word in CamelCase, at most 128 bytes.
    pub reason: &'static str,
    /// Action that was done or tried, one word in CamelCase, at most 128 bytes.
    pub action: &'static str,
    /// Description in a sentence, cut at 1024 bytes. Of equal events only the note of the first one
    /// is kept.
    pub note: String,
}

/// Callback with the number of dropped events.
pub type OnDropped = Arc<dyn Fn(u64) + Send + Sync>;

/// Queue of events. Clones share it.
#[derive(Clone)]
pub struct Events {
    queue: Sender<ObjectEvent>,
    dropped: OnDropped,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.queue.max_capacity() - self.queue.capacity();
        (f.debug_struct("Events").field("waiting", &waiting)).finish_non_exhaustive()
    }
}

impl Events {
    /// Returns a queue and the publisher that sends its events.
    #[must_use]
    pub fn new(connection: &Connection, node: &Name, dropped: OnDropped) -> (Self, Publisher) {
        let (queue, waiting) = channel(QUEUE);
        let reporter = Reporter {
            controller: CONTROLLER.to_owned(),
            instance: Some(cut(format!("{CONTROLLER}-{node}"), INSTANCE)),
        };
        let publisher = Publisher {
            recorder: Recorder::new(connection.client.clone(), reporter),
            waiting,
            filter: EventRateLimit::default(),
            dropped: Arc::clone(&dropped),
        };
        (Self { queue, dropped }, publisher)
    }

    /// Queues `event`, or drops it if the queue is full. Never waits.
    pub fn record(&self, event: ObjectEvent) {
        if self.queue.try_send(event).is_err() {
            (self.dropped)(1);
        }
    }
}

/// Sends the events of a queue.
pub struct Publisher {
    recorder: Recorder,
    waiting: Receiver<ObjectEvent>,
    filter: EventRateLimit,
    dropped: OnDropped,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (f.debug_struct("Publisher").field("filter", &self.filter)).finish_non_exhaustive()
    }
}

impl Publisher {
    /// Sends events until the last [`Events`] is dropped. A failed event is dropped, not retried.
    pub async fn run(mut self) {
        while let Some(event) = self.waiting.recv().await {
            if !self.filter.admits(&event.regarding, Instant::now()) {
                (self.dropped)(1);
                continue;
            }
            let (reason, name) = (event.reason, event.regarding.name.clone());
            let (event, reference) = kubernetes(event);
            let error = match timeout(TIMEOUT, self.recorder.publish(&event, &reference)).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} s", TIMEOUT.as_secs()),
            };
            tracing::debug!(reason, object = %name, error, "failed to send an Event; it is dropped");
            (self.dropped)(1);
        }
    }
}

fn kubernetes(event: ObjectEvent) -> (Event, ObjectReference) {
    let ObjectEvent {
        regarding,
        severity,
        reason,
        action,
        note,
    } = event;
    let event = Event {
        type_: match severity {
            Severity::Normal => EventType::Normal,
            Severity::Warning => EventType::Warning,
        },
        reason: reason.to_owned(),
        note: (!note.is_empty()).then(|| cut(note, NOTE)),
        action: action.to_owned(),
        secondary: None,
    };
    let namespace = &regarding.namespace;
    let reference = ObjectReference {
        api_version: Some(regarding.api_version.to_owned()),
        kind: Some(regarding.kind.to_owned()),
        namespace: (!namespace.is_empty()).then(|| namespace.to_string()),
        name: Some(regarding.name.to_string()),
        uid: regarding.uid.map(|uid| uid.to_string()),
        ..ObjectReference::default()
    };
    (event, reference)
}

/// Cuts `text` to at most `bytes` bytes, between characters.
fn cut(mut text: String, bytes: usize) -> String {
    let fits = (0..=bytes)
        .rev()
        .find(|length| text.is_char_boundary(*length));
    text.truncate(if text.len() <= bytes {
        text.len()
    } else {
        fits.unwrap_or(0)
    });
    text
}
