//! Liveness and readiness of the proxy for load balancers and the kubelet. No IO: time is an
//! argument.
//!
//! Source: `pkg/proxy/healthcheck/proxy_health.go`, Kubernetes 1.34; KEP-3836 (node eligibility).
//! Deviation D21 describes how `/livez` differs.

mod moment;
mod ready;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ipvs::AddressFamily;
use serde::Serialize;
use sources::Progress;

pub use self::moment::Moment;
pub use self::ready::{Readiness, SourceErrorReport, SourceReport};

/// Lower bound of the limit on the heartbeat's age. The longest single call of the kernel is a
/// child process with a deadline of 25 s.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// Health of the proxy: the heartbeat of its loop and the age of the oldest unapplied event.
#[derive(Clone, Debug)]
pub struct Health {
    families: Vec<AddressFamily>,
    sync_period: Duration,
    progress: Progress,
    /// Last heartbeat of the loop.
    alive: Instant,
    /// Last time at which the loop applied changes or had none to apply.
    updated: Instant,
    /// The first sync has ended.
    synced: bool,
    node_eligible: bool,
}

impl Health {
    /// Returns the state of a proxy that is healthy at `now`. The node counts as eligible until
    /// [`Self::node`] is called.
    #[must_use]
    pub fn new(
        families: impl IntoIterator<Item = AddressFamily>,
        sync_period: Duration,
        progress: Progress,
        now: Instant,
    ) -> Self {
        Self {
            families: families.into_iter().collect(),
            sync_period,
            progress,
            alive: now,
            updated: now,
            synced: false,
            node_eligible: true,
        }
    }

    /// Sets the period from which both limits are computed.
    pub fn set_sync_period(&mut self, sync_period: Duration) {
        self.sync_period = sync_period;
    }

    /// Records a heartbeat of the loop.
    pub fn alive(&mut self, now: Instant) {
        self.alive = self.alive.max(now);
    }

    /// Records that the loop has tried the changes of the first `through` cluster events. Returns
    /// true if the tables are newer than before: some of these events were pending until now, or no
    /// event is pending.
    pub fn applied(&mut self, through: u64, now: Instant) -> bool {
        let backlog = &self.progress.backlog;
        let newer = backlog.applied(through) || backlog.is_empty();
        if newer {
            self.updated = now;
        }
        newer
    }

    /// Records that the first sync has ended, with or without failures.
    pub fn synced(&mut self) {
        self.synced = true;
    }

    /// Sets whether load balancers may send new connections to this node
    /// ([`ClusterState::node_eligible`](model::ClusterState::node_eligible)).
    pub fn set_node_eligible(&mut self, eligible: bool) {
        self.node_eligible = eligible;
    }

    /// Sets the families that the node serves.
    pub fn set_families(&mut self, families: impl IntoIterator<Item = AddressFamily>) {
        self.families.clear();
        self.families.extend(families);
    }

    /// Returns the age of the loop's last heartbeat.
    #[must_use]
    pub fn heartbeat_age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.alive)
    }

    /// Returns the age of the oldest cluster event that is not applied, or zero without one.
    #[must_use]
    pub fn backlog_age(&self, now: Instant) -> Duration {
        let oldest = self.progress.backlog.oldest();
        oldest.map_or(Duration::ZERO, |sent| now.saturating_duration_since(sent))
    }

    /// Returns the number of cluster events that are not applied.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.progress.backlog.len()
    }

    /// Returns true if the loop runs and no event waits for too long. `/livez` and health-check
    /// node ports report this value.
    #[must_use]
    pub fn is_healthy(&self, now: Instant) -> bool {
        // kube-proxy's limit (proxy_health.go).
        let late = self.sync_period.saturating_mul(2);
        self.heartbeat_age(now) <= late.max(LONGEST_SILENCE) && self.backlog_age(now) <= late
    }

    /// Returns the answer to `/livez`.
    #[must_use]
    pub fn livez(&self, now: Moment) -> ProxyHealth {
        let healthy = self.is_healthy(now.instant);
        let updated = now.date(self.updated);
        let family = |family: &AddressFamily| {
            let status = FamilyStatus {
                last_updated: updated.clone(),
                healthy,
            };
            (family_name(*family), status)
        };
        ProxyHealth {
            // As in kube-proxy: some clients read only this field.
            last_updated: if healthy {
                now.time.to_string()
            } else {
                updated.clone()
            },
            current_time: now.time.to_string(),
            node_eligible: None,
            healthy,
            status: self.families.iter().map(family).collect(),
        }
    }

    /// Returns the answer to `/healthz`: whether load balancers should send new connections to this
    /// node.
    #[must_use]
    pub fn healthz(&self, now: Moment) -> ProxyHealth {
        let livez = self.livez(now);
        ProxyHealth {
            node_eligible: Some(self.node_eligible),
            healthy: livez.healthy && self.node_eligible,
            ..livez
        }
    }

    /// Returns the answer to `/readyz`.
    #[must_use]
    pub fn readyz(&self, now: Moment) -> Readiness {
        Readiness::new(&self.progress.statuses, self.synced, now)
    }

    /// Returns the state of every source by name.
    #[must_use]
    pub fn sources(&self) -> BTreeMap<&'static str, SourceReport> {
        SourceReport::all(&self.progress.statuses)
    }

    /// Returns true once every source has delivered a full list and the first sync has ended. It
    /// stays true.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.synced && self.progress.statuses.have_listed()
    }
}

/// Answer of `/livez` and `/healthz`. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyHealth {
    /// Last time at which changes were applied or none was pending; the current time if healthy.
    pub last_updated: String,
    /// Current time.
    pub current_time: String,
    /// True if load balancers should use the node; only in `/healthz`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_eligible: Option<bool>,
    /// Result of the check.
    pub healthy: bool,
    /// State by family: `IPv4`, `IPv6`. One loop serves both, so the states are equal.
    pub status: BTreeMap<&'static str, FamilyStatus>,
}

/// State of one family in [`ProxyHealth`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FamilyStatus {
    /// Last time at which changes were applied or none was pending.
    pub last_updated: String,
    /// True if the loop runs and no change waits for too long.
    pub healthy: bool,
}

/// Returns the family in Kubernetes' spelling.
#[must_use]
pub fn family_name(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Ipv4 => "IPv4",
        AddressFamily::Ipv6 => "IPv6",
    }
}
