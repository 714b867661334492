//! Reads the status of kube-ipvsd from its metrics address.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use model::escaped;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sources::proxy;

use crate::schema::{DaemonDrain, DaemonStatus};

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
