//! Reports the loop's work to the HTTP servers: metrics, health, health-check node ports.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ipvs::AddressFamily;
use kernel::OpOutcome;
use model::plan::Stage;
use sources::Progress;
use sources::config::{DaemonSettings, Resolved, ServiceMetrics};
use sources::kube::RequestStats;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::Fatal;
use crate::change_log::ChangeLog;
use crate::changes::{Arrival, ProgrammingLatency};
use crate::health::Moment;
use crate::health_checks::ListenOn;
use crate::http::flagz::Flags;
use crate::http::telemetry::{ServeErrors, Settings, Telemetry};
use crate::metrics::{Metrics, TableCounts, Traffic, TrafficOptions};
use crate::probes::Checks;
use crate::run::Observer;
use reconciler::{Reconciler, Report, Trigger};

/// Minimum time between two updates of the unsettled entries on `/statusz`.
const SHOW_PERIOD: Duration = Duration::from_secs(1);

/// Maximum age of the shown unsettled entries while the loop is idle.
const SHOW_LIMIT: Duration = Duration::from_secs(4);

/// Minimum time between two updates of `/owners`. An update copies the owners of all virtual
/// servers.
const OWNERS_PERIOD: Duration = Duration::from_secs(10);

/// The sources whose state the pages show, and the command line.
pub(super) struct Sources {
    /// Progress of the sources.
    pub(super) progress: Progress,
    /// Requests to the API server; `None` if the cluster is read from files. Files may contain no
    /// Nodes, so a missing Node does not make this node ineligible then.
    pub(super) requests: Option<RequestStats>,
    /// Flags of the command line.
    pub(super) flags: Flags,
}

/// Reports to the [`Telemetry`].
pub(super) struct TelemetryObserver {
    telemetry: Telemetry,
    from_cluster: bool,
    /// An audit read the whole kernel since the tables were counted.
    audited: bool,
    /// A sync ended since Services without local endpoints were counted.
    synced: bool,
    /// The state of entries or readings may have changed since it was shown.
    unsettled: bool,
    /// Time of the last update.
    shown: Option<Instant>,
    /// A sync ended since the owners were shown.
    owners_changed: bool,
    /// Time of the last update of the owners.
    owners_shown: Option<Instant>,
    /// Number of ops that failed in syncs since the loop was idle.
    failed: usize,
    changes: ProgrammingLatency,
}

impl TelemetryObserver {
    /// Starts the servers. `config` is the configuration in force, `descriptors` the limit of open
    /// files.
    pub(super) fn start(
        resolved: &Resolved,
        sources: Sources,
        runtime: &Handle,
        stop: &watch::Receiver<bool>,
        config: watch::Receiver<Arc<Resolved>>,
        descriptors: u64,
    ) -> Result<(Self, ServeErrors), Fatal> {
        let from_cluster = sources.requests.is_some();
        let settings = Settings {
            health: resolved.settings.healthz_bind_address,
            metrics: resolved.settings.metrics_bind_address,
            hard_fail: resolved.settings.bind_address_hard_fail,
            families: BTreeSet::from(AddressFamily::ALL),
            sync_period: resolved.node.sync_period,
            progress: sources.progress,
            requests: sources.requests,
            node_name: resolved.node.node_name.clone(),
            traffic: traffic(&resolved.settings),
            config,
            flags: sources.flags,
            descriptors,
        };
        let (telemetry, errors) = Telemetry::start(settings, runtime, stop, Moment::now())?;
        let observer = Self {
            telemetry,
            from_cluster,
            audited: false,
            synced: false,
            unsettled: false,
            shown: None,
            owners_changed: false,
            owners_shown: None,
            failed: 0,
            changes: ProgrammingLatency::new(SystemTime::now()),
        };
        (observer.metrics()).config_loaded(true, false, SystemTime::now());
        Ok((observer, errors))
    }

