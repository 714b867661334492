//! A minimal HTTP client.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::failure::{Context as _, Failure, Outcome, ensure};
use crate::namespace::Namespace;
use crate::socket::{Protocol, connect};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

/// Time limit of a page.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Gets a page of JSON. Returns the status and the body, null if empty.
///
/// # Errors
/// If there is no answer in two seconds.
pub fn get(from: &Namespace, server: SocketAddr, path: &str) -> Outcome<(u16, Value)> {
    let (status, body) = from.run(|| exchange(server, "GET", path, JSON, None, TIMEOUT))?;
    Ok((status, json(path, &body)?))
}

/// Gets a page of text. The status must be 200.
///
/// # Errors
/// If there is no answer in two seconds, or its status is not 200.
pub fn get_text(from: &Namespace, server: SocketAddr, path: &str) -> Outcome<String> {
    let (status, body) = from.run(|| exchange(server, "GET", path, TEXT, None, TIMEOUT))?;
    ensure(status == 200, || format!("{path}: {status}"))?;
    Ok(body)
}

/// Sends one request over a new connection. Returns the status and the body, null if empty. With
/// HTTP 1.0 the end of the connection ends the answer.
pub(crate) fn request(
    server: SocketAddr,
    method: &str,
    path: &str,
    content_type: &str,
    body: Option<&Value>,
) -> Outcome<(u16, Value)> {
    let timeout = Duration::from_secs(20);
    let (status, body) = exchange(server, method, path, content_type, body, timeout)?;
    Ok((status, json(path, &body)?))
}

fn exchange(
    server: SocketAddr,
    method: &str,
    path: &str,
    content_type: &str,
    body: Option<&Value>,
    timeout: Duration,
) -> Outcome<(u16, String)> {
    let what = || format!("{method} {path}");
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.0\r\nHost: {server}\r\nAccept: */*\r\n\
         Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = connect(Protocol::Tcp, None, server, timeout).context(what)?;
    stream.write_all(text.as_bytes()).context(what)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context(what)?;
    let not_http = || Failure::new(format!("{}: not an HTTP answer: {answer:?}", what()));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(not_http)?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(not_http)?;
    Ok((status, body.to_owned()))
}

/// Parses a body; an empty one is null.
fn json(path: &str, body: &str) -> Outcome<Value> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(body).context(|| path.to_owned())
}
