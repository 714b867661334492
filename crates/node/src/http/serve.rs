//! Serves the connections of one listener.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::{Handler, Request};

/// Limits of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time for the request's head.
    pub head: Duration,
    /// Time for all, from the first byte to the last.
    pub whole: Duration,
    /// Bytes of the head, 8192 at least.
    pub head_bytes: usize,
    /// Connections at once; the oldest makes room for one more.
    pub connections: usize,
    /// Time that open connections have when the server stops.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(5),
            whole: Duration::from_secs(30),
            head_bytes: 16 * 1024,
            connections: 256,
            farewell: Duration::from_secs(2),
        }
    }
}

/// Time to wait after an accept that failed: without descriptors it fails at once, again and again.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Serves until `stop` is true or its sender is gone; then closes the listener and lets open connections
/// end.
pub async fn serve(
    listener: TcpListener,
    handler: Handler,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    accept(listener, handler, limits, stop)
        .await
        .finish(limits.farewell)
        .await;
}

/// The first half of [`serve`]: at its end the listener is closed, and connections may be open.
pub async fn accept(
    listener: TcpListener,
    handler: Handler,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) -> Connections {
    let mut connections = Connections::default();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return connections,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => connections.add(stream, &handler, limits),
            Err(error) => {
                debug!(%error, "accepting a connection");
                sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// The connections of one listener. Dropped, they are cut.
#[derive(Debug, Default)]
pub struct Connections {
    tasks: JoinSet<()>,
    /// The same, oldest first.
    handles: VecDeque<AbortHandle>,
}

impl Connections {
    fn add(&mut self, stream: TcpStream, handler: &Handler, limits: Limits) {
        while self.tasks.try_join_next().is_some() {}
        self.handles.retain(|handle| !handle.is_finished());
        while self.handles.len() >= limits.connections.max(1) {
            if let Some(oldest) = self.handles.pop_front() {
                oldest.abort();
            }
        }
        let task = converse(stream, handler.clone(), limits);
        self.handles.push_back(self.tasks.spawn(task));
    }

    /// Waits until all have ended, for `farewell` at most, and cuts the others.
    pub async fn finish(mut self, farewell: Duration) {
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(farewell, ended).await.is_err() {
            debug!("connections were cut");
        }
    }
}

async fn converse(stream: TcpStream, handler: Handler, limits: Limits) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let reply = handler(&Request {
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
        });
        ready(Ok::<_, Infallible>(reply.into_response()))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes)
        // Clients are few and ask seldom; nobody holds a connection that does nothing.
        .keep_alive(false)
        // Some clients say that they are done before they read.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(limits.whole, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "connection"),
        Err(_) => debug!("a slow connection was cut"),
    }
}
