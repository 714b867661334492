//! Response bodies.

use crate::status::ApiError;
use bytes::Bytes;
use futures::Stream;
use http::{Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde_json::Value;
use std::io;

/// The body of every response. An error of it cuts the connection.
pub(crate) type Body = BoxBody<Bytes, io::Error>;

/// Returns a response with JSON and a status code.
pub(super) fn answer(code: u16, value: &Value) -> Response<Body> {
    bytes(code, "application/json", Bytes::from(value.to_string()))
}

/// Returns a response with serialised JSON.
pub(super) fn json_bytes(code: u16, json: Vec<u8>) -> Response<Body> {
    bytes(code, "application/json", Bytes::from(json))
}

/// Returns the answer of Go's router for a path without a handler.
pub(super) fn page_not_found() -> Response<Body> {
    bytes(
        404,
        "text/plain; charset=utf-8",
        Bytes::from_static(b"404 page not found\n"),
    )
}

/// Returns a response with a `Status`.
pub(super) fn error(error: &ApiError) -> Response<Body> {
    let mut response = answer(error.code, &error.to_value());
    if let Some(seconds) = error.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn bytes(code: u16, content_type: &'static str, bytes: Bytes) -> Response<Body> {
    build(
        code,
        content_type,
        Full::new(bytes).map_err(|never| match never {}).boxed(),
    )
}

/// Returns a response of unknown length.
pub(super) fn stream(
    chunks: impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static,
) -> Response<Body> {
    use futures::TryStreamExt;
    build(
        200,
        "application/json",
        BodyExt::boxed(StreamBody::new(chunks.map_ok(Frame::data))),
    )
}

fn build(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(content_type),
    );
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-cache, private"),
    );
    response
}
