//! As much of an HTTP client as talking to an API server needs.

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
const PATIENCE: Duration = Duration::from_secs(2);

/// Gets a page of JSON; answers the status and the body, null if empty.
///
/// # Errors
/// Where there is no answer in two seconds.
pub fn get(from: &Namespace, server: SocketAddr, path: &str) -> Outcome<(u16, Value)> {
    let (status, body) = from.run(|| exchange(server, "GET", path, JSON, None, PATIENCE))?;
    Ok((status, json(path, &body)?))
}

/// Gets a page of text, which must be there.
///
/// # Errors
/// Where there is no answer in two seconds, or another one than 200.
pub fn get_text(from: &Namespace, server: SocketAddr, path: &str) -> Outcome<String> {
    let (status, body) = from.run(|| exchange(server, "GET", path, TEXT, None, PATIENCE))?;
    ensure(status == 200, || format!("{path}: {status}"))?;
    Ok(body)
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
    let patience = Duration::from_secs(20);
    let (status, body) = exchange(server, method, path, content_type, body, patience)?;
    Ok((status, json(path, &body)?))
}

fn exchange(
    server: SocketAddr,
    method: &str,
    path: &str,
    content_type: &str,
    body: Option<&Value>,
    patience: Duration,
) -> Outcome<(u16, String)> {
    let what = || format!("{method} {path}");
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.0\r\nHost: {server}\r\nAccept: */*\r\n\
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
    Ok((status, body.to_owned()))
}

/// Null if empty.
fn json(path: &str, body: &str) -> Outcome<Value> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(body).context(|| path.to_owned())
}
