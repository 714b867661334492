//! The status of kube-ipvsd, asked at its metrics address.

use std::net::SocketAddr;

use serde::de::DeserializeOwned;
use sources::proxy;

use crate::schema::{DaemonDrain, DaemonStatus};

/// Returns its status.
///
/// # Errors
///
/// In words: it does not answer, or is kube-proxy.
pub fn status(address: SocketAddr) -> Result<DaemonStatus, String> {
    ask(address, "/statusz?format=json")
}

/// Returns the drains.
///
/// # Errors
///
/// As [`status`].
pub fn drains(address: SocketAddr) -> Result<Vec<DaemonDrain>, String> {
    ask(address, "/drains")
}

fn ask<T: DeserializeOwned>(address: SocketAddr, path: &str) -> Result<T, String> {
    let page = proxy::get(address, path).map_err(|problem| problem.to_string())?;
    serde_json::from_str(&page).map_err(|problem| format!("it is not understood: {problem}"))
}
