//! Sends events of one resource; rate-limits repeated problems.

use std::time::{Duration, Instant, SystemTime};

use model::{ClusterEvent, ObjectKind};

use super::source_name;
use crate::event::SourceProblem;
use crate::list_guard::{ListGuard, Shrunk};
use crate::sink::{EventSink, ReceiverGone};

/// Sends events and problems of one resource and keeps its state.
pub(super) struct ResourceSink {
    resource: &'static str,
    sink: EventSink,
    repeat: Duration,
    reported: Option<(SourceProblem, Instant)>,
    guard: ListGuard,
}

impl ResourceSink {
    /// Returns a sink that repeats problems of the same kind once in `repeat`.
    pub(super) fn new(kind: ObjectKind, sink: EventSink, repeat: Duration) -> Self {
        Self {
            resource: source_name(kind),
            guard: ListGuard::new(sink.confirmation(), kind),
            sink,
            repeat,
            reported: None,
        }
    }

    /// Sends a change of an object that arrived at `arrived`.
    pub(super) async fn cluster(
        &mut self,
        event: ClusterEvent,
        arrived: Instant,
    ) -> Result<(), ReceiverGone> {
        self.guard.see(&event);
        self.sink.cluster(event, arrived).await
    }

    /// Sends and records that a list begins.
    pub(super) async fn list_started(&mut self, kind: ObjectKind) -> Result<(), ReceiverGone> {
        let statuses = &self.sink.progress().statuses;
        statuses.list_started(self.resource, SystemTime::now());
        self.cluster(ClusterEvent::ListStarted(kind), Instant::now())
            .await
    }

    /// Sends and records that a list is complete, unless it needs confirmation.
    pub(super) async fn list_done(
        &mut self,
        kind: ObjectKind,
    ) -> Result<Result<(), Shrunk>, ReceiverGone> {
        if let Err(shrunk) = self.guard.end_list(Instant::now()) {
            return Ok(Err(shrunk));
        }
        let statuses = &self.sink.progress().statuses;
        statuses.list_done(self.resource, SystemTime::now());
        let event = ClusterEvent::ListDone(kind);
        self.sink.cluster(event, Instant::now()).await.map(Ok)
    }

    /// Records a problem. A problem of a new kind is sent at once; others are rate-limited.
    pub(super) async fn trouble(&mut self, problem: SourceProblem) -> Result<(), ReceiverGone> {
        let statuses = &self.sink.progress().statuses;
        statuses.failed(self.resource, &problem, SystemTime::now());
        let reported = (self.reported.as_ref())
            .is_some_and(|(last, at)| last.kind == problem.kind && at.elapsed() < self.repeat);
        if reported {
            return Ok(());
        }
        self.reported = Some((problem.clone(), Instant::now()));
        self.sink.trouble(problem).await
    }

    /// Sends that a reported problem is over.
    pub(super) async fn recovered(&mut self) -> Result<(), ReceiverGone> {
        match self.reported.take() {
            None => Ok(()),
            Some(_) => self.sink.recovered(self.resource.into()).await,
        }
    }

    /// Records that an ended watch was opened again.
    pub(super) fn watch_restarted(&self) {
        let statuses = &self.sink.progress().statuses;
        statuses.watch_restarted(self.resource, SystemTime::now());
    }

    /// Records that the server answered a watch or sent an event in it.
    pub(super) fn succeeded(&self) {
        let statuses = &self.sink.progress().statuses;
        statuses.succeeded(self.resource, SystemTime::now());
    }
}
