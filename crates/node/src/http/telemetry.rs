//! Everything that the daemon serves over HTTP, in one piece; the loop reports to it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime};

use ipvs::AddressFamily;
use kernel::OpOutcome;
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
use super::status::Status;
use super::{BindError, ConnectionPool, Handler, Server, Share, health_pages, metrics_pages};
use crate::health::{Health, Moment, NodeHealth};
use crate::health_checks::{self, ListenFailure, ListenOn, Wanted};
use crate::metrics::{Metrics, SourceMetrics, TableCounts, Traffic, TrafficOptions};
use reconciler::{Reconciler, Report};

/// The pages that are served, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `healthzBindAddress`; none serves no health.
    pub health: Option<SocketAddr>,
    /// `metricsBindAddress`; none serves no metrics.
    pub metrics: Option<SocketAddr>,
    /// `bindAddressHardFail`.
    pub hard_fail: bool,
    /// The families that the proxy serves.
    pub families: BTreeSet<AddressFamily>,
    /// A change that waits for twice as long is not healthy.
    pub sync_period: Duration,
    /// Progress of the sources.
    pub progress: Progress,
    /// Requests to the API server; `None` if the cluster comes from files.
    pub requests: Option<RequestStats>,
    /// The node's name in Kubernetes.
    pub node_name: Name,
    /// The figures of traffic that are shown.
    pub traffic: TrafficOptions,
    /// The configuration in force.
    pub config: watch::Receiver<Arc<Resolved>>,
    /// The command line, for `/flagz`.
    pub flags: Flags,
    /// Number of files that the process may have open (`RLIMIT_NOFILE`). Connections get a part of it.
    pub descriptors: u64,
}

/// Maximum number of errors of servers, and of health-check ports, that wait to be logged. More are dropped:
/// each is tried again and fails again.
const ERRORS: usize = 64;

/// The servers, and what they show.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Arc<Metrics>,
    health: Arc<Mutex<Health>>,
    status: Arc<RwLock<Status>>,
    traffic: Traffic,
    checks: watch::Sender<Arc<Wanted>>,
}

/// Errors of the servers.
#[derive(Debug)]
pub struct ServeErrors {
    /// Addresses that could not be bound where this ends the daemon.
    pub fatal: mpsc::Receiver<BindError>,
    /// Addresses that could not be bound and are tried again; each once.
    pub refused: mpsc::Receiver<BindError>,
    /// Health-check node ports that could not be opened.
    pub checks: mpsc::Receiver<ListenFailure>,
}

impl Telemetry {
    /// Starts the servers, which end when `stop` is true, and the health-check node ports, which end with
    /// this.
    ///
    /// # Errors
    ///
    /// When the table of metrics is wrong.
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
            version: env!("CARGO_PKG_VERSION").to_owned(),
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

    /// The metrics, for what no report says.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Where readings of the kernel's counters go.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// A cluster event arrived at `now` that changes something.
    pub fn queued(&self, now: SystemTime) {
        self.metrics.queued(now);
    }

    /// The loop runs at `now`.
    pub fn alive(&self, now: Instant) {
        self.health_mut().alive(now);
    }

    /// The changes of the first `through` cluster events have been tried, at `now`.
    pub fn settled(&self, through: u64, now: Moment) {
        if self.health_mut().applied(through, now.instant) {
            self.metrics.settled(SystemTime::from(now.time));
        }
    }

    /// Sets the families that the health pages show.
    pub fn set_families(&self, families: impl IntoIterator<Item = AddressFamily>) {
        self.health_mut().set_families(families);
    }

    /// The first sync has ended.
    pub fn synced(&self) {
        self.health_mut().synced();
    }

    /// Shows a report of the reconciler.
    pub fn observe(&self, report: &Report, now: Moment) {
        self.metrics.observe(report, now);
        self.status_mut().observe(report, now);
    }

    /// This was done to the kernel: one outcome for each op, same order.
    pub fn applied(&self, stage: &Stage, outcomes: &[OpOutcome]) {
        self.metrics.applied(stage, outcomes);
    }

    /// So much is in our tables, and so many virtual servers are others'.
    pub fn counted(&self, counts: &TableCounts, foreign: usize) {
        self.metrics.counted(counts);
        self.metrics.foreign(foreign);
        let mut status = self.status_mut();
        status.counted(counts);
        status.counts.foreign_virtual_servers = foreign;
    }

    /// Shows the entries that are not settled, those that wait, and the readings that fail. The cost grows with their number.
    pub fn unsettled(&self, reconciler: &Reconciler, now: Moment) {
        self.metrics.unsettled(reconciler);
        self.status_mut().unsettled(reconciler, now);
    }

    /// The API server says this of the node; none where it has no such Node.
    pub fn node(&self, node: Option<NodeHealth>) {
        self.health_mut().node(node);
    }

    /// These health checks are to be answered. Ports that could not be opened are tried again when one
    /// changes, and with `retry`.
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

    /// From now on a change that waits for twice as long is not healthy.
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
        // Without a receiver the daemon is about to end.
        let _ = failed.try_send(error);
    }
}
