//! A request of HTTP/1.1.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use futures::future::{Either, select};
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use model::policy::HttpProbe;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Outcome;

/// Maximum size of the head of an answer, bytes.
const MAX_HEAD: usize = 16 << 10;

/// Sends a request and checks the status of the answer. The body is not read.
pub(super) async fn request<S>(
    stream: S,
    place: SocketAddr,
    http: &HttpProbe,
) -> Result<(), Outcome>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let host = http
        .host
        .as_deref()
        .map_or_else(|| place.to_string(), str::to_owned);
    let request = Request::get(&*http.path)
        .header(HOST, host)
        .header(USER_AGENT, super::USER_AGENT)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Outcome::failure(format!("http: {error}")))?;
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
    let status = answer.map_err(|error| failure(&error))?.status().as_u16();
    let [first, last] = http.status;
    match (first..=last).contains(&status) {
        true => Ok(()),
        false => Err(Outcome::failure(format!("http: status {status}"))),
    }
}

fn failure(error: &hyper::Error) -> Outcome {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    cause.map_or_else(
        || Outcome::failure(format!("http: {error}")),
        |cause: &io::Error| Outcome::of_io("http", cause),
    )
}
