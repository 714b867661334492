//! Tells the API server's users what happens, as Events (`events.k8s.io/v1`).
//!
//! Events are worth less than anything else that is asked of the API server: they wait in a short
//! queue, and what does not fit, comes too often or is refused is counted and forgotten. Equal ones
//! within six minutes become one with a count.

mod spam;
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

use self::spam::SpamFilter;
use super::Connection;

/// The name under which all nodes report.
const CONTROLLER: &str = "kube-ipvs";

/// Number of events that may wait.
const QUEUE: usize = 256;

/// Time limit of one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest note and the longest name of an instance, in bytes: `pkg/apis/core/validation/events.go`,
/// Kubernetes 1.34.
const NOTE: usize = 1024;
const INSTANCE: usize = 128;

/// The object that an event is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Regarding {
    /// Its group and version: `v1`.
    pub api_version: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace; empty where it has none. The event is then in `default`.
    pub namespace: Name,
    /// Its name.
    pub name: Name,
    /// Its UID, if it is known. `kubectl describe` shows events with the right one alone.
    pub uid: Option<Name>,
}

/// Severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// All is well.
    Normal,
    /// Something is not as it was meant.
    Warning,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEvent {
    /// The object that it is about.
    pub regarding: Regarding,
    /// Severity of the event.
    pub severity: Severity,
    /// Why, in one word in CamelCase, at most 128 bytes.
    pub reason: &'static str,
    /// The action that was done or tried, in one word in CamelCase, at most 128 bytes.
    pub action: &'static str,
    /// The same in a sentence; what is longer than 1024 bytes is cut. Of equal events only the first
    /// one's note is kept.
    pub note: String,
}

/// Called with a number of events that were not sent.
pub type OnDropped = Arc<dyn Fn(u64) + Send + Sync>;

/// Where events are told. Clones share the queue.
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
    /// A queue, and what sends from it.
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
            filter: SpamFilter::default(),
            dropped: Arc::clone(&dropped),
        };
        (Self { queue, dropped }, publisher)
    }

    /// Queues `event`, or drops it where too many wait. Never waits.
    pub fn tell(&self, event: ObjectEvent) {
        if self.queue.try_send(event).is_err() {
            (self.dropped)(1);
        }
    }
}

/// Sends what is told.
pub struct Publisher {
    recorder: Recorder,
    waiting: Receiver<ObjectEvent>,
    filter: SpamFilter,
    dropped: OnDropped,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (f.debug_struct("Publisher").field("filter", &self.filter)).finish_non_exhaustive()
    }
}

impl Publisher {
    /// Sends until the last [`Events`] is gone, each event once: one that fails is dropped.
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
            tracing::debug!(reason, object = %name, error, "failed to send an event");
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

/// At most `bytes` of `text`, whole characters.
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
