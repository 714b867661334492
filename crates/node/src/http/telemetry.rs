//! One interface to everything that the daemon serves over HTTP. The loop reports to it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime};

use ipvs::AddressFamily;
use kernel::OpOutcome;
use model::Owners;
use model::frontend::HealthCheck;
use model::names::{Name, ObjectName};
use model::plan::Stage;
use sources::Progress;
use sources::config::Resolved;
use sources::kube::RequestStats;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::flagz::Flags;
use super::metrics_pages::Pages;
use super::owners_page::OwnersPage;
use super::slow_starts_page::SlowStartsPage;
use super::status::Status;
use super::{BindError, ConnectionPool, Handler, Server, Share, health_pages, metrics_pages};
use crate::change_log::ChangeLog;
use crate::health::{Health, Moment};
use crate::health_checks::{self, ListenFailure, ListenOn, Wanted};
use crate::metrics::{Metrics, SourceMetrics, TableCounts, Traffic, TrafficOptions};
use crate::probes::Checks;
use reconciler::{Reconciler, Report};

/// Settings of the servers and contents of their pages.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `healthzBindAddress`; `None` disables the health server.
    pub health: Option<SocketAddr>,
    /// `metricsBindAddress`; `None` disables the metrics server.
    pub metrics: Option<SocketAddr>,
    /// `bindAddressHardFail`.
    pub hard_fail: bool,
    /// Families that the proxy serves.
    pub families: BTreeSet<AddressFamily>,
    /// Sync period. The proxy is unhealthy when a change waits for more than twice this time.
    pub sync_period: Duration,
    /// Progress of the sources.
    pub progress: Progress,
    /// Requests to the API server; `None` if the cluster is read from files.
    pub requests: Option<RequestStats>,
    /// Name of the Node object.
    pub node_name: Name,
    /// Options of the traffic metrics.
    pub traffic: TrafficOptions,
    /// Configuration in force.
    pub config: watch::Receiver<Arc<Resolved>>,
    /// Command line, for `/flagz`.
    pub flags: Flags,
    /// Limit of open files of the process (`RLIMIT_NOFILE`). Connections get a part of it.
    pub descriptors: u64,
}

/// Maximum number of errors of servers, and of health-check ports, that wait to be logged. Further
/// errors are dropped; the next attempt reports them again.
const ERRORS: usize = 64;

/// The servers and the data that they show.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Arc<Metrics>,
    health: Arc<Mutex<Health>>,
    status: Arc<RwLock<Status>>,
    traffic: Traffic,
    changes: ChangeLog,
    owners: OwnersPage,
    slow_starts: SlowStartsPage,
    probes: Checks,
    checks: watch::Sender<Arc<Wanted>>,
}

/// Errors of the servers.
#[derive(Debug)]
pub struct ServeErrors {
    /// Addresses that could not be bound with `hard_fail`. They end the daemon.
    pub fatal: mpsc::Receiver<BindError>,
    /// Addresses that could not be bound and are tried again. Each is reported once.
    pub refused: mpsc::Receiver<BindError>,
    /// Health-check node ports that could not be opened.
    pub checks: mpsc::Receiver<ListenFailure>,
}

impl Telemetry {
    /// Starts the servers and the health-check node ports. The servers end when `stop` is true, the
    /// health-check node ports when the returned value is dropped.
    ///
    /// # Errors
    ///
    /// The table of metrics is invalid.
    pub fn start(
        settings: Settings,
        runtime: &Handle,
        stop: &watch::Receiver<bool>,
        now: Moment,
    ) -> Result<(Self, ServeErrors), prometheus::Error> {
        let Settings {
            health: health_address,
            metrics: metrics_address,
            hard_fail,
            families,
            sync_period,
            progress,
            requests,
            node_name,
            traffic: options,
            config,
            flags,
            descriptors,
        } = settings;
        let traffic = Traffic::default();
        let sources = SourceMetrics {
            statuses: progress.statuses.clone(),
            requests,
        };
        let health = Health::new(families.iter().copied(), sync_period, progress, now.instant);
        let metrics = Metrics::new(families, options, traffic.clone(), sources)?;
        let status = Status {
            version: crate::VERSION.to_owned(),
            node_name: node_name.to_string(),
            started: now.time.to_string(),
            ..Status::default()
        };
        let (checks, wanted) = watch::channel(Arc::default());
        let telemetry = Self {
            metrics: Arc::new(metrics),
            health: Arc::new(Mutex::new(health)),
            status: Arc::new(RwLock::new(status)),
            traffic,
            changes: ChangeLog::default(),
            owners: OwnersPage::default(),
            slow_starts: SlowStartsPage::default(),
            probes: Checks::default(),
            checks,
        };
        let [health_pool, common_pool] = Share::ALL.map(|share| {
            let limit = share.limit(descriptors);
            ConnectionPool::new(share, limit, Arc::clone(&telemetry.metrics))
        });
        let (failed, fatal) = mpsc::channel(ERRORS);
        let (to_refused, refused) = mpsc::channel(ERRORS);
        for (name, address, handler, pool) in [
            (
                "proxy health server",
                health_address,
                telemetry.health_pages(),
                health_pool,
            ),
            (
                "metrics server",
                metrics_address,
                telemetry.metrics_pages(config, flags),
                common_pool.clone(),
            ),
        ] {
            if let Some(address) = address {
                let server = Server::new(name, address, hard_fail);
                let running = server.run(handler, pool, stop.clone(), to_refused.clone());
                runtime.spawn(watch_over(running, failed.clone()));
            }
        }
        let (failed, checks) = mpsc::channel(ERRORS);
        runtime.spawn(health_checks::run(
            wanted,
            telemetry.proxy_healthy(),
            common_pool,
            health_checks::max_listeners(descriptors),
            failed,
        ));
        let errors = ServeErrors {
            fatal,
            refused,
            checks,
        };
        Ok((telemetry, errors))
    }

