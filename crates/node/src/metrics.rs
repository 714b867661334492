//! Metrics for Prometheus: kube-proxy's metrics under their own names, and our metrics
//! `kubeipvs_…`.
//!
//! They are exposed as text 0.0.4, kube-proxy's default. The metrics are registered from the same
//! table from which `docs/reference/metrics.md` is generated.
//!
//! Source of names, types, labels and buckets: `pkg/proxy/metrics/metrics.go` and, for
//! `rest_client_…`, `k8s.io/component-base/metrics/prometheus/restclient/metrics.go`, Kubernetes
//! 1.34.

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

use ipvs::{AddressFamily, SyncRole};
use model::Code;
use model::cluster::PolicyScope;
use model::names::ObjectName;
use model::policy::ProbeKind;
use model::tables::{NodeTables, WithoutLocal};
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
use crate::probes::Outcome;
use crate::second_proxy::Sign;
use reconciler::{Column, EntryKey, Trigger};

/// Content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Stage of feature gates that will be removed.
const DEPRECATED: &str = "DEPRECATED";

/// All metrics of the daemon. The methods may be called from any thread.
pub struct Metrics {
    registry: Registry,
    handles: Handles,
    slis: Slis,
    families: BTreeSet<AddressFamily>,
    audited: Mutex<Option<Instant>>,
}

/// A page of the health server.
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

    /// Returns the path without the slash.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthz => "healthz",
            Self::Livez => "livez",
            Self::Readyz => "readyz",
        }
    }
}

/// Numbers of changes of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Changes since the last report.
    pub received: u64,
    /// Changes that are not applied yet.
    pub pending: usize,
}

impl Metrics {
    /// Returns the metrics of a daemon that serves `families`.
    ///
    /// # Errors
    ///
    /// Two metrics have the same name, which is a bug in the table.
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

    /// Creates the series at start, so that `rate()` sees the first increment.
    fn start_at_zero(&self) {
        let handles = &self.handles;
        handles
            .build_info
            .with_label_values(&[crate::VERSION])
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
        self.sync_daemons(&NodeTables::default(), &NodeTables::default());
        self.check_targets(0, 0);
        for kind in ProbeKind::NAMES {
            for outcome in Outcome::NAMES {
                handles.check_probes.with_label_values(&[kind, outcome]);
            }
            handles.check_duration.with_label_values(&[kind]);
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
            &handles.check_late,
            &handles.slow_starts_skipped,
        ] {
            none(counter);
        }
        for gauge in [
            &handles.endpoint_changes_pending,
            &handles.service_changes_pending,
            &handles.withheld,
            &handles.slow_starts,
        ] {
            set(gauge, &[], 0.0);
        }
    }

