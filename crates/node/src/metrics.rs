//! The metrics that Prometheus scrapes: kube-proxy's under their own names, and ours, `kubeipvs_…`.
//!
//! Exposed as text 0.0.4, kube-proxy's default. `docs/reference/metrics.md` is made from the same
//! table from which the metrics are registered.
//!
//! Source of names, types, labels and buckets: `pkg/proxy/metrics/metrics.go` and, for `rest_client_…`,
//! `k8s.io/component-base/metrics/prometheus/restclient/metrics.go`, Kubernetes 1.34.

mod comparison;
mod counts;
mod descriptor;
mod descriptors;
mod errno;
mod family;
mod page;
mod process;
mod reports;
mod slis;
mod sources;
#[cfg(test)]
mod tests;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ipvs::AddressFamily;
use model::Code;
use model::cluster::PolicyScope;
use model::names::ObjectName;
use model::tables::WithoutLocal;
use prometheus::core::Collector as _;
use prometheus::{Registry, TextEncoder};

pub use self::counts::{ServerCount, SetCount, TableCounts};
pub use self::descriptor::{Buckets, Descriptor, Kind};
use self::descriptors::Handles;
pub use self::descriptors::{all, names};
pub use self::errno::errno_name;
pub use self::page::page;
use self::process::ProcessCollector;
pub use self::reports::op_name;
use self::slis::Slis;
pub use self::sources::SourceMetrics;
use self::traffic::TrafficCollector;
pub use self::traffic::{
    Traffic, TrafficLabel, TrafficOptions, UnknownLabel, VirtualServerTraffic,
};
use crate::health::{Health, family_name};
use crate::http::Share;
use crate::second_proxy::Sign;
use reconciler::{Column, EntryKey, Trigger};

/// The type of what [`Metrics::text`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The stage of a gate whose feature will end.
const DEPRECATED: &str = "DEPRECATED";

/// Every metric of the daemon. Methods take values, and may be called from any thread.
pub struct Metrics {
    registry: Registry,
    handles: Handles,
    slis: Slis,
    families: BTreeSet<AddressFamily>,
    audited: Mutex<Option<Instant>>,
}

/// The page of the health server that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthPage {
    /// `/healthz`.
    Healthz,
    /// `/livez`.
    Livez,
    /// `/readyz`.
    Readyz,
}

impl HealthPage {
    /// Every page.
    pub const ALL: [Self; 3] = [Self::Healthz, Self::Livez, Self::Readyz];

    /// Its path, without the slash.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthz => "healthz",
            Self::Livez => "livez",
            Self::Readyz => "readyz",
        }
    }
}

/// Changes of the cluster that came since the last word of them, and those that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Changes that came.
    pub came: u64,
    /// Changes that wait now.
    pub pending: usize,
}

