//! Delivery of events to the receiver.

use std::time::{Instant, SystemTime};

use model::{ClusterEvent, Name};
use tokio::sync::mpsc::Sender;

use crate::backlog::Backlog;
use crate::event::{SourceEvent, SourceProblem};
use crate::list_guard::Confirmation;
use crate::status::SourceStatuses;

/// Error: the receiver was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverGone;

/// Progress of the sources, shared with health pages and metrics.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Events that were sent and are not applied yet.
    pub backlog: Backlog,
    /// State of each source.
    pub statuses: SourceStatuses,
}

/// Sends the events of the sources to the receiver and stamps every cluster event. Clones send to
/// the same receiver.
#[derive(Clone, Debug)]
pub struct EventSink {
    events: Sender<SourceEvent>,
    progress: Progress,
    confirmation: Confirmation,
}

impl EventSink {
    /// Returns a sink of the sources `names`. The channel may be small: a full channel blocks the
    /// sources, and no event is lost.
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

    /// Requires confirmation of lists that would delete most objects. By default every list is
    /// applied.
    #[must_use]
    pub fn with_confirmation(mut self, confirmation: Confirmation) -> Self {
        self.confirmation = confirmation;
        self
    }

    /// Returns the settings of the confirmation.
    pub(crate) fn confirmation(&self) -> Confirmation {
        self.confirmation
    }

    /// Returns the progress of these sources.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Stamps and sends `event`, and waits while the channel is full. `arrived` is the time at
    /// which the source received it.
    ///
    /// # Errors
    ///
    /// The receiver was dropped.
    pub async fn cluster(&self, event: ClusterEvent, arrived: Instant) -> Result<(), ReceiverGone> {
        self.progress.backlog.stamp(&event, arrived);
        self.send(SourceEvent::Cluster(event, arrived)).await
    }

    pub(crate) async fn trouble(&self, problem: SourceProblem) -> Result<(), ReceiverGone> {
        self.send(SourceEvent::Trouble(problem)).await
    }

    pub(crate) async fn recovered(&self, subject: Name) -> Result<(), ReceiverGone> {
        self.send(SourceEvent::Recovered { subject }).await
    }

    /// Waits until the receiver is dropped.
    pub(crate) async fn closed(&self) {
        self.events.closed().await;
    }

    async fn send(&self, event: SourceEvent) -> Result<(), ReceiverGone> {
        self.events.send(event).await.map_err(|_| ReceiverGone)
    }
}
