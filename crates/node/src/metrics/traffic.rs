//! Traffic through each Service and to each endpoint. Off by default, since there may be tens of
//! thousands of series.

mod labels;
mod sums;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use ipvs::{RealServerStatus, Statistics, VirtualServerKey};
use model::names::ServicePortName;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily};

pub use self::labels::{TrafficLabel, UnknownLabel};
use self::sums::Sums;
use super::descriptor::{Descriptor, Kind};
use super::family::{desc, family, sample};

/// Options of the traffic metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficOptions {
    /// Labels of the metrics of Services. Values with equal labels are summed. An empty set
    /// disables these metrics. The label of endpoints is ignored.
    pub services: BTreeSet<TrafficLabel>,
    /// Labels of the metrics of endpoints. An empty set disables them.
    pub endpoints: BTreeSet<TrafficLabel>,
    /// Maximum number of label sets of Services, and of endpoints. The first ones by name are
    /// shown; the number of the others is in `kubeipvs_traffic_series_omitted`.
    pub limit: usize,
}

/// No metrics of traffic.
impl Default for TrafficOptions {
    fn default() -> Self {
        Self {
            services: BTreeSet::new(),
            endpoints: BTreeSet::new(),
            limit: 10_000,
        }
    }
}

impl TrafficOptions {
    /// Default labels of the metrics of Services.
    pub const SERVICE_LABELS: [TrafficLabel; 4] = [
        TrafficLabel::Namespace,
        TrafficLabel::Service,
        TrafficLabel::Port,
        TrafficLabel::Protocol,
    ];

    /// Default labels of the metrics of endpoints.
    pub const ENDPOINT_LABELS: [TrafficLabel; 5] = [
        TrafficLabel::Namespace,
        TrafficLabel::Service,
        TrafficLabel::Port,
        TrafficLabel::Protocol,
        TrafficLabel::Endpoint,
    ];
}

/// The kernel's counters of one of our virtual servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualServerTraffic {
    /// Key of the virtual server.
    pub key: VirtualServerKey,
    /// Service port of the virtual server. A virtual server without an owner is not shown.
    pub owner: Option<Arc<ServicePortName>>,
    /// Counters of the virtual server.
    pub statistics: Statistics,
    /// Real servers with their counters.
    pub real_servers: Vec<RealServerStatus>,
}

/// The last reading of the kernel's counters, for `/metrics`.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Mutex<Arc<[VirtualServerTraffic]>>>);

impl Traffic {
    /// Replaces the reading.
    pub fn set(&self, reading: Arc<[VirtualServerTraffic]>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }

