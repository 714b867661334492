//! The metrics and labels in the dashboard and the alerts must exist.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use super::{Given, code, rows};

/// Prefixes of the names of this daemon's metrics.
const PREFIXES: [&str; 5] = [
    "kubeipvs_",
    "kubeproxy_",
    "kubernetes_",
    "process_",
    "rest_client_",
];

/// Suffixes that Prometheus appends to a histogram's name.
const OF_HISTOGRAM: [&str; 3] = ["_bucket", "_count", "_sum"];

/// Labels that scraping adds, and that of a histogram's buckets. The label `job` is not among them,
/// because `components/kube-proxy-job` replaces it.
const LABELS: [&str; 3] = ["container", "le", "node"];

/// Keys whose values are queries.
const QUERIES: [&str; 2] = ["expr", "query"];

/// A metric of `docs/reference/metrics.md`.
struct Metric<'a> {
    histogram: bool,
    labels: BTreeSet<&'a str>,
}

pub(super) fn check(given: &Given) -> Vec<String> {
    let known = known(&given.metrics);
    let mut all = Vec::new();
    for (path, document) in given.all() {
        let mut queries = Vec::new();
        collect(document, &mut queries);
        for query in queries {
            let mistakes = mistakes(query, &known).into_iter();
            all.extend(
                mistakes
                    .map(|mistake| format!("manifests/{path}: {mistake} in `{}`", query.trim())),
            );
        }
    }
    all
}

fn known(page: &str) -> BTreeMap<&str, Metric<'_>> {
    (rows(page).into_iter())
        .filter_map(|row| {
            let [name, kind, labels, ..] = row[..] else {
                return None;
            };
            let metric = Metric {
                histogram: kind == "histogram",
                labels: labels.split(", ").filter_map(code).collect(),
            };
            Some((code(name)?, metric))
        })
        .collect()
}

fn collect<'a>(value: &'a Value, queries: &mut Vec<&'a str>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, queries)),
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(text) if QUERIES.contains(&key.as_str()) => queries.push(text),
                    _ => collect(value, queries),
                }
            }
        }
        _ => {}
    }
}

fn mistakes(query: &str, known: &BTreeMap<&str, Metric>) -> Vec<String> {
    let mut labels = BTreeSet::from(LABELS);
    let mut mistakes = Vec::new();
    for word in words(query).filter(|word| PREFIXES.iter().any(|start| word.starts_with(start))) {
        match find(word, known) {
            Some(metric) => labels.extend(&metric.labels),
            None => mistakes.push(format!("no metric is called {word}")),
        }
    }
    let wrong = named_labels(query)
        .into_iter()
        .filter(|label| !labels.contains(label));
    mistakes.extend(wrong.map(|label| format!("no metric has the label {label}")));
    mistakes
}

fn find<'a, 'b>(word: &str, known: &'b BTreeMap<&str, Metric<'a>>) -> Option<&'b Metric<'a>> {
    if let Some(metric) = known.get(word) {
        return (!metric.histogram).then_some(metric);
    }
    let name = OF_HISTOGRAM.iter().find_map(|end| word.strip_suffix(end))?;
    known.get(name).filter(|metric| metric.histogram)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
}

/// Returns the labels in `by (…)` and before `=`, `!=`, `=~` and `!~` in `{…}`.
fn named_labels(query: &str) -> BTreeSet<&str> {
    let mut labels = BTreeSet::new();
    for list in query.split("by (").skip(1) {
        labels.extend(
            list.split(')')
                .next()
                .into_iter()
                .flat_map(|list| list.split(", ")),
        );
    }
    for matchers in query.split('{').skip(1) {
        let matchers = matchers.split('}').next().unwrap_or_default();
        let matchers = matchers
            .split(',')
            .filter_map(|matcher| matcher.split(['=', '!']).next());
        labels.extend(matchers.map(str::trim));
    }
    labels
        .into_iter()
        .filter(|label| !label.is_empty())
        .collect()
}
