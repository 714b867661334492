//! Telling the receiver, and not too often.

use std::time::Duration;

use model::{ClusterEvent, Name};
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use crate::event::{SourceEvent, SourceProblem};

/// The receiver is gone.
#[derive(Debug)]
pub(super) struct ReceiverGone;

/// Sends events, and the troubles of one subject.
pub(super) struct Teller {
    subject: Name,
    events: Sender<SourceEvent>,
    repeat: Duration,
    told: Option<(SourceProblem, Instant)>,
}

impl Teller {
    pub(super) fn new(subject: Name, events: Sender<SourceEvent>, repeat: Duration) -> Self {
        Self {
            subject,
            events,
            repeat,
            told: None,
        }
    }

    pub(super) async fn cluster(&self, event: ClusterEvent) -> Result<(), ReceiverGone> {
        self.send(SourceEvent::Cluster(event)).await
    }

    /// Something is in the way. Told at once when it is something else than before, else now and then.
    pub(super) async fn trouble(&mut self, problem: SourceProblem) -> Result<(), ReceiverGone> {
        let told = (self.told.as_ref())
            .is_some_and(|(told, at)| told.kind == problem.kind && at.elapsed() < self.repeat);
        if told {
            return Ok(());
        }
        self.told = Some((problem.clone(), Instant::now()));
        self.send(SourceEvent::Trouble(problem)).await
    }

    /// Nothing is in the way.
    pub(super) async fn well(&mut self) -> Result<(), ReceiverGone> {
        match self.told.take() {
            None => Ok(()),
            Some(_) => {
                let subject = self.subject.clone();
                self.send(SourceEvent::Recovered { subject }).await
            }
        }
    }

    async fn send(&self, event: SourceEvent) -> Result<(), ReceiverGone> {
        self.events.send(event).await.map_err(|_| ReceiverGone)
    }
}
