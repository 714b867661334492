//! State of the sources and requests to the API server, read during a scrape.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, Metric, MetricFamily};
use sources::kube::{LATENCY_BUCKETS, Latencies, RequestStats};
use sources::{SourceState, SourceStatus, SourceStatuses};

use super::descriptor::{Buckets, Descriptor, Kind};
use super::family::{desc, family, labelled, sample};
use super::unix;

/// Metrics with one value for each source.
const SOURCES: [Descriptor; 4] = [
    Descriptor {
        name: "kubeipvs_source_listed",
        kind: Kind::Gauge,
        labels: &["source"],
        help: "1 once the source (services, endpointslices, nodes, or files) has delivered a full list, else 0.",
    },
    Descriptor {
        name: "kubeipvs_source_last_success_timestamp_seconds",
        kind: Kind::Gauge,
        labels: &["source"],
        help: "Unix time at which the source last delivered data or a bookmark; 0 before.",
    },
    Descriptor {
        name: "kubeipvs_source_watch_restarts_total",
        kind: Kind::Counter,
        labels: &["source"],
        help: "Watches that were opened again after they had ended. API servers end watches after some minutes.",
    },
    Descriptor {
        name: "kubeipvs_source_relists_total",
        kind: Kind::Counter,
        labels: &["source"],
        help: "Full lists after the first one.",
    },
];

const STATE: Descriptor = Descriptor {
    name: "kubeipvs_source_state",
    kind: Kind::Gauge,
    labels: &["source", "state"],
    help: "1 for the state of the source, 0 for the others (listing, watching, refused, unreachable, failing).",
};

const REQUESTS: Descriptor = Descriptor {
    name: "rest_client_requests_total",
    kind: Kind::Counter,
    labels: &["code", "method", "host"],
    help: "Requests to the API server by status code (`<error>` if there was no answer), method and host.",
};

const DURATION: Descriptor = Descriptor {
    name: "rest_client_request_duration_seconds",
    kind: Kind::Histogram(Buckets::Requests),
    labels: &["verb", "host"],
    help: "Time until the API server sent the headers of its answer. The length of a watch does not count.",
};

const fn descriptors() -> [Descriptor; 7] {
    let [a, b, c, d] = SOURCES;
    [STATE, a, b, c, d, REQUESTS, DURATION]
}

pub(super) const DESCRIPTORS: &[Descriptor] = &descriptors();

/// Sources and requests to show.
#[derive(Clone, Debug, Default)]
pub struct SourceMetrics {
    /// States of the sources.
    pub statuses: SourceStatuses,
    /// Requests to the API server; `None` if the cluster is read from files.
    pub requests: Option<RequestStats>,
}

impl SourceMetrics {
    pub(super) fn collector(self) -> Result<SourceCollector, prometheus::Error> {
        let descs = DESCRIPTORS
            .iter()
            .map(|descriptor| desc(descriptor, descriptor.labels))
            .collect::<Result<_, _>>()?;
        Ok(SourceCollector {
            sources: self,
            descs,
        })
    }
}

/// Collects the metrics of the sources.
#[derive(Debug)]
pub(super) struct SourceCollector {
    sources: SourceMetrics,
    descs: Vec<Desc>,
}

impl Collector for SourceCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let SourceMetrics { statuses, requests } = &self.sources;
        let statuses = statuses.all();
        let states = statuses.iter().flat_map(|(name, status)| {
            SourceState::ALL.map(|state| {
                let value = f64::from(u8::from(status.state == state));
                sample(STATE.kind, STATE.labels, &[name, state.as_str()], value)
            })
        });
        let mut families = vec![family(&STATE, states.collect())];
        for (index, descriptor) in SOURCES.iter().enumerate() {
            let samples = statuses.iter().map(|(name, status)| {
                let value = values(status)[index];
                sample(descriptor.kind, descriptor.labels, &[name], value)
            });
            families.push(family(descriptor, samples.collect()));
        }
        families.extend(requests.iter().flat_map(of_requests));
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

/// Returns the values of a source in the order of [`SOURCES`].
fn values(status: &SourceStatus) -> [f64; 4] {
    [
        f64::from(u8::from(status.has_listed())),
        status.last_success.map_or(0.0, unix),
        status.watch_restarts as f64,
        status.relists() as f64,
    ]
}

fn of_requests(stats: &RequestStats) -> [MetricFamily; 2] {
    let counts = stats.counts();
    let host = stats.host();
    let results = counts.results.iter().map(|((code, method), count)| {
        let labels = [code, method.as_str(), host];
        sample(REQUESTS.kind, REQUESTS.labels, &labels, *count as f64)
    });
    let latencies = (counts.latencies.iter())
        .map(|(method, latencies)| histogram(&[method.as_str(), host], latencies));
    [
        family(&REQUESTS, results.collect()),
        family(&DURATION, latencies.collect()),
    ]
}

fn histogram(labels: &[&str], latencies: &Latencies) -> Metric {
    let mut cumulative = 0;
    let buckets = LATENCY_BUCKETS.iter().zip(latencies.buckets);
    let buckets = buckets.map(|(bound, count)| {
        cumulative += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(cumulative);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(latencies.count);
    histogram.set_sample_sum(latencies.sum.as_secs_f64());
    let mut metric = labelled(DURATION.labels, labels);
    metric.set_histogram(histogram);
    metric
}
