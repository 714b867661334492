//! The events of one watch.

use std::time::{Duration, Instant};
use std::vec;

use futures::StreamExt;
use futures::stream::{BoxStream, Stream};
use kube::api::WatchEvent;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// Maximum number of events that share one look at the clock; their objects are in memory at the same time.
const TOGETHER: usize = 32;

type Event<K> = kube::Result<WatchEvent<K>>;

/// Events of a watch in the order of the server. What the connection has received already comes without a look at
/// the clock, which is most of a list.
pub(super) struct Incoming<K> {
    received: BoxStream<'static, Vec<Event<K>>>,
    together: vec::IntoIter<Event<K>>,
    arrived: Instant,
}

impl<K: 'static> Incoming<K> {
    pub(super) fn new(events: impl Stream<Item = Event<K>> + Send + 'static) -> Self {
        Self {
            received: events.ready_chunks(TOGETHER).boxed(),
            together: Vec::new().into_iter(),
            arrived: Instant::now(),
        }
    }

    /// The next event; `None` at the end of the watch.
    ///
    /// # Errors
    ///
    /// None came within `limit`.
    pub(super) async fn next(&mut self, limit: Duration) -> Result<Option<Event<K>>, Elapsed> {
        if self.together.len() == 0 {
            let received = timeout(limit, self.received.next()).await?;
            self.arrived = Instant::now();
            self.together = received.unwrap_or_default().into_iter();
        }
        Ok(self.together.next())
    }

    /// When the last event came.
    pub(super) fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Returns true if nothing else came together with the last event.
    pub(super) fn is_last(&self) -> bool {
        self.together.len() == 0
    }
}
