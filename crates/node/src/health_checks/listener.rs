//! One open port.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::http::{ConnectionPool, Handler, Limits, accept, listen};

/// Number of endpoints that a Service has here; none once it is gone.
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

/// A port that is served. Dropped, it closes soon.
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
            tokio::spawn(connections.finish(limits.farewell));
        });
        Ok(Self { stop, accepting })
    }

    /// Closes it; afterwards the port is free. Open connections are answered still.
    pub(super) async fn close(self) {
        self.stop.send_replace(true);
        // It fails only where the task is gone, and the port with it.
        let _ = self.accepting.await;
    }
}