    /// Returns the metrics, for components beside the loop.
    pub(super) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(self.telemetry.metrics())
    }

    /// Returns the receiver of readings of the kernel's counters.
    pub(super) fn traffic(&self) -> Traffic {
        self.telemetry.traffic().clone()
    }

    /// Returns the log of changes that `/changes` shows.
    pub(super) fn change_log(&self) -> ChangeLog {
        self.telemetry.changes().clone()
    }

    /// Returns the health checks of endpoints that `/healthchecks` shows.
    pub(super) fn probes(&self) -> Checks {
        self.telemetry.probes().clone()
    }

    /// Records that the changes of the first `through` cluster events have been tried.
    fn settle(&mut self, through: u64, now: Moment) {
        self.telemetry.settled(through, now);
        let failed = std::mem::take(&mut self.failed);
        let metrics = self.telemetry.metrics();
        let time = SystemTime::from(now.time);
        for (family, took) in self.changes.applied(through, failed, time) {
            metrics.programmed(family, took);
        }
        let (services, endpoints) = self.changes.counts();
        metrics.changes(services, endpoints);
    }

    /// Updates the unsettled entries and the failing readings: at most once a second while syncs
    /// end or readings fail, else with the heartbeat of the loop.
    fn show_unsettled(&mut self, reconciler: &Reconciler, now: Moment) {
        let wait = if self.unsettled {
            SHOW_PERIOD
        } else {
            SHOW_LIMIT
        };
        let since = |shown| now.instant.saturating_duration_since(shown);
        if self.shown.is_none_or(|shown| since(shown) >= wait) {
            self.unsettled = false;
            self.shown = Some(now.instant);
            self.telemetry.unsettled(reconciler, now);
        }
    }

    /// Updates the owners after syncs, but not often.
    fn show_owners(&mut self, reconciler: &Reconciler, now: Moment) {
        let since = |shown| now.instant.saturating_duration_since(shown);
        let is_due = self
            .owners_shown
            .is_none_or(|shown| since(shown) >= OWNERS_PERIOD);
        if self.owners_changed && is_due && reconciler.has_synced() {
            self.owners_changed = false;
            self.owners_shown = Some(now.instant);
            self.telemetry.owners(&reconciler.desired().owners);
        }
    }

    fn count_tables(&self, reconciler: &Reconciler) {
        let Some(live) = reconciler.live() else {
            return;
        };
        let foreign: BTreeSet<_> = reconciler.foreign().collect();
        let counts = if foreign.is_empty() {
            TableCounts::of(&live.tables)
        } else {
            let mut ours = live.tables.clone();
            ours.virtual_servers.retain(|key, _| !foreign.contains(key));
            TableCounts::of(&ours)
        };
        self.telemetry.counted(&counts, foreign.len());
    }
}

/// Returns the options of the traffic metrics that the configuration enables.
fn traffic(settings: &DaemonSettings) -> TrafficOptions {
    let (services, endpoints) = match settings.service_metrics {
        ServiceMetrics::Off => (false, false),
        ServiceMetrics::Service => (true, false),
        ServiceMetrics::Endpoint => (true, true),
    };
    let services = services.then_some(TrafficOptions::SERVICE_LABELS);
    let endpoints = endpoints.then_some(TrafficOptions::ENDPOINT_LABELS);
    TrafficOptions {
        services: services.into_iter().flatten().collect(),
        endpoints: endpoints.into_iter().flatten().collect(),
        limit: usize::try_from(settings.service_metrics_limit).unwrap_or(usize::MAX),
    }
}

impl Observer for TelemetryObserver {
    fn queued(&mut self, arrival: &Arrival, changed: bool, now: Moment) {
        if changed {
            self.telemetry.queued(SystemTime::from(now.time));
        }
        self.changes.received(arrival, changed);
    }

    fn reported(&mut self, report: &Report, now: Moment) {
        self.telemetry.observe(report, now);
        self.unsettled |= matches!(report, Report::Synced { .. } | Report::ObserveFailed(_));
        if let Report::Synced {
            trigger, failed, ..
        } = report
        {
            self.failed += failed;
            self.synced = true;
            self.owners_changed = true;
            self.audited |= *trigger == Trigger::Audit;
        }
    }

    fn applied(&mut self, stage: &Stage, outcomes: &[OpOutcome]) {
        self.telemetry.applied(stage, outcomes);
    }

    fn alive(&mut self, now: Instant) {
        self.telemetry.alive(now);
    }

    fn idle(&mut self, reconciler: &Reconciler, now: Moment) {
        self.settle(reconciler.applied(), now);
        if reconciler.has_synced() {
            self.telemetry.synced();
        }
        let missing = reconciler.missing_family().map(|missing| missing.family);
        let served = AddressFamily::ALL.into_iter();
        (self.telemetry).set_families(served.filter(|family| Some(*family) != missing));
        self.telemetry
            .set_sync_period(reconciler.config().sync_period);
        let listen_on = match reconciler.node_port_addresses() {
            None => ListenOn::Everywhere,
            Some(addresses) => ListenOn::Addresses(addresses.clone()),
        };
        let audited = std::mem::take(&mut self.audited);
        (self.telemetry).health_checks(&listen_on, &reconciler.desired().health_checks, audited);
        self.show_unsettled(reconciler, now);
        self.show_owners(reconciler, now);
        self.telemetry.slow_starts(reconciler);
        if self.from_cluster && reconciler.cluster().is_complete() {
            let eligible = (reconciler.cluster()).node_eligible(&reconciler.config().node_name);
            self.telemetry.set_node_eligible(eligible);
        }
        if std::mem::take(&mut self.synced) {
            let without_local = &reconciler.desired().without_local_endpoints;
            (self.telemetry.metrics()).without_local_endpoints(without_local);
            if let Some(live) = reconciler.live() {
                let wanted = &reconciler.desired().tables;
                (self.telemetry.metrics()).sync_daemons(wanted, &live.tables);
            }
        }
        if audited {
            self.count_tables(reconciler);
        }
    }
}
