//! As much of an HTTP client as talking to an API server needs.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::failure::{Context as _, Failure, Outcome};
use crate::namespace::Namespace;
use crate::socket::{Protocol, connect};

/// Gets a page of JSON; answers the status and the body, null if empty.
///
/// # Errors
/// Where there is no answer in two seconds.
pub fn get(from: &Namespace, server: SocketAddr, path: &str) -> Outcome<(u16, Value)> {
    from.run(|| {
        exchange(
            server,
            "GET",
            path,
            "application/json",
            None,
            Duration::from_secs(2),
        )
    })
}

/// Sends one request over a connection of its own; answers the status and the body, null if empty. In
/// HTTP 1.0 the answer ends with its connection.
pub(crate) fn request(
    server: SocketAddr,
    method: &str,
    path: &str,
    content_type: &str,
    body: Option<&Value>,
) -> Outcome<(u16, Value)> {
    exchange(
        server,
        method,
        path,
        content_type,
        body,
        Duration::from_secs(20),
    )
}

fn exchange(
    server: SocketAddr,
    method: &str,
    path: &str,
    content_type: &str,
    body: Option<&Value>,
    patience: Duration,
) -> Outcome<(u16, Value)> {
    let what = || format!("{method} {path}");
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.0\r\nHost: {server}\r\nAccept: application/json\r\n\
         Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = connect(Protocol::Tcp, None, server, patience).context(what)?;
    stream.write_all(text.as_bytes()).context(what)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context(what)?;
    let not_http = || Failure::new(format!("{}: no HTTP but {answer:?}", what()));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(not_http)?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(not_http)?;
    if body.is_empty() {
        return Ok((status, Value::Null));
    }
    let body = serde_json::from_str(body).context(what)?;
    Ok((status, body))
}
