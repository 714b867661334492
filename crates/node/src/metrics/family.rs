//! Conversion of values that are read during a scrape to types of the Prometheus library.

use std::collections::HashMap;

use prometheus::core::Desc;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::descriptor::{Descriptor, Kind};

/// Returns the library's descriptor with `labels`.
pub(super) fn desc(descriptor: &Descriptor, labels: &[&str]) -> Result<Desc, prometheus::Error> {
    Desc::new(
        descriptor.name.to_owned(),
        descriptor.help.to_owned(),
        labels.iter().copied().map(str::to_owned).collect(),
        HashMap::new(),
    )
}

/// Returns all values of one metric.
pub(super) fn family(descriptor: &Descriptor, samples: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(descriptor.name.to_owned());
    family.set_help(descriptor.help.to_owned());
    family.set_field_type(match descriptor.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram(_) => MetricType::HISTOGRAM,
    });
    family.set_metric(samples);
    family
}

/// Returns one value of a counter or gauge.
pub(super) fn sample(kind: Kind, labels: &[&str], values: &[&str], value: f64) -> Metric {
    let mut metric = labelled(labels, values);
    if kind == Kind::Counter {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

/// Returns a metric with labels and without a value.
pub(super) fn labelled(labels: &[&str], values: &[&str]) -> Metric {
    Metric::from_label((labels.iter().zip(values)).map(pair).collect())
}

fn pair((name, value): (&&str, &&str)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name((*name).to_owned());
    pair.set_value((*value).to_owned());
    pair
}
