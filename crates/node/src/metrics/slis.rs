//! The metrics of `/metrics/slis`, by the names and labels of Kubernetes' components.
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
    help: "1 where the check holds now, else 0: `proxy` as the health server answers, `ping` that the metrics server does.",
};

const CHECKS: Descriptor = Descriptor {
    name: "kubernetes_healthchecks_total",
    kind: Kind::Counter,
    labels: &["name", "type", "status"],
    help: "Answers to questions for health, by result (success, error).",
};

/// The check that the health server answers.
const PROXY: &str = "proxy";

/// The check that the metrics server answers, kube-proxy's only one.
const PING: &str = "ping";

/// Metrics in a registry of their own: `/metrics` does not have them.
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

    /// The health server answered with this status.
    pub(super) fn asked(&self, page: HealthPage, status: u16) {
        let status = if status == 200 { "success" } else { "error" };
        let labels = [PROXY, page.name(), status];
        self.checks.with_label_values(&labels).inc();
    }
}

impl Metrics {
    /// The metrics server answered that it is there.
    pub fn pinged(&self, page: HealthPage) {
        let labels = [PING, page.name(), "success"];
        self.slis.checks.with_label_values(&labels).inc();
    }

    /// Returns the page `/metrics/slis`.
    ///
    /// # Errors
    ///
    /// When a metric cannot be written, which is a mistake in the table.
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
