//! Metrics of `/metrics/slis`, with the names and labels of Kubernetes' components.
//!
//! Source: `k8s.io/component-base/metrics/prometheus/slis`, Kubernetes 1.34.

use prometheus::{GaugeVec, IntCounterVec, Registry, TextEncoder};

use super::descriptor::{Descriptor, Kind};
use super::descriptors::register;
use super::{HealthPage, Metrics, set};
use crate::health::{Health, Moment};

pub(super) const DESCRIPTORS: &[Descriptor] = &[CHECK, CHECKS];

const CHECK: Descriptor = Descriptor {
    name: "kubernetes_healthcheck",
    kind: Kind::Gauge,
    labels: &["name", "type"],
    help: "1 if the check succeeds now, else 0: `proxy` is the answer of the health server, `ping` that of the metrics server.",
};

const CHECKS: Descriptor = Descriptor {
    name: "kubernetes_healthchecks_total",
    kind: Kind::Counter,
    labels: &["name", "type", "status"],
    help: "Answered health requests by result (success, error).",
};

/// Check that the health server answers.
const PROXY: &str = "proxy";

/// Check that the metrics server answers. kube-proxy has only this one.
const PING: &str = "ping";

/// Metrics in a separate registry, since `/metrics` does not show them.
#[derive(Debug)]
pub(super) struct Slis {
    registry: Registry,
    check: GaugeVec,
    checks: IntCounterVec,
}

impl Slis {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let slis = Self {
            check: register(&registry, CHECK.gauge())?,
            checks: register(&registry, CHECKS.counter())?,
            registry,
        };
        for page in HealthPage::ALL.map(HealthPage::name) {
            for status in ["success", "error"] {
                slis.checks.with_label_values(&[PROXY, page, status]);
            }
        }
        for page in [HealthPage::Healthz, HealthPage::Livez].map(HealthPage::name) {
            slis.checks.with_label_values(&[PING, page, "success"]);
            set(&slis.check, &[PING, page], 1.0);
        }
        Ok(slis)
    }

    /// Counts an answer of the health server.
    pub(super) fn asked(&self, page: HealthPage, status: u16) {
        let status = if status == 200 { "success" } else { "error" };
        let labels = [PROXY, page.name(), status];
        self.checks.with_label_values(&labels).inc();
    }
}

impl Metrics {
    /// Counts an answer of the metrics server.
    pub fn pinged(&self, page: HealthPage) {
        let labels = [PING, page.name(), "success"];
        self.slis.checks.with_label_values(&labels).inc();
    }

    /// Returns the page `/metrics/slis`.
    ///
    /// # Errors
    ///
    /// A metric cannot be encoded, which is a bug in the table.
    pub fn slis_text(&self, health: &Health, now: Moment) -> Result<String, prometheus::Error> {
        for page in HealthPage::ALL {
            let holds = match page {
                HealthPage::Healthz => health.healthz(now).healthy,
                HealthPage::Livez => health.livez(now).healthy,
                HealthPage::Readyz => health.is_ready(),
            };
            let holds = f64::from(u8::from(holds));
            set(&self.slis.check, &[PROXY, page.name()], holds);
        }
        TextEncoder::new().encode_to_string(&self.slis.registry.gather())
    }
}