impl Metrics {
    /// The metrics of a daemon that serves `families`.
    ///
    /// # Errors
    ///
    /// When two metrics have one name, which is a mistake in the table.
    pub fn new(
        families: BTreeSet<AddressFamily>,
        options: TrafficOptions,
        traffic: Traffic,
        sources: SourceMetrics,
    ) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let handles = Handles::register(&registry)?;
        registry.register(Box::new(ProcessCollector::new()?))?;
        registry.register(Box::new(TrafficCollector::new(options, traffic)?))?;
        registry.register(Box::new(sources.collector()?))?;
        let metrics = Self {
            registry,
            handles,
            slis: Slis::new()?,
            families,
            audited: Mutex::default(),
        };
        metrics.start_at_zero();
        Ok(metrics)
    }

    /// A series that is not there until something fails cannot be seen to rise.
    fn start_at_zero(&self) {
        let handles = &self.handles;
        handles
            .build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        for family in &self.families {
            let family = [family_name(*family)];
            handles.restore_failures.with_label_values(&family);
            handles.sync_duration.with_label_values(&family);
            handles.programming.with_label_values(&family);
            handles.conntrack_deleted.with_label_values(&family);
            handles.conntrack_duration.with_label_values(&family);
        }
        for code in ["200", "503"] {
            handles.healthz.with_label_values(&[code]);
            handles.livez.with_label_values(&[code]);
            handles.readyz.with_label_values(&[code]);
        }
        for code in Code::ALL {
            self.finding(code, 0.0);
        }
        for cause in Trigger::ALL.map(Trigger::name) {
            handles.cause_duration.with_label_values(&[cause]);
            for result in ["ok", "partial"] {
                handles.syncs.with_label_values(&[cause, result]);
            }
        }
        for kind in EntryKey::KINDS {
            set(&handles.failing_entries, &[kind], 0.0);
        }
        for column in Column::ALL {
            set(&handles.failing_readings, &[column.name()], 0.0);
        }
        for sign in Sign::ALL {
            self.second_proxy(sign, false);
        }
        set(&handles.large_services, &[], 0.0);
        set(&handles.waiting_entries, &[], 0.0);
        for result in ["ok", "failed"] {
            handles.config_reloads.with_label_values(&[result]);
        }
        for share in Share::ALL.map(Share::name) {
            set(&handles.connections, &[share], 0.0);
            handles.connections_displaced.with_label_values(&[share]);
            handles.accept_failures.with_label_values(&[share]);
        }
        for counter in [
            &handles.endpoint_changes,
            &handles.service_changes,
            &handles.observe_failures,
            &handles.events_dropped,
        ] {
            none(counter);
        }
        for gauge in [
            &handles.endpoint_changes_pending,
            &handles.service_changes_pending,
            &handles.withheld,
        ] {
            set(gauge, &[], 0.0);
        }
    }

    /// All of it, for Prometheus.
    ///
    /// # Errors
    ///
    /// When a metric cannot be written, which is a mistake in the table.
    pub fn text(&self, now: Instant) -> Result<String, prometheus::Error> {
        let audited = *self.audited.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(audited) = audited {
            let age = now.saturating_duration_since(audited);
            set(&self.handles.audit_age, &[], age.as_secs_f64());
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Sets the version that this proxy stands for in `kubernetes_build_info`: the one that the API server gives (`v1.34.2`), or
    /// the alerts about clusters of mixed versions ring.
    pub fn stands_for(&self, major: &str, minor: &str, git_version: &str) {
        let platform = format!("linux/{}", std::env::consts::ARCH);
        let info = &self.handles.kubernetes_build_info;
        info.reset();
        let labels = [
            major,
            minor,
            git_version,
            "",
            "",
            "",
            "",
            "rustc",
            &platform,
        ];
        set(info, &labels, 1.0);
    }

    /// A synchronisation was asked for.
    pub fn queued(&self, now: SystemTime) {
        for family in &self.families {
            let family = family_name(*family);
            set(&self.handles.last_queued, &[family], unix(now));
        }
    }

    /// A synchronisation ended. `cause` is as in [`Trigger::name`](reconciler::Trigger::name).
    pub fn synced(&self, cause: &str, took: Duration, failed: usize) {
        let handles = &self.handles;
        let result = if failed == 0 { "ok" } else { "partial" };
        handles.syncs.with_label_values(&[cause, result]).inc();
        let seconds = took.as_secs_f64();
        handles
            .cause_duration
            .with_label_values(&[cause])
            .observe(seconds);
        for family in &self.families {
            let family = [family_name(*family)];
            handles
                .sync_duration
                .with_label_values(&family)
                .observe(seconds);
        }
    }

    /// Changes of the cluster were applied, or none waits.
    pub fn settled(&self, now: SystemTime) {
        for family in &self.families {
            set(
                &self.handles.last_synced,
                &[family_name(*family)],
                unix(now),
            );
        }
    }

    /// Sets what `/livez` and `/readyz` depend on.
    pub fn health(&self, health: &Health, now: Instant) {
        let handles = &self.handles;
        let heartbeat = health.heartbeat_age(now).as_secs_f64();
        set(&handles.heartbeat_age, &[], heartbeat);
        set(&handles.backlog, &[], health.backlog() as f64);
        set(
            &handles.backlog_age,
            &[],
            health.backlog_age(now).as_secs_f64(),
        );
        let ready = f64::from(u8::from(health.is_ready()));
        set(&handles.ready, &[], ready);
    }

    /// The whole table was compared with the wanted one.
    pub fn audited(&self, now: Instant) {
        *self.audited.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// A change of a pod or Service is served here, so long after it was made
    /// (`endpoints.kubernetes.io/last-change-trigger-time`).
    pub fn programmed(&self, family: AddressFamily, took: Duration) {
        let programming = &self.handles.programming;
        programming
            .with_label_values(&[family_name(family)])
            .observe(took.as_secs_f64());
    }

    /// Changes of Services and of EndpointSlices.
    pub fn changes(&self, services: Changes, endpoints: Changes) {
        let handles = &self.handles;
        let none: [&str; 0] = [];
        for (changes, came, pending) in [
            (
                services,
                &handles.service_changes,
                &handles.service_changes_pending,
            ),
            (
                endpoints,
                &handles.endpoint_changes,
                &handles.endpoint_changes_pending,
            ),
        ] {
            came.with_label_values(&none).inc_by(changes.came);
            set(pending, &[], changes.pending as f64);
        }
    }

    /// Sets the numbers of Services that have a policy `Local` and no endpoint here.
    pub fn without_local_endpoints(&self, services: &BTreeMap<ObjectName, WithoutLocal>) {
        for family in &self.families {
            for scope in PolicyScope::ALL {
                let here = |without: &&WithoutLocal| without.contains(&(*family, scope));
                let count = services.values().filter(here).count();
                let word = match scope {
                    PolicyScope::Internal => "internal",
                    PolicyScope::External => "external",
                };
                let labels = [family_name(*family), word];
                set(&self.handles.no_local_endpoints, &labels, count as f64);
            }
        }
    }

    /// The health server answered with this status.
    pub fn health_asked(&self, page: HealthPage, status: u16) {
        let counter = match page {
            HealthPage::Healthz => &self.handles.healthz,
            HealthPage::Livez => &self.handles.livez,
            HealthPage::Readyz => &self.handles.readyz,
        };
        counter.with_label_values(&[&status.to_string()]).inc();
        self.slis.asked(page, status);
    }

    /// Sets the number of HTTP connections that may be open at once.
    pub fn connection_limit(&self, share: Share, limit: usize) {
        set(
            &self.handles.connection_limit,
            &[share.name()],
            limit as f64,
        );
    }

    /// Counts an HTTP connection that is open from now on.
    pub fn connection_opened(&self, share: Share) {
        let open = &self.handles.connections;
        open.with_label_values(&[share.name()]).inc();
    }

    /// Counts an HTTP connection that has ended.
    pub fn connection_closed(&self, share: Share) {
        let open = &self.handles.connections;
        open.with_label_values(&[share.name()]).dec();
    }

    /// Counts an HTTP connection that is closed to make room for another one.
    pub fn connection_displaced(&self, share: Share) {
        let displaced = &self.handles.connections_displaced;
        displaced.with_label_values(&[share.name()]).inc();
    }

    /// Counts an HTTP connection that could not be accepted.
    pub fn accept_failed(&self, share: Share) {
        let failures = &self.handles.accept_failures;
        failures.with_label_values(&[share.name()]).inc();
    }

    /// Stale UDP connections of `family` were deleted.
    pub fn conntrack_cleaned(&self, family: AddressFamily, took: Duration, deleted: u64) {
        let family = [family_name(family)];
        let handles = &self.handles;
        handles
            .conntrack_duration
            .with_label_values(&family)
            .observe(took.as_secs_f64());
        handles
            .conntrack_deleted
            .with_label_values(&family)
            .inc_by(deleted);
    }

    /// Virtual servers of others in the table.
    pub fn foreign(&self, virtual_servers: usize) {
        set(&self.handles.foreign, &[], virtual_servers as f64);
    }

    /// Deletions that wait now.
    pub fn withheld(&self, deletions: usize) {
        set(&self.handles.withheld, &[], deletions as f64);
    }

    /// The kernel could not be read.
    pub fn observe_failed(&self) {
        let none: [&str; 0] = [];
        self.handles.observe_failures.with_label_values(&none).inc();
    }

    /// Kubernetes Events were not sent.
    pub fn events_dropped(&self, events: u64) {
        let none: [&str; 0] = [];
        self.handles
            .events_dropped
            .with_label_values(&none)
            .inc_by(events);
    }

    /// A sign of a second program that writes the tables came, or went.
    pub fn second_proxy(&self, sign: Sign, holds: bool) {
        let holds = f64::from(u8::from(holds));
        set(&self.handles.second_proxy, &[sign.name()], holds);
    }

    /// Sets kube-proxy's feature gates that decide something in ipvs mode. `external_ips` is false where no external address is served.
    ///
    /// Source of names and stages: `pkg/features/kube_features.go`, Kubernetes 1.37.
    pub fn features(&self, external_ips: bool) {
        let features = &self.handles.features;
        let external_ips = f64::from(u8::from(external_ips));
        set(
            features,
            &["AllowServiceExternalIPs", DEPRECATED],
            external_ips,
        );
        // kube-ipvsd is the ipvs mode, whatever the gate says.
        set(features, &["KubeProxyIPVS", DEPRECATED], 1.0);
    }

    /// The configuration was read, at the start or again.
    pub fn config_loaded(&self, ok: bool, again: bool, now: SystemTime) {
        let handles = &self.handles;
        if again {
            let result = if ok { "ok" } else { "failed" };
            handles.config_reloads.with_label_values(&[result]).inc();
        }
        set(&handles.config_ok, &[], f64::from(u8::from(ok)));
        if ok {
            set(&handles.config_time, &[], unix(now));
        }
    }

    fn finding(&self, code: Code, change: f64) {
        let labels = [code.as_str(), &code.level().to_string()];
        self.handles.findings.with_label_values(&labels).add(change);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("families", &self.families)
            .field("metrics", &self.handles.sync_duration.desc().len())
            .finish_non_exhaustive()
    }
}

fn set(gauge: &prometheus::GaugeVec, labels: &[&str], value: f64) {
    gauge.with_label_values(labels).set(value);
}

fn none(counter: &prometheus::IntCounterVec) {
    let none: [&str; 0] = [];
    counter.with_label_values(&none);
}

/// Seconds since 1970; zero before.
fn unix(time: SystemTime) -> f64 {
    (time.duration_since(UNIX_EPOCH)).map_or(0.0, |since| since.as_secs_f64())
}
