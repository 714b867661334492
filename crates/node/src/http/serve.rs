//! Serves the connections of one listener.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::pool::{ConnectionPool, Lane};
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
    /// Time that open connections have when the server stops.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(5),
            whole: Duration::from_secs(30),
            head_bytes: 16 * 1024,
            farewell: Duration::from_secs(2),
        }
    }
}

/// Time to wait after an accept that failed: without descriptors it fails at once, again and again.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Serves until `stop` is true or its sender is gone; then closes the listener and lets open connections
/// end. Connections count in `pool`.
pub async fn serve(
    listener: TcpListener,
    handler: Handler,
    limits: Limits,
    pool: &ConnectionPool,
    stop: watch::Receiver<bool>,
) {
    accept(listener, handler, limits, pool, stop)
        .await
        .finish(limits.farewell)
        .await;
}

/// The first half of [`serve`]: at its end the listener is closed, and connections may be open.
pub async fn accept(
    listener: TcpListener,
    handler: Handler,
    limits: Limits,
    pool: &ConnectionPool,
    mut stop: watch::Receiver<bool>,
) -> Connections {
    let mut connections = Connections {
        tasks: JoinSet::new(),
        lane: pool.lane(),
    };
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return connections,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                failing = false;
                connections.add(stream, &handler, limits).await;
            }
            Err(error) => {
                pool.accept_failed();
                if !std::mem::replace(&mut failing, true) && lacks_descriptors(&error) {
                    warn!("connections wait to be accepted: {error}; trying again");
                } else {
                    debug!(%error, "accepting a connection");
                }
                sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// The process, or the system, has as many open files as it may have.
fn lacks_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// The connections of one listener. Dropped, they are cut.
#[derive(Debug)]
pub struct Connections {
    tasks: JoinSet<()>,
    lane: Lane,
}

impl Connections {
    async fn add(&mut self, stream: TcpStream, handler: &Handler, limits: Limits) {
        while self.tasks.try_join_next().is_some() {}
        let connection = converse(stream, handler.clone(), limits);
        self.lane.spawn(&mut self.tasks, connection).await;
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