    fn get(&self) -> Arc<[VirtualServerTraffic]> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Metrics of Services with their default labels.
const SERVICES: [Descriptor; 3] = [
    Descriptor {
        name: "kubeipvs_service_connections_total",
        kind: Kind::Counter,
        labels: &[
            "service_namespace",
            "service_name",
            "service_port",
            "protocol",
        ],
        help: "Connections to the Service's addresses that the kernel has counted (opt-in).",
    },
    Descriptor {
        name: "kubeipvs_service_packets_total",
        kind: Kind::Counter,
        labels: &[
            "service_namespace",
            "service_name",
            "service_port",
            "protocol",
            DIRECTION,
        ],
        help: "Packets from clients (in) and to clients (out) of the Service (opt-in).",
    },
    Descriptor {
        name: "kubeipvs_service_bytes_total",
        kind: Kind::Counter,
        labels: &[
            "service_namespace",
            "service_name",
            "service_port",
            "protocol",
            DIRECTION,
        ],
        help: "Bytes from clients (in) and to clients (out) of the Service (opt-in).",
    },
];

/// Metrics of endpoints with their default labels.
const ENDPOINTS: [Descriptor; 5] = [
    Descriptor {
        name: "kubeipvs_endpoint_connections_total",
        kind: Kind::Counter,
        labels: ENDPOINT_LABELS,
        help: "Connections that IPVS has scheduled to the endpoint (opt-in).",
    },
    Descriptor {
        name: "kubeipvs_endpoint_packets_total",
        kind: Kind::Counter,
        labels: DIRECTED_ENDPOINT_LABELS,
        help: "Packets to the endpoint (in) and from it (out) (opt-in).",
    },
    Descriptor {
        name: "kubeipvs_endpoint_bytes_total",
        kind: Kind::Counter,
        labels: DIRECTED_ENDPOINT_LABELS,
        help: "Bytes to the endpoint (in) and from it (out) (opt-in).",
    },
    Descriptor {
        name: "kubeipvs_endpoint_active_connections",
        kind: Kind::Gauge,
        labels: ENDPOINT_LABELS,
        help: "Connections of the endpoint that carry data (opt-in).",
    },
    Descriptor {
        name: "kubeipvs_endpoint_inactive_connections",
        kind: Kind::Gauge,
        labels: ENDPOINT_LABELS,
        help: "Connections of the endpoint in any other state, including UDP (opt-in).",
    },
];

const OMITTED: Descriptor = Descriptor {
    name: "kubeipvs_traffic_series_omitted",
    kind: Kind::Gauge,
    labels: &["of"],
    help: "Label sets of Services and endpoints (service, endpoint) that are not shown because of the limit.",
};

const ENDPOINT_LABELS: &[&str] = &[
    "service_namespace",
    "service_name",
    "service_port",
    "protocol",
    "endpoint_address",
];

const DIRECTED_ENDPOINT_LABELS: &[&str] = &[
    "service_namespace",
    "service_name",
    "service_port",
    "protocol",
    "endpoint_address",
    DIRECTION,
];

const DIRECTION: &str = "direction";

const fn descriptors() -> [Descriptor; 9] {
    let [a, b, c] = SERVICES;
    let [d, e, f, g, h] = ENDPOINTS;
    [a, b, c, d, e, f, g, h, OMITTED]
}

pub(super) const DESCRIPTORS: &[Descriptor] = &descriptors();

/// Collects the metrics of the last reading.
#[derive(Debug)]
pub(super) struct TrafficCollector {
    options: TrafficOptions,
    traffic: Traffic,
    descs: Vec<Desc>,
}

impl TrafficCollector {
    pub(super) fn new(
        mut options: TrafficOptions,
        traffic: Traffic,
    ) -> Result<Self, prometheus::Error> {
        options.services.remove(&TrafficLabel::Endpoint);
        let labels_of = [
            (&SERVICES[..], &options.services),
            (&ENDPOINTS[..], &options.endpoints),
        ];
        let mut descs = vec![desc(&OMITTED, OMITTED.labels)?];
        for (descriptors, labels) in labels_of {
            for descriptor in descriptors {
                descs.push(desc(descriptor, &names(descriptor, labels))?);
            }
        }
        Ok(Self {
            options,
            traffic,
            descs,
        })
    }
}

impl Collector for TrafficCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let TrafficOptions {
            services,
            endpoints,
            limit,
        } = &self.options;
        let reading = self.traffic.get();
        let shown = [
            (
                "service",
                &SERVICES[..],
                services,
                Sums::of_services(&reading, services),
            ),
            (
                "endpoint",
                &ENDPOINTS[..],
                endpoints,
                Sums::of_endpoints(&reading, endpoints),
            ),
        ];
        let mut families = Vec::new();
        let mut omitted = Vec::new();
        for (of, descriptors, labels, sums) in shown {
            if labels.is_empty() {
                continue;
            }
            let count = sums.len().saturating_sub(*limit) as f64;
            omitted.push(sample(OMITTED.kind, OMITTED.labels, &[of], count));
            for (index, descriptor) in descriptors.iter().enumerate() {
                let samples = samples(descriptor, index, labels, sums.first(*limit));
                families.push(family(descriptor, samples));
            }
        }
        families.push(family(&OMITTED, omitted));
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

/// Returns the names of a metric's labels.
fn names(descriptor: &Descriptor, labels: &BTreeSet<TrafficLabel>) -> Vec<&'static str> {
    let direction = descriptor.labels.contains(&DIRECTION).then_some(DIRECTION);
    labels
        .iter()
        .map(|label| label.name())
        .chain(direction)
        .collect()
}

/// Returns the values of the metric with the number `index` in [`Totals::values`](sums::Totals).
fn samples<'a>(
    descriptor: &Descriptor,
    index: usize,
    labels: &BTreeSet<TrafficLabel>,
    sums: impl Iterator<Item = (&'a [String], &'a sums::Totals)>,
) -> Vec<Metric> {
    let names = names(descriptor, labels);
    let mut samples = Vec::new();
    for (values, totals) in sums {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let mut push = |direction: Option<&str>, value: u64| {
            let values: Vec<&str> = values.iter().copied().chain(direction).collect();
            samples.push(sample(descriptor.kind, &names, &values, value as f64));
        };
        match totals.values()[index] {
            (value, None) => push(None, value),
            (value, Some(out)) => {
                push(Some("in"), value);
                push(Some("out"), out);
            }
        }
    }
    samples
}
