//! One probe of one endpoint.
//!
//! The endpoint may answer anything: each probe has a timeout, reads at most [`MAX_ANSWER`] bytes,
//! starts no task of its own, and shows nothing of the answer but numbers.

mod grpc;
mod http;
mod limited;
mod tls;
mod udp;

use std::io;
use std::net::SocketAddr;

use model::duration::format_duration;
use model::names::Name;
use model::policy::{CheckTarget, ProbeKind};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use self::limited::Limited;
use super::authorities::Authorities;

/// Maximum number of bytes that one probe reads from a connection. A chain of certificates has some
/// thousand.
pub const MAX_ANSWER: usize = 64 << 10;

/// Header `User-Agent` of the requests.
const USER_AGENT: &str = concat!("kube-ipvsd/", env!("CARGO_PKG_VERSION"));

/// Result of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered as expected.
    Success,
    /// It did not. The text is the error.
    Failure(Name),
    /// This node could not probe it: it lacks sockets, ports, memory, permissions or an authority.
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

    fn failure(text: impl Into<Name>) -> Self {
        Self::Failure(text.into())
    }

    fn of_io(doing: &str, error: &io::Error) -> Self {
        if limited::is_too_long(error) {
            let text = format!("{doing}: answered with more than {} KiB", MAX_ANSWER >> 10);
            return Self::failure(text);
        }
        let text = format!("{doing}: {}", error.kind());
        match error.raw_os_error().is_some_and(is_local) {
            true => Self::Local(text.into()),
            false => Self::failure(text),
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
pub async fn probe(target: &CheckTarget, authorities: &Authorities) -> Outcome {
    let limit = target.probe.timeout;
    match timeout(limit, attempt(target, authorities)).await {
        Ok(Ok(())) => Outcome::Success,
        Ok(Err(outcome)) => outcome,
        Err(_) => Outcome::failure(format!("no answer within {}", format_duration(limit))),
    }
}

async fn attempt(target: &CheckTarget, authorities: &Authorities) -> Result<(), Outcome> {
    let place = target.place();
    match &target.probe.kind {
        ProbeKind::Tcp => connect(place).await.map(drop),
        ProbeKind::Http(http) => http::request(connect(place).await?, place, http).await,
        ProbeKind::Https(https) => {
            let client = (authorities.client(&https.verify)).map_err(Outcome::Local)?;
            let stream = connect(place).await?;
            let stream = tls::connect(stream, https.server_name(target.address), client).await?;
            http::request(stream, place, &https.http).await
        }
        ProbeKind::Grpc(grpc) => grpc::check(connect(place).await?, place, grpc).await,
        ProbeKind::Udp(udp) => udp::exchange(place, udp).await,
    }
}

/// Connects to `place`. The connection is reset when it is dropped: ports of closed connections
/// would wait for a minute each.
async fn connect(place: SocketAddr) -> Result<Limited<TcpStream>, Outcome> {
    let socket = match place {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.map_err(|error| Outcome::of_io("socket", &error))?;
    let stream = socket.connect(place).await;
    let stream = stream.map_err(|error| Outcome::of_io("connect", &error))?;
    (stream.set_zero_linger()).map_err(|error| Outcome::of_io("linger", &error))?;
    Ok(Limited::new(stream, MAX_ANSWER))
}
