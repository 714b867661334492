//! All that the daemon says over HTTP, in one piece: the loop tells it what happens.

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
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::metrics_pages::Pages;
use super::status::Status;
use super::{BindError, Handler, Server, health_pages, metrics_pages};
use crate::health::{Health, Moment, NodeHealth, Served};
use crate::health_checks::{self, ListenFailure, ListenOn, Wanted};
use crate::metrics::{Metrics, TableCounts, Traffic, TrafficOptions};
use reconciler::{Drain, DrainKey, Report};

/// What is served, and where.
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
    /// The node's name in Kubernetes.
    pub node_name: Name,
    /// What is shown of traffic.
    pub traffic: TrafficOptions,
    /// The configuration that holds, as JSON.
    pub config: Arc<str>,
}

/// What the loop tells of.
#[derive(Debug)]
pub struct Face {
    metrics: Arc<Metrics>,
    health: Arc<Mutex<Health>>,
    status: Arc<RwLock<Status>>,
    config: Arc<RwLock<Arc<str>>>,
    traffic: Traffic,
    checks: watch::Sender<Arc<Wanted>>,
    served: Served,
}

/// What goes wrong with serving.
#[derive(Debug)]
pub struct Alarms {
    /// An address that could not be had where that is the end.
    pub fatal: mpsc::UnboundedReceiver<BindError>,
    /// Addresses that could not be had, and are tried again; each once.
    pub refused: mpsc::UnboundedReceiver<BindError>,
    /// Health-check node ports that could not be opened.
    pub checks: mpsc::UnboundedReceiver<ListenFailure>,
}

impl Face {
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
    ) -> Result<(Self, Alarms), prometheus::Error> {
        let Settings {
            health: health_address,
            metrics: metrics_address,
            hard_fail,
            families,
            sync_period,
            node_name,
            traffic: options,
            config,
        } = settings;
        let traffic = Traffic::default();
        let metrics = Arc::new(Metrics::new(families.clone(), options, traffic.clone())?);
        let health = Health::new(families.iter().copied(), sync_period, now.instant);
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node_name: node_name.to_string(),
            started: now.time.to_string(),
            ..Status::default()
        };
        let (checks, wanted) = watch::channel(Arc::default());
        let face = Self {
            metrics,
            health: Arc::new(Mutex::new(health)),
            status: Arc::new(RwLock::new(status)),
            config: Arc::new(RwLock::new(config)),
            traffic,
            checks,
            served: Served::new(families),
        };
        let (failed, fatal) = mpsc::unbounded_channel();
        let (to_refused, refused) = mpsc::unbounded_channel();
        for (name, address, handler) in [
            ("proxy health server", health_address, face.health_pages()),
            ("metrics server", metrics_address, face.metrics_pages()),
        ] {
            if let Some(address) = address {
                let server = Server::new(name, address, hard_fail);
                let running = server.run(handler, stop.clone(), to_refused.clone());
                runtime.spawn(watch_over(running, failed.clone()));
            }
        }
        let (failed, checks) = mpsc::unbounded_channel();
        runtime.spawn(health_checks::run(wanted, face.proxy_healthy(), failed));
        let alarms = Alarms {
            fatal,
            refused,
            checks,
        };
        Ok((face, alarms))
    }

    fn health_pages(&self) -> Handler {
        health_pages::handler(Arc::clone(&self.health), Arc::clone(&self.metrics))
    }

    fn metrics_pages(&self) -> Handler {
        metrics_pages::handler(Pages {
            metrics: Arc::clone(&self.metrics),
            status: Arc::clone(&self.status),
            config: Arc::clone(&self.config),
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

    /// The cluster changed, and that waits for a synchronisation.
    pub fn queued(&self, now: Moment) {
        self.metrics.queued(SystemTime::from(now.time));
        self.health_mut().all_queued(now.instant);
    }

    /// The reconciler said this. What came while the kernel was written waits still.
    pub fn observe(&mut self, report: &Report, now: Moment) {
        self.metrics.observe(report, now);
        self.status_mut().observe(report, now);
        if let Report::Synced { took, .. } = report {
            let began = now.instant.checked_sub(*took).unwrap_or(now.instant);
            for family in self.served.observe(report) {
                self.health_mut().updated(family, began, now.instant);
            }
        } else {
            self.served.observe(report);
        }
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

    /// These real servers drain.
    pub fn draining(&self, drains: &BTreeMap<DrainKey, Drain>, now: Moment) {
        self.status_mut().draining(drains, now);
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

    /// Another configuration holds, as JSON.
    pub fn configured(&self, config: Arc<str>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
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
    failed: mpsc::UnboundedSender<BindError>,
) {
    if let Err(error) = running.await {
        // Nobody may want to know.
        let _ = failed.send(error);
    }
}
