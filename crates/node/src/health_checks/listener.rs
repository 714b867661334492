//! One listener of a health-check node port.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::http::{ConnectionPool, Handler, Limits, accept, listen};

/// Number of local endpoints of a Service; `None` once the Service is deleted.
#[derive(Clone, Debug)]
pub(super) struct Count(Arc<Mutex<Option<usize>>>);

impl Count {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(Some(count))))
    }

    pub(super) fn set(&self, count: Option<usize>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = count;
    }

    pub(super) fn get(&self) -> Option<usize> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener that accepts connections. It closes soon after it is dropped.
#[derive(Debug)]
pub(super) struct Listener {
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Listener {
    pub(super) fn open(
        address: SocketAddr,
        handler: Handler,
        limits: Limits,
        pool: ConnectionPool,
    ) -> io::Result<Self> {
        let listener = listen(address)?;
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(async move {
            let connections = accept(listener, handler, limits, &pool, stopped).await;
            tokio::spawn(connections.finish(limits.grace_period));
        });
        Ok(Self { stop, accepting })
    }

    /// Closes the listener. When it returns, the port is free. Open connections still get their
    /// answer.
    pub(super) async fn close(self) {
        self.stop.send_replace(true);
        // An error means that the task has ended, and the listener with it.
        let _ = self.accepting.await;
    }
}