    /// Returns the page `/metrics`.
    ///
    /// # Errors
    ///
    /// A metric cannot be encoded, which is a bug in the table.
    pub fn text(&self, now: Instant) -> Result<String, prometheus::Error> {
        let audited = *self.audited.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(audited) = audited {
            let age = now.saturating_duration_since(audited);
            set(&self.handles.audit_age, &[], age.as_secs_f64());
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Sets the version in `kubernetes_build_info` to that of the API server (`v1.34.2`). Any other
    /// version would trigger alerts about clusters with mixed versions.
    pub fn set_kubernetes_version(&self, major: &str, minor: &str, git_version: &str) {
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

    /// Records that a sync was requested.
    pub fn queued(&self, now: SystemTime) {
        for family in &self.families {
            let family = family_name(*family);
            set(&self.handles.last_queued, &[family], unix(now));
        }
    }

    /// Records the end of a sync. `cause` is a [`Trigger::name`](reconciler::Trigger::name).
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

    /// Records that changes of the cluster were applied or that none is pending.
    pub fn settled(&self, now: SystemTime) {
        for family in &self.families {
            set(
                &self.handles.last_synced,
                &[family_name(*family)],
                unix(now),
            );
        }
    }

    /// Sets the values on which `/livez` and `/readyz` depend.
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

    /// Records that all tables of the kernel were compared with the desired ones.
    pub fn audited(&self, now: Instant) {
        *self.audited.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Records the time from a change of a pod or Service
    /// (`endpoints.kubernetes.io/last-change-trigger-time`) until this node serves it.
    pub fn programmed(&self, family: AddressFamily, took: Duration) {
        let programming = &self.handles.programming;
        programming
            .with_label_values(&[family_name(family)])
            .observe(took.as_secs_f64());
    }

    /// Counts changes of Services and of EndpointSlices.
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
            came.with_label_values(&none).inc_by(changes.received);
            set(pending, &[], changes.pending as f64);
        }
    }

    /// Sets the numbers of Services with a traffic policy `Local` and no local endpoint.
    pub fn without_local_endpoints(&self, services: &BTreeMap<ObjectName, WithoutLocal>) {
        for family in &self.families {
            for scope in PolicyScope::ALL {
                let here = |without: &&WithoutLocal| without.contains(&(*family, scope));
                let count = services.values().filter(here).count();
                let policy = match scope {
                    PolicyScope::Internal => "internal",
                    PolicyScope::External => "external",
                };
                let labels = [family_name(*family), policy];
                set(&self.handles.no_local_endpoints, &labels, count as f64);
            }
        }
    }

    /// Counts an answer of the health server.
    pub fn health_asked(&self, page: HealthPage, status: u16) {
        let counter = match page {
            HealthPage::Healthz => &self.handles.healthz,
            HealthPage::Livez => &self.handles.livez,
            HealthPage::Readyz => &self.handles.readyz,
        };
        counter.with_label_values(&[&status.to_string()]).inc();
        self.slis.asked(page, status);
    }

    /// Sets the limit of open HTTP connections.
    pub fn connection_limit(&self, share: Share, limit: usize) {
        set(
            &self.handles.connection_limit,
            &[share.name()],
            limit as f64,
        );
    }

    /// Counts a new HTTP connection.
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

    /// Records one deletion of stale UDP connections of `family`.
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

    /// Sets the wanted and the running synchronisation daemons.
    pub fn sync_daemons(&self, wanted: &NodeTables, running: &NodeTables) {
        for role in [SyncRole::Master, SyncRole::Backup] {
            for (state, tables) in [("wanted", wanted), ("running", running)] {
                let count = u8::from(tables.sync_daemons.contains_key(&role));
                let labels = [&*role.to_string(), state];
                set(&self.handles.sync_daemons, &labels, count.into());
            }
        }
    }

    /// Sets the number of foreign virtual servers.
    pub fn foreign(&self, virtual_servers: usize) {
        set(&self.handles.foreign, &[], virtual_servers as f64);
    }

    /// Sets the number of deletions that wait.
    pub fn withheld(&self, deletions: usize) {
        set(&self.handles.withheld, &[], deletions as f64);
    }

    /// Counts a failed reading of the kernel.
    pub fn observe_failed(&self) {
        let none: [&str; 0] = [];
        self.handles.observe_failures.with_label_values(&none).inc();
    }

    /// Counts Kubernetes Events that were not sent.
    pub fn events_dropped(&self, events: u64) {
        let none: [&str; 0] = [];
        self.handles
            .events_dropped
            .with_label_values(&none)
            .inc_by(events);
    }

    /// Sets or clears a sign of another program that writes the tables.
    pub fn second_proxy(&self, sign: Sign, holds: bool) {
        let holds = f64::from(u8::from(holds));
        set(&self.handles.second_proxy, &[sign.name()], holds);
    }

    /// Sets the numbers of targets of health checks.
    pub fn check_targets(&self, healthy: usize, failed: usize) {
        let targets = &self.handles.check_targets;
        set(targets, &["healthy"], healthy as f64);
        set(targets, &["failed"], failed as f64);
    }

    /// Counts a probe of this kind with the name of its [`Outcome`](crate::probes::Outcome).
    pub fn probed(&self, kind: &str, outcome: &str, took: Duration) {
        let handles = &self.handles;
        (handles.check_probes.with_label_values(&[kind, outcome])).inc();
        let duration = handles.check_duration.with_label_values(&[kind]);
        duration.observe(took.as_secs_f64());
    }

    /// Counts a probe that started late.
    pub fn probe_late(&self) {
        let none: [&str; 0] = [];
        self.handles.check_late.with_label_values(&none).inc();
    }

    /// Sets kube-proxy's feature gates that have an effect in ipvs mode. `external_ips` is false if
    /// no external address is served.
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
        // kube-ipvsd always runs in the ipvs mode.
        set(features, &["KubeProxyIPVS", DEPRECATED], 1.0);
    }

    /// Records a reading of the configuration: the first one, or with `again` a later one.
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

/// Returns Unix time in seconds, or zero for earlier times.
fn unix(time: SystemTime) -> f64 {
    (time.duration_since(UNIX_EPOCH)).map_or(0.0, |since| since.as_secs_f64())
}
