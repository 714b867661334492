//! A pool of connections that several listeners share.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tracing::debug;

use crate::metrics::Metrics;

/// A group of listeners that share one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// The health pages. Their own pool keeps them reachable when other listeners are flooded.
    Health,
    /// Metrics and health-check node ports.
    Common,
}

impl Share {
    /// Every share.
    pub const ALL: [Self; 2] = [Self::Health, Self::Common];

    /// Returns the name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Common => "common",
        }
    }

    /// Returns the maximum number of connections for a process that may have `descriptors` open
    /// files: an eighth for the health pages and a quarter for the other pages. Another quarter is
    /// reserved for [health-check listeners](crate::health_checks::max_listeners), and the rest for
    /// the daemon's other work.
    #[must_use]
    pub fn limit(self, descriptors: u64) -> usize {
        let (part, ceiling) = match self {
            Self::Health => (8, 256),
            Self::Common => (4, 1024),
        };
        let limit = usize::try_from(descriptors / part).unwrap_or(usize::MAX);
        limit.clamp(1, ceiling)
    }
}

/// Limits the open connections of all listeners that use it. A connection above the limit closes
/// the oldest connection of the listener that has most, so a client that floods one listener
/// displaces its own connections first.
#[derive(Clone)]
pub struct ConnectionPool(Arc<Inner>);

struct Inner {
    share: Share,
    /// One permit for each connection, held until the connection's descriptor is closed.
    permits: Arc<Semaphore>,
    lanes: Mutex<Lanes>,
    metrics: Arc<Metrics>,
}

/// Open connections that are not closing, by listener.
#[derive(Default)]
struct Lanes {
    last: u64,
    /// Connections by listener, oldest first. A connection closes when its sender is dropped.
    open: BTreeMap<u64, BTreeMap<u64, oneshot::Sender<()>>>,
}

impl Lanes {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Removes the oldest connection of the fullest lane. Of equally full lanes, the lane with the
    /// oldest connection is chosen.
    fn displace(&mut self) -> Option<oneshot::Sender<()>> {
        let fullest = self.open.values_mut().max_by_key(|lane| {
            let oldest = lane.first_key_value().map(|(number, _)| *number);
            (lane.len(), Reverse(oldest))
        })?;
        fullest.pop_first().map(|(_, connection)| connection)
    }
}

impl ConnectionPool {
    /// Returns a pool of `limit` connections, at least one.
    #[must_use]
    pub fn new(share: Share, limit: usize, metrics: Arc<Metrics>) -> Self {
        let limit = limit.max(1);
        metrics.connection_limit(share, limit);
        Self(Arc::new(Inner {
            share,
            permits: Arc::new(Semaphore::new(limit)),
            lanes: Mutex::default(),
            metrics,
        }))
    }

    /// Adds a listener without connections.
    pub(super) fn lane(&self) -> Lane {
        let mut lanes = self.lanes();
        let number = lanes.next();
        lanes.open.insert(number, BTreeMap::new());
        drop(lanes);
        Lane {
            pool: self.clone(),
            number,
        }
    }

    /// Counts a connection that could not be accepted.
    pub(super) fn accept_failed(&self) {
        self.0.metrics.accept_failed(self.0.share);
    }

    /// Returns a permit for one more connection. If the pool is full, closes another connection and
    /// waits until its descriptor is free.
    async fn admit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.0.permits).try_acquire_owned() {
            return Some(permit);
        }
        // If there is none to displace, all permits belong to connections that are closing.
        let displaced = self.lanes().displace();
        if displaced.is_some() {
            drop(displaced);
            self.0.metrics.connection_displaced(self.0.share);
        }
        // An error would mean a closed semaphore. It is never closed.
        Arc::clone(&self.0.permits).acquire_owned().await.ok()
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionPool")
            .field("share", &self.0.share)
            .field("free", &self.0.permits.available_permits())
            .finish_non_exhaustive()
    }
}

/// The connections of one listener in a pool. They are closed when the lane is dropped.
#[derive(Debug)]
pub(super) struct Lane {
    pool: ConnectionPool,
    number: u64,
}

impl Lane {
    /// Spawns `connection` onto `tasks` once the pool has room.
    pub(super) async fn spawn(
        &self,
        tasks: &mut JoinSet<()>,
        connection: impl Future<Output = ()> + Send + 'static,
    ) {
        let Some(permit) = self.pool.admit().await else {
            return;
        };
        let (close, closed) = oneshot::channel();
        let mut lanes = self.pool.lanes();
        let number = lanes.next();
        if let Some(lane) = lanes.open.get_mut(&self.number) {
            lane.insert(number, close);
        }
        drop(lanes);
        self.pool.0.metrics.connection_opened(self.pool.0.share);
        let place = Place {
            pool: self.pool.clone(),
            lane: self.number,
            number,
            _permit: permit,
        };
        tasks.spawn(async move {
            // Dropped last, after the connection.
            let _place = place;
            tokio::select! {
                _ = closed => debug!("closed a connection to make room for another one"),
                () = connection => {}
            }
        });
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.pool.lanes().open.remove(&self.number);
    }
}

/// The place of an open connection in its pool. Dropping it first removes the connection from the
/// lanes and then releases the permit, so that each displaced connection frees a permit.
struct Place {
    pool: ConnectionPool,
    lane: u64,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(lane) = self.pool.lanes().open.get_mut(&self.lane) {
            lane.remove(&self.number);
        }
        self.pool.0.metrics.connection_closed(self.pool.0.share);
    }
}
