//! Reads the status of kube-ipvsd from its metrics address.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ipvs::VirtualServerKey;
use model::policy::FailedTargets;
use model::{ObjectName, ServicePortName, escaped};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sources::proxy;

use crate::schema::{
    DaemonChanges, DaemonChecks, DaemonDrain, DaemonOwners, DaemonSlowStarts, DaemonStatus,
};

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
pub fn last_changes(
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

/// Returns the Service ports that own virtual servers, by their keys.
///
/// # Errors
///
/// As [`status`].
pub fn owners(
    address: SocketAddr,
) -> Result<BTreeMap<VirtualServerKey, Arc<ServicePortName>>, String> {
    ask::<DaemonOwners>(address, "/owners").map(DaemonOwners::by_key)
}

/// Returns the targets of health checks that fail.
///
/// # Errors
///
/// As [`status`].
pub fn failed_targets(address: SocketAddr) -> Result<FailedTargets, String> {
    ask::<DaemonChecks>(address, "/healthchecks").map(DaemonChecks::failed)
}

/// Returns the real servers in a slow start.
///
/// # Errors
///
/// As [`status`].
pub fn slow_starts(address: SocketAddr) -> Result<DaemonSlowStarts, String> {
    ask(address, "/slowstarts")
}

/// Returns the changes that kube-ipvsd made after the one with the number `since`, or no changes
/// and the number of the last one.
///
/// # Errors
///
/// As [`status`].
pub fn changes(address: SocketAddr, since: Option<u64>) -> Result<DaemonChanges, String> {
    match since {
        Some(number) => ask(address, &format!("/changes?since={number}")),
        None => ask(address, "/changes?limit=0"),
    }
}

/// Returns the number of changes by other programs that kube-ipvsd has reverted since its start.
///
/// # Errors
///
/// The program at `address` does not answer. The error is a text.
pub fn drift_repaired(address: SocketAddr) -> Result<u64, String> {
    let page = proxy::get(address, "/metrics").map_err(|problem| problem.to_string())?;
    Ok(sum(&page, "kubeipvs_drift_repaired_total"))
}

/// Returns the sum of all series of the counter `name` on a metrics page. Ignores other lines.
fn sum(page: &str, name: &str) -> u64 {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let is_series = rest.starts_with(['{', ' ']);
        let value = rest.rsplit(' ').next().filter(|_| is_series)?;
        value.parse::<u64>().ok()
    });
    values.fold(0, u64::saturating_add)
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
