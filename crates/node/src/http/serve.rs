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

/// Limits of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time for the request's head.
    pub head: Duration,
    /// Time for the whole connection, from the first byte to the last.
    pub whole: Duration,
    /// Maximum number of bytes of the head, at least 8192.
    pub head_bytes: usize,
    /// Time until open connections are cut when the server stops.
    pub grace_period: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(5),
            whole: Duration::from_secs(30),
            head_bytes: 16 * 1024,
            grace_period: Duration::from_secs(2),
        }
    }
}

/// Time to wait after a failed accept. Without free descriptors every accept fails at once.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Serves until `stop` is true or its sender is dropped. Then closes the listener and lets open
/// connections end. Connections count in `pool`.
pub async fn serve(
    listener: TcpListener,
    handler: Handler,
    limits: Limits,
    pool: &ConnectionPool,
    stop: watch::Receiver<bool>,
) {
    accept(listener, handler, limits, pool, stop)
        .await
        .finish(limits.grace_period)
        .await;
}

/// Accepts connections until the stop, as the first part of [`serve`]. When it returns, the
/// listener is closed and connections may be open.
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
                    warn!(
                        "failed to accept a connection: {error}; clients wait until the daemon has closed other files"
                    );
                } else {
                    debug!(%error, "failed to accept a connection");
                }
                sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// Returns true if the process or the system has reached its limit of open files.
fn lacks_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// The connections of one listener. They are cut when this is dropped.
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

    /// Waits for at most `grace_period` until all connections have ended, then cuts the remaining
    /// ones.
    pub async fn finish(mut self, grace_period: Duration) {
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(grace_period, ended).await.is_err() {
            debug!("cut connections that were open after the stop");
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
        // Clients are few and send requests rarely, so idle connections are not kept.
        .keep_alive(false)
        // Some clients close their side before they read.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(limits.whole, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a connection failed"),
        Err(_) => debug!("cut a connection that was too slow"),
    }
}
