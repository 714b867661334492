//! A call of `grpc.health.v1.Health/Check`.
//!
//! Sources: `grpc/health/v1/health.proto` and the gRPC protocol over HTTP/2 (`PROTOCOL-HTTP2.md`),
//! <https://github.com/grpc/grpc>.

use std::net::SocketAddr;
use std::pin::pin;

use futures::future::{Either, select};
use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, TE, USER_AGENT};
use hyper::{HeaderMap, Request, StatusCode};
use model::policy::GrpcProbe;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Outcome;

/// Windows, frames and lists of headers have at most this number of bytes, the least that HTTP/2
/// allows for a frame.
const MAX_PART: u32 = 16 << 10;

/// Length of the head of a message: a flag for compression, and the length of the message.
const HEAD: usize = 5;

/// Maximum length of a message with its head, bytes.
const MAX_MESSAGE: usize = 1 << 10;

/// Name of the header with the status of a call.
const STATUS: &str = "grpc-status";

/// Names of the status codes of a call, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// `HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    status: i32,
}

/// `HealthCheckResponse.ServingStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// Asks for the health of the service of `grpc`.
pub(super) async fn check<S>(stream: S, place: SocketAddr, grpc: &GrpcProbe) -> Result<(), Outcome>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (sender, connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(MAX_PART)
        .initial_connection_window_size(MAX_PART.max(65_535))
        .max_frame_size(MAX_PART)
        .max_header_list_size(MAX_PART)
        .handshake::<S, Bytes>(stream)
        .await
        .map_err(|error| failure(&error))?;
    let answer = pin!(call(sender, place, grpc));
    match select(answer, pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        // The connection has ended, so that the answer or its error is known. A stream does not
        // know that the connection read too much.
        Either::Right((ended, answer)) => match (answer.await, ended) {
            (Err(_), Err(error)) if error.is_io() => Err(failure(&error)),
            (answer, _) => answer,
        },
    }
}

async fn call(
    sender: SendRequest<Bytes>,
    place: SocketAddr,
    grpc: &GrpcProbe,
) -> Result<(), Outcome> {
    let failed = |error| failure(&error);
    let request = Request::post(format!("http://{place}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, super::USER_AGENT)
        .body(())
        .map_err(|error| Outcome::failure(format!("grpc: {error}")))?;
    let mut sender = sender.ready().await.map_err(failed)?;
    let (answer, mut body) = sender.send_request(request, false).map_err(failed)?;
    let question = CheckRequest {
        service: grpc.service.to_string(),
    };
    body.send_data(frame(&question), true).map_err(failed)?;
    let answer = answer.await.map_err(failed)?;
    if answer.status() != StatusCode::OK {
        let text = format!("grpc: HTTP status {}", answer.status().as_u16());
        return Err(Outcome::failure(text));
    }
    // An answer without a message has its status in its headers.
    succeeded(answer.headers(), answer.body().is_end_stream())?;
    let mut body = answer.into_body();
    let message = read(&mut body).await?;
    let trailers = body.trailers().await.map_err(failed)?;
    succeeded(&trailers.unwrap_or_default(), true)?;
    match status(&message)? {
        Ok(ServingStatus::Serving) => Ok(()),
        Ok(ServingStatus::NotServing) => Err(Outcome::failure("grpc: NOT_SERVING")),
        Ok(ServingStatus::ServiceUnknown) => Err(Outcome::failure("grpc: SERVICE_UNKNOWN")),
        Ok(ServingStatus::Unknown) => Err(Outcome::failure("grpc: UNKNOWN")),
        Err(number) => Err(Outcome::failure(format!("grpc: serving status {number}"))),
    }
}

fn frame(message: &CheckRequest) -> Bytes {
    // The name of a service has at most 256 bytes.
    let length = u32::try_from(message.encoded_len()).unwrap_or(u32::MAX);
    let mut frame = vec![0];
    frame.extend(length.to_be_bytes());
    frame.extend(message.encode_to_vec());
    frame.into()
}

/// Checks the status of the call in `headers`, which must have one if it is `required`.
fn succeeded(headers: &HeaderMap, required: bool) -> Result<(), Outcome> {
    let Some(status) = headers.get(STATUS) else {
        return match required {
            true => Err(Outcome::failure(format!("grpc: no {STATUS}"))),
            false => Ok(()),
        };
    };
    let code = status.to_str().ok();
    let code = code.and_then(|text| text.parse::<usize>().ok());
    match code.map(|code| (code, CODES.get(code))) {
        Some((0, _)) => Ok(()),
        Some((_, Some(name))) => Err(Outcome::failure(format!("grpc: {name}"))),
        Some((code, None)) => Err(Outcome::failure(format!("grpc: status {code}"))),
        None => Err(Outcome::failure(format!("grpc: invalid {STATUS}"))),
    }
}

/// Reads the message of an answer, with its head.
async fn read(body: &mut RecvStream) -> Result<Vec<u8>, Outcome> {
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| failure(&error))?;
        message.extend_from_slice(&data);
        if message.len() > MAX_MESSAGE {
            let text = format!("grpc: a message of more than {MAX_MESSAGE} bytes");
            return Err(Outcome::failure(text));
        }
        let flow = body.flow_control();
        (flow.release_capacity(data.len())).map_err(|error| failure(&error))?;
    }
    Ok(message)
}

/// Returns the status in a message, or the number of an unknown one.
fn status(message: &[u8]) -> Result<Result<ServingStatus, i32>, Outcome> {
    let invalid = || Outcome::failure("grpc: invalid message");
    let (head, message) = message.split_at_checked(HEAD).ok_or_else(invalid)?;
    // The first byte is 0 for a message that is not compressed.
    let length = u32::try_from(message.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    if head[0] != 0 || head[1..] != length {
        return Err(invalid());
    }
    let answer = CheckResponse::decode(message).map_err(|_| invalid())?;
    Ok(ServingStatus::try_from(answer.status).map_err(|_| answer.status))
}

/// Describes an error without the text that a peer may add to it.
fn failure(error: &h2::Error) -> Outcome {
    if let Some(error) = error.get_io() {
        return Outcome::of_io("grpc", error);
    }
    let text = match error.reason() {
        Some(reason) => format!("grpc: HTTP/2: {}", reason.description()),
        None => "grpc: HTTP/2 failed".to_owned(),
    };
    Outcome::failure(text)
}
