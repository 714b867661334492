//! Reads the status of kube-ipvsd from its metrics address.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use model::{ObjectName, escaped};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sources::proxy;

use crate::schema::{DaemonChanges, DaemonDrain, DaemonStatus};

/// Returns the status of kube-ipvsd.
///
/// # Errors
///
/// The program at `address` does not answer, or is kube-proxy. The error is a text.
pub fn status(address: SocketAddr) -> Result<DaemonStatus, String> {
    ask(address, "/statusz?format=json")
}

/// Returns the drains of kube-ipvsd.
///
/// # Errors
///
/// As [`status`].
pub fn drains(address: SocketAddr) -> Result<Vec<DaemonDrain>, String> {
    ask(address, "/drains")
}

/// Returns the last `limit` changes that kube-ipvsd made for `service`.
///
/// # Errors
///
/// As [`status`].
pub fn changes(
    address: SocketAddr,
    service: &ObjectName,
    limit: usize,
) -> Result<DaemonChanges, String> {
    let ObjectName {
        namespace, name, ..
    } = service;
    let is_plain = |text: &str| {
        (text.bytes()).all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
    };
    // A name in a file may be any text, and must not end the line of the request.
    if !is_plain(namespace) || !is_plain(name) {
        return Err(format!(
            "{service} is not the name of a Service in a cluster"
        ));
    }
    ask(
        address,
        &format!("/changes?service={namespace}/{name}&limit={limit}"),
    )
}

fn ask<T: DeserializeOwned>(address: SocketAddr, path: &str) -> Result<T, String> {
    let page = proxy::get(address, path).map_err(|problem| problem.to_string())?;
    read(&page).map_err(|problem| format!("the answer to {path} cannot be parsed: {problem}"))
}

fn read<T: DeserializeOwned>(page: &str) -> Result<T, serde_json::Error> {
    serde_json::from_value(safe(serde_json::from_str(page)?))
}

/// Returns `value` with its texts escaped, since any process may listen at the port.
fn safe(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(escaped(&text)),
        Value::Array(items) => items.into_iter().map(safe).collect(),
        Value::Object(fields) => (fields.into_iter())
            .map(|(name, value)| (escaped(&name), safe(value)))
            .collect(),
        other => other,
    }
}
