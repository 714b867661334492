//! What the loop shows of itself: metrics, health, health-check node ports.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use ipvs::AddressFamily;
use kernel::OpOutcome;
use model::cluster::ClusterEvent;
use model::plan::Stage;
use serde_json::Value;
use sources::config::{DaemonSettings, Resolved, ServiceMetrics};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::Fatal;
use crate::changes::Waiting;
use crate::health::{Moment, NodeHealth};
use crate::health_checks::ListenOn;
use crate::http::face::{Alarms, Face, Settings};
use crate::metrics::{Metrics, TableCounts, Traffic, TrafficOptions};
use crate::run::Observer;
use reconciler::{Cause, Reconciler, Report};

const FAMILIES: [AddressFamily; 2] = [AddressFamily::Ipv4, AddressFamily::Ipv6];

/// Tells the [`Face`] what happens.
pub(super) struct Shown {
    face: Face,
    /// Whether the cluster has Nodes: files may have none, and then the node is not judged by its own.
    from_cluster: bool,
    /// Whether everything was read since the counts were taken.
    audited: bool,
    /// Whether changes were served since policies were counted.
    synced: bool,
    waiting: Waiting,
    /// Configurations that came since, as JSON.
    configured: mpsc::UnboundedReceiver<Arc<str>>,
}

impl Shown {
    /// Starts the servers. Other configurations than
    /// `resolved` come from `configured`, as JSON, before the loop hears of them.
    pub(super) fn start(
        resolved: &Resolved,
        from_cluster: bool,
        runtime: &Handle,
        stop: &watch::Receiver<bool>,
        configured: mpsc::UnboundedReceiver<Arc<str>>,
    ) -> Result<(Self, Alarms), Fatal> {
        let settings = Settings {
            health: resolved.settings.healthz_bind_address,
            metrics: resolved.settings.metrics_bind_address,
            hard_fail: resolved.settings.bind_address_hard_fail,
            families: BTreeSet::from(FAMILIES),
            sync_period: resolved.node.sync_period,
            node_name: resolved.node.node_name.clone(),
            traffic: traffic(&resolved.settings),
            config: as_json(&resolved.document()),
        };
        let (face, alarms) = Face::start(settings, runtime, stop, Moment::now())?;
        let shown = Self {
            face,
            from_cluster,
            audited: false,
            synced: false,
            waiting: Waiting::new(SystemTime::now()),
            configured,
        };
        (shown.metrics()).config_loaded(true, false, SystemTime::now());
        Ok((shown, alarms))
    }
}

impl Shown {
    /// The metrics, for those who count what the loop does not.
    pub(super) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(self.face.metrics())
    }

    /// Where readings of the kernel's counters go.
    pub(super) fn traffic(&self) -> Traffic {
        self.face.traffic().clone()
    }
}

impl Shown {
    fn tell_changes(&mut self) {
        let (services, endpoints) = self.waiting.counts();
        self.face.metrics().changes(services, endpoints);
    }
}

/// What is shown of traffic.
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

fn as_json(document: &Value) -> Arc<str> {
    document.to_string().into()
}

impl Observer for Shown {
    fn queued(&mut self, event: &ClusterEvent, changed: bool, now: Moment) {
        if changed {
            self.face.queued(now);
        }
        self.waiting.came(event, changed);
        self.tell_changes();
    }

    fn reported(&mut self, report: &Report) {
        self.face.observe(report, Moment::now());
        if let Report::Synced {
            cause: Cause::Change | Cause::Audit,
            failed,
            ..
        } = report
        {
            for (family, took) in self.waiting.served(*failed, SystemTime::now()) {
                self.face.metrics().programmed(family, took);
            }
            self.tell_changes();
            self.synced = true;
        }
        if let Report::Synced {
            cause: Cause::Audit,
            ..
        } = report
        {
            self.audited = true;
        }
    }

    fn applied(&mut self, stage: &Stage, outcomes: &[OpOutcome]) {
        self.face.applied(stage, outcomes);
    }

    fn idle(&mut self, reconciler: &Reconciler) {
        while let Ok(config) = self.configured.try_recv() {
            self.face.configured(config);
        }
        self.face.set_sync_period(reconciler.config().sync_period);
        let listen_on = match reconciler.node_port_addresses() {
            None => ListenOn::Everywhere,
            Some(addresses) => ListenOn::Addresses(addresses.clone()),
        };
        let audited = std::mem::take(&mut self.audited);
        (self.face).health_checks(&listen_on, &reconciler.desired().health_checks, audited);
        self.face.draining(reconciler.drains(), Moment::now());
        if self.from_cluster && reconciler.cluster().is_complete() {
            let node = reconciler.cluster().node(&reconciler.config().node_name);
            self.face.node(node.map(|node| NodeHealth {
                deleting: node.deleting,
                leaving: node.leaving,
            }));
        }
        if std::mem::take(&mut self.synced) {
            let without_local = &reconciler.desired().without_local_endpoints;
            self.face.metrics().without_local_endpoints(without_local);
        }
        if audited && let Some(live) = reconciler.live() {
            let foreign: BTreeSet<_> = reconciler.foreign().collect();
            let counts = if foreign.is_empty() {
                TableCounts::of(&live.tables)
            } else {
                let mut ours = live.tables.clone();
                ours.virtual_servers.retain(|key, _| !foreign.contains(key));
                TableCounts::of(&ours)
            };
            self.face.counted(&counts, foreign.len());
        }
    }
}