    fn health_pages(&self) -> Handler {
        health_pages::handler(Arc::clone(&self.health), Arc::clone(&self.metrics))
    }

    fn metrics_pages(&self, config: watch::Receiver<Arc<Resolved>>, flags: Flags) -> Handler {
        metrics_pages::handler(Pages {
            metrics: Arc::clone(&self.metrics),
            health: Arc::clone(&self.health),
            status: Arc::clone(&self.status),
            changes: self.changes.clone(),
            owners: self.owners.clone(),
            slow_starts: self.slow_starts.clone(),
            checks: self.probes.clone(),
            config,
            flags: Arc::new(flags),
        })
    }

    fn proxy_healthy(&self) -> health_checks::ProxyHealthy {
        let health = Arc::clone(&self.health);
        Arc::new(move || {
            let health = health.lock().unwrap_or_else(PoisonError::into_inner);
            health.is_healthy(Instant::now())
        })
    }

    /// Returns the metrics, for values that are in no report.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Returns the receiver of readings of the kernel's counters.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Returns the log of changes that `/changes` shows.
    #[must_use]
    pub fn changes(&self) -> &ChangeLog {
        &self.changes
    }

    /// Returns the health checks of endpoints that `/healthchecks` shows.
    #[must_use]
    pub fn probes(&self) -> &Checks {
        &self.probes
    }

    /// Records a cluster event that changes something.
    pub fn queued(&self, now: SystemTime) {
        self.metrics.queued(now);
    }

    /// Records a heartbeat of the loop.
    pub fn alive(&self, now: Instant) {
        self.health_mut().alive(now);
    }

    /// Records that the changes of the first `through` cluster events have been tried.
    pub fn settled(&self, through: u64, now: Moment) {
        if self.health_mut().applied(through, now.instant) {
            self.metrics.settled(SystemTime::from(now.time));
        }
    }

    /// Sets the families that the health pages show.
    pub fn set_families(&self, families: impl IntoIterator<Item = AddressFamily>) {
        self.health_mut().set_families(families);
    }

    /// Records that the first sync has ended.
    pub fn synced(&self) {
        self.health_mut().synced();
    }

    /// Shows a report of the reconciler.
    pub fn observe(&self, report: &Report, now: Moment) {
        self.metrics.observe(report, now);
        self.status_mut().observe(report, now);
    }

    /// Records the outcomes of the ops of `stage`, in the same order.
    pub fn applied(&self, stage: &Stage, outcomes: &[OpOutcome]) {
        self.metrics.applied(stage, outcomes);
    }

    /// Sets the sizes of our tables and the number of foreign virtual servers.
    pub fn counted(&self, counts: &TableCounts, foreign: usize) {
        self.metrics.counted(counts);
        self.metrics.foreign(foreign);
        let mut status = self.status_mut();
        status.counted(counts);
        status.counts.foreign_virtual_servers = foreign;
    }

    /// Updates the entries that drain, fail or wait, and the failing readings. The cost grows with
    /// their number.
    pub fn unsettled(&self, reconciler: &Reconciler, now: Moment) {
        self.metrics.unsettled(reconciler);
        self.status_mut().unsettled(reconciler, now);
    }

    /// Shows the owners of virtual servers.
    pub fn owners(&self, owners: &Owners) {
        self.owners.show(owners);
    }

    /// Shows the slow starts, from which the weights of real servers follow.
    pub fn slow_starts(&self, reconciler: &Reconciler) {
        self.slow_starts.show(reconciler);
    }

    /// Sets whether load balancers may send new connections to this node.
    pub fn set_node_eligible(&self, eligible: bool) {
        self.health_mut().set_node_eligible(eligible);
    }

    /// Sets the health checks to answer. Ports that could not be opened are tried again when a
    /// health check changes, and with `retry`.
    pub fn health_checks(
        &self,
        listen_on: &ListenOn,
        checks: &BTreeMap<ObjectName, HealthCheck>,
        retry: bool,
    ) {
        self.checks.send_if_modified(|wanted| {
            let same = wanted.listen_on == *listen_on && wanted.checks == *checks;
            if !same {
                *wanted = Arc::new(Wanted {
                    listen_on: listen_on.clone(),
                    checks: checks.clone(),
                });
            }
            retry || !same
        });
        self.status_mut().counts.health_checks = checks.len();
    }

    /// Sets the sync period, from which the limits of health are computed.
    pub fn set_sync_period(&self, sync_period: Duration) {
        self.health_mut().set_sync_period(sync_period);
    }

    fn health_mut(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status_mut(&self) -> RwLockWriteGuard<'_, Status> {
        self.status.write().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn watch_over(
    running: impl Future<Output = Result<(), BindError>>,
    failed: mpsc::Sender<BindError>,
) {
    if let Err(error) = running.await {
        // The receiver is dropped only when the daemon is about to end.
        let _ = failed.try_send(error);
    }
}
