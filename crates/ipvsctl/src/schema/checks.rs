//! Fields of kube-ipvsd's `/healthchecks`.

use std::net::IpAddr;
use std::num::NonZeroU16;

use model::Name;
use model::policy::{CheckTarget, FailedTargets, Probe};
use serde::Deserialize;

/// Targets of health checks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct DaemonChecks {
    targets: Vec<DaemonTarget>,
}

/// A target of a health check.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct DaemonTarget {
    address: IpAddr,
    port: NonZeroU16,
    check: String,
    /// Error with which the target failed; `None` if it is healthy.
    error: Option<String>,
}

impl DaemonChecks {
    /// Returns the targets that fail. A probe that this version does not know has none.
    #[must_use]
    pub fn failed(self) -> FailedTargets {
        let failed = self.targets.into_iter().filter_map(|target| {
            let error = Name::from(target.error?);
            let probe = Probe::parse(&target.check).ok()?;
            let target = CheckTarget {
                address: target.address,
                port: target.port,
                probe,
            };
            Some((target, error))
        });
        failed.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failed_targets_are_read() {
        let page = r#"{"apiVersion": "kube-ipvs.io/v1alpha1", "kind": "HealthChecks", "targets": [
            {"address": "10.1.0.1", "port": 80, "check": "type=tcp, interval=5s", "state": "failed",
             "since": "2026-01-02T03:04:05Z", "error": "connect: connection refused", "services": []},
            {"address": "10.1.0.2", "port": 80, "check": "type=tcp, interval=5s", "state": "healthy"},
            {"address": "10.1.0.3", "port": 80, "check": "type=newer", "error": "no"}]}"#;
        let checks: DaemonChecks = serde_json::from_str(page).expect("a page");
        let failed: Vec<String> = (checks.failed().iter())
            .map(|(target, error)| format!("{target}: {error}"))
            .collect();
        assert_eq!(failed, ["10.1.0.1:80 tcp: connect: connection refused"]);
    }
}
