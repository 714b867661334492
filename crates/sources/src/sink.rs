//! Delivery of events to the receiver.

use std::time::{Instant, SystemTime};

use model::{ClusterEvent, Name};
use tokio::sync::mpsc::Sender;

use crate::backlog::Backlog;
use crate::event::{SourceEvent, SourceProblem};
use crate::list_guard::Confirmation;
use crate::status::SourceStatuses;

/// The receiver has been dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverGone;

/// Progress of the sources, shared with those who show it.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Events that were sent and are not applied yet.
    pub backlog: Backlog,
    /// The state of each source.
    pub statuses: SourceStatuses,
}

/// The only way from a source to the receiver: it stamps every cluster event. Clones send to the same
/// receiver.
#[derive(Clone, Debug)]
pub struct EventSink {
    events: Sender<SourceEvent>,
    progress: Progress,
    confirmation: Confirmation,
}

impl EventSink {
    /// A sink of the sources `names`. The channel may be small: a slow receiver slows the sources down and loses
    /// nothing.
    #[must_use]
    pub fn new(names: &[&'static str], events: Sender<SourceEvent>) -> Self {
        let progress = Progress {
            backlog: Backlog::default(),
            statuses: SourceStatuses::new(names, SystemTime::now()),
        };
        Self {
            events,
            progress,
            confirmation: Confirmation::default(),
        }
    }

    /// Asks for confirmation of lists that would delete most objects; without it every list counts.
    #[must_use]
    pub fn with_confirmation(mut self, confirmation: Confirmation) -> Self {
        self.confirmation = confirmation;
        self
    }

    /// The confirmation that sources ask for.
    pub(crate) fn confirmation(&self) -> Confirmation {
        self.confirmation
    }

    /// The progress of these sources.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Stamps and sends `event`, and waits while the channel is full. `arrived` is when the source got it: events that
    /// came together share one look at the clock.
    ///
    /// # Errors
    ///
    /// The receiver is gone.
    pub async fn cluster(&self, event: ClusterEvent, arrived: Instant) -> Result<(), ReceiverGone> {
        self.progress.backlog.stamp(&event, arrived);
        self.send(SourceEvent::Cluster(event)).await
    }

    pub(crate) async fn trouble(&self, problem: SourceProblem) -> Result<(), ReceiverGone> {
        self.send(SourceEvent::Trouble(problem)).await
    }

    pub(crate) async fn recovered(&self, subject: Name) -> Result<(), ReceiverGone> {
        self.send(SourceEvent::Recovered { subject }).await
    }

    /// Returns when the receiver is gone.
    pub(crate) async fn closed(&self) {
        self.events.closed().await;
    }

    async fn send(&self, event: SourceEvent) -> Result<(), ReceiverGone> {
        self.events.send(event).await.map_err(|_| ReceiverGone)
    }
}
