//! One probe of one endpoint.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use futures::future::{Either, select};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use model::duration::format_duration;
use model::names::Name;
use model::policy::{CheckTarget, HttpProbe, ProbeKind};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Maximum size of the head of an HTTP answer, bytes.
const MAX_HEAD: usize = 16 << 10;

/// Result of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered as expected.
    Success,
    /// It did not. The text is the error.
    Failure(Name),
    /// This node could not probe it: it lacks sockets, ports, memory or permissions.
    Local(Name),
}

impl Outcome {
    /// Names of the outcomes, for metrics.
    pub const NAMES: [&str; 3] = ["ok", "failed", "local_error"];

    /// Returns the name of the outcome.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let [ok, failed, local] = Self::NAMES;
        match self {
            Self::Success => ok,
            Self::Failure(_) => failed,
            Self::Local(_) => local,
        }
    }

    fn of_io(doing: &str, error: &io::Error) -> Self {
        let text = format!("{doing}: {}", error.kind());
        match error.raw_os_error().is_some_and(is_local) {
            true => Self::Local(text.into()),
            false => Self::Failure(text.into()),
        }
    }
}

/// Returns true if `errno` says that this node could not send. `EACCES` and `EPERM` come from its
/// own packet filter.
fn is_local(errno: i32) -> bool {
    matches!(
        errno,
        libc::EMFILE
            | libc::ENFILE
            | libc::ENOBUFS
            | libc::ENOMEM
            | libc::EADDRNOTAVAIL
            | libc::EADDRINUSE
            | libc::EAGAIN
            | libc::EPERM
            | libc::EACCES
            | libc::EAFNOSUPPORT
    )
}

/// Probes `target` once, within the timeout of its probe.
pub async fn probe(target: &CheckTarget) -> Outcome {
    let limit = target.probe.timeout;
    match timeout(limit, attempt(target)).await {
        Ok(Ok(())) => Outcome::Success,
        Ok(Err(outcome)) => outcome,
        Err(_) => Outcome::Failure(format!("no answer within {}", format_duration(limit)).into()),
    }
}

async fn attempt(target: &CheckTarget) -> Result<(), Outcome> {
    let stream = connect(target.place()).await?;
    match &target.probe.kind {
        ProbeKind::Tcp => Ok(()),
        ProbeKind::Http(http) => request(stream, target.place(), http).await,
    }
}

/// Connects to `place`. The connection is reset when it is dropped: ports of closed connections
/// would wait for a minute each.
async fn connect(place: SocketAddr) -> Result<TcpStream, Outcome> {
    let socket = match place {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.map_err(|error| Outcome::of_io("socket", &error))?;
    let stream = socket.connect(place).await;
    let stream = stream.map_err(|error| Outcome::of_io("connect", &error))?;
    (stream.set_zero_linger()).map_err(|error| Outcome::of_io("linger", &error))?;
    Ok(stream)
}

/// Sends a request and checks the status of the answer. The body is not read.
async fn request(stream: TcpStream, place: SocketAddr, http: &HttpProbe) -> Result<(), Outcome> {
    let failure = |error: &dyn std::error::Error| Outcome::Failure(format!("http: {error}").into());
    let host = http
        .host
        .as_deref()
        .map_or_else(|| place.to_string(), str::to_owned);
    let request = Request::get(&*http.path)
        .header(HOST, host)
        .header(
            USER_AGENT,
            concat!("kube-ipvsd/", env!("CARGO_PKG_VERSION")),
        )
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failure(&error))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failure(&error))?;
    let answer = pin!(sender.send_request(request));
    let answer = match select(answer, pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        // The connection has ended, so that the answer or its error is known.
        Either::Right((_, answer)) => answer.await,
    };
    let status = answer.map_err(|error| failure(&error))?.status();
    let [first, last] = http.status;
    match (first..=last).contains(&StatusCode::as_u16(&status)) {
        true => Ok(()),
        false => Err(Outcome::Failure(
            format!("http: status {}", status.as_u16()).into(),
        )),
    }
}
