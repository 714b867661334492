//! Whether the proxy does its work, as load balancers and the kubelet ask it. No IO: time is an argument.
//!
//! Source: `pkg/proxy/healthcheck/proxy_health.go`, Kubernetes 1.34; KEP-3836 (node eligibility).

mod served;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ipvs::AddressFamily;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use self::served::Served;

/// One moment by both clocks: the one that never jumps, for ages, and the one that people read.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For ages.
    pub instant: Instant,
    /// For answers.
    pub time: Timestamp,
}

impl Moment {
    /// The present.
    #[must_use]
    pub fn now() -> Self {
        Self {
            instant: Instant::now(),
            time: Timestamp::now(),
        }
    }

    /// When `then` was, by the clock that people read now.
    fn date(self, then: Instant) -> String {
        let age = self.instant.saturating_duration_since(then);
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        (self.time.checked_sub(age).unwrap_or(Timestamp::MIN)).to_string()
    }
}

/// What is known about the proxy's own work.
#[derive(Clone, Debug)]
pub struct Health {
    families: BTreeMap<AddressFamily, FamilyHealth>,
    /// How long a change may wait.
    patience: Duration,
    node_eligible: bool,
}

#[derive(Clone, Copy, Debug)]
struct FamilyHealth {
    /// The change that has waited for longest.
    oldest_queued: Option<Instant>,
    newest_queued: Option<Instant>,
    updated: Instant,
}

/// As kube-proxy has it (pkg/proxy/healthcheck/proxy_health.go, 1.34).
fn patience(sync_period: Duration) -> Duration {
    sync_period.saturating_mul(2)
}

impl Health {
    /// Healthy at the start: nothing waits, and the node counts as eligible until [`Self::node`] is
    /// called. A change may wait for twice `sync_period`.
    #[must_use]
    pub fn new(
        families: impl IntoIterator<Item = AddressFamily>,
        sync_period: Duration,
        now: Instant,
    ) -> Self {
        let fresh = FamilyHealth {
            oldest_queued: None,
            newest_queued: None,
            updated: now,
        };
        let families = families.into_iter();
        Self {
            families: families.map(|family| (family, fresh)).collect(),
            patience: patience(sync_period),
            node_eligible: true,
        }
    }

    /// From now on a change may wait for twice `sync_period`.
    pub fn set_sync_period(&mut self, sync_period: Duration) {
        self.patience = patience(sync_period);
    }

    /// A change of `family` waits since `now`. A family that the proxy does not serve is left out.
    pub fn queued(&mut self, family: AddressFamily, now: Instant) {
        if let Some(health) = self.families.get_mut(&family) {
            health.oldest_queued.get_or_insert(now);
            health.newest_queued = Some(now);
        }
    }

    /// A change waits since `now` in every family.
    pub fn all_queued(&mut self, now: Instant) {
        let families: Vec<AddressFamily> = self.families.keys().copied().collect();
        for family in families {
            self.queued(family, now);
        }
    }

    /// At `now` the kernel is as it was asked to be at `began`: no change of `family` waits but those that
    /// came later.
    pub fn updated(&mut self, family: AddressFamily, began: Instant, now: Instant) {
        if let Some(health) = self.families.get_mut(&family) {
            let later = health.newest_queued.filter(|newest| *newest > began);
            // Of those that came later, the first came after it began.
            health.oldest_queued = later.and(health.oldest_queued.map(|oldest| oldest.max(began)));
            health.newest_queued = later;
            health.updated = now;
        }
    }

    /// What the API server says of this node; none where it has no Node of this name.
    pub fn node(&mut self, node: Option<NodeHealth>) {
        self.node_eligible = node.is_some_and(NodeHealth::is_eligible);
    }

    /// The answer to `/livez`: whether the proxy does its work.
    #[must_use]
    pub fn livez(&self, now: Moment) -> ProxyHealth {
        let status: BTreeMap<&str, FamilyStatus> = (self.families.iter())
            .map(|(family, health)| (family_name(*family), self.status(*health, now)))
            .collect();
        let healthy = status.values().all(|family| family.healthy);
        let newest = self.families.values().map(|family| family.updated).max();
        ProxyHealth {
            // kube-proxy's, too, is always recent where all is well: some read nothing else.
            last_updated: match newest {
                Some(newest) if !healthy => now.date(newest),
                _ => now.time.to_string(),
            },
            current_time: now.time.to_string(),
            node_eligible: None,
            healthy,
            status,
        }
    }

    /// The answer to `/healthz`: whether load balancers should send new connections to this node.
    #[must_use]
    pub fn healthz(&self, now: Moment) -> ProxyHealth {
        let livez = self.livez(now);
        ProxyHealth {
            node_eligible: Some(self.node_eligible),
            healthy: livez.healthy && self.node_eligible,
            ..livez
        }
    }

    /// Whether the proxy does its work, in one word: what health-check node ports say with their count.
    #[must_use]
    pub fn is_healthy(&self, now: Instant) -> bool {
        (self.families.values()).all(|family| self.is_family_healthy(*family, now))
    }

    fn is_family_healthy(&self, family: FamilyHealth, now: Instant) -> bool {
        (family.oldest_queued)
            .is_none_or(|queued| now.saturating_duration_since(queued) < self.patience)
    }

    fn status(&self, family: FamilyHealth, now: Moment) -> FamilyStatus {
        FamilyStatus {
            last_updated: now.date(family.updated),
            healthy: self.is_family_healthy(family, now.instant),
        }
    }
}

/// What of a Node decides whether load balancers should use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeHealth {
    /// It has a `metadata.deletionTimestamp`.
    pub deleting: bool,
    /// It has a taint with the key [`LEAVING_TAINT`].
    pub leaving: bool,
}

/// The taint by which the cluster autoscaler says that it will delete a node.
pub const LEAVING_TAINT: &str = "ToBeDeletedByClusterAutoscaler";

impl NodeHealth {
    /// Whether the node is here to stay.
    #[must_use]
    pub fn is_eligible(self) -> bool {
        let Self { deleting, leaving } = self;
        !deleting && !leaving
    }
}

/// What the health server says. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyHealth {
    /// When the kernel was last as asked; the present where all is well.
    pub last_updated: String,
    /// The present.
    pub current_time: String,
    /// Whether load balancers should use the node; `/healthz` alone says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_eligible: Option<bool>,
    /// The answer.
    pub healthy: bool,
    /// By family: `IPv4`, `IPv6`.
    pub status: BTreeMap<&'static str, FamilyStatus>,
}

/// The same, of one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FamilyStatus {
    /// When the kernel was last as asked.
    pub last_updated: String,
    /// Whether no change has waited for too long.
    pub healthy: bool,
}

/// The family as Kubernetes writes it.
#[must_use]
pub fn family_name(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Ipv4 => "IPv4",
        AddressFamily::Ipv6 => "IPv6",
    }
}
