//! The metrics and labels in the dashboard and the alerts must exist.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use super::{Given, code, rows};
use crate::project::list;

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

/// Labels that scraping adds, and that of a histogram's buckets. `cluster` is set by a Prometheus of
/// several clusters, and is empty elsewhere. The label `job` is not among them, because
/// `components/kube-proxy-job` replaces it.
const LABELS: [&str; 4] = ["cluster", "container", "le", "node"];

/// Folder of the page about each alert.
const RUNBOOKS: &str = "https://github.com/kube-ipvs/kube-ipvs/blob/main/docs/runbooks/";

/// Keys whose values are queries.
const QUERIES: &[&str] = &["expr", "query"];

/// Key of the series in the tests of the alerts. The queries there are about the alerts.
const SERIES: &[&str] = &["series"];

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
        let keys = if path.starts_with("tests/") {
            SERIES
        } else {
            QUERIES
        };
        collect(document, keys, &mut queries);
        for query in queries {
            let mistakes = mistakes(query, &known).into_iter();
            all.extend(
                mistakes
                    .map(|mistake| format!("manifests/{path}: {mistake} in `{}`", query.trim())),
            );
        }
    }
    for (path, rules) in given.of_kind("PrometheusRule") {
        let rules = list(&rules["spec"]["groups"]).flat_map(|group| list(&group["rules"]));
        let complaints = rules.flat_map(|rule| incomplete(rule, &known));
        all.extend(complaints.map(|complaint| format!("manifests/{path}: {complaint}")));
    }
    all
}

/// Returns complaints about what an alert's reader needs: severity, texts, and the page about it.
fn incomplete(rule: &Value, known: &BTreeMap<&str, Metric>) -> Vec<String> {
    let name = rule["alert"].as_str().unwrap_or_default();
    let mut all = Vec::new();
    for path in [
        "/labels/severity",
        "/annotations/summary",
        "/annotations/description",
    ] {
        if rule
            .pointer(path)
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            all.push(format!("{name} has no {path}"));
        }
    }
    let (page, want) = (
        &rule["annotations"]["runbook_url"],
        format!("{RUNBOOKS}{name}.md"),
    );
    if page != want.as_str() {
        all.push(format!("the runbook_url of {name} is {page}, not {want}"));
    }
    let texts = rule["annotations"].as_object().into_iter().flatten();
    for text in texts.filter_map(|(_, text)| text.as_str()) {
        let ours = words(text).filter(|word| word.starts_with(PREFIXES[0]));
        let unknown = ours.filter(|word| find(word, known).is_none());
        all.extend(unknown.map(|word| format!("{name}: no metric is called {word}")));
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

fn collect<'a>(value: &'a Value, keys: &[&str], queries: &mut Vec<&'a str>) {
    match value {
        Value::Array(values) => (values.iter()).for_each(|value| collect(value, keys, queries)),
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(text) if keys.contains(&key.as_str()) => queries.push(text),
                    _ => collect(value, keys, queries),
                }
            }
        }
        _ => {}
    }
}

fn mistakes(query: &str, known: &BTreeMap<&str, Metric>) -> Vec<String> {
    let mut labels = BTreeSet::from(LABELS);
    // The label that `label_replace(…, "reason", …)` makes.
    let made = query.split("label_replace(").skip(1);
    labels.extend(made.flat_map(|call| call.split(", ")).filter_map(quoted));
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

/// Returns `reason` of `"reason"`.
fn quoted(argument: &str) -> Option<&str> {
    argument.strip_prefix('"')?.strip_suffix('"')
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
}

/// Returns the labels in `by (…)`, `on (…)` and `without (…)` and before `=`, `!=`, `=~` and `!~` in `{…}`.
fn named_labels(query: &str) -> BTreeSet<&str> {
    let mut labels = BTreeSet::new();
    for word in ["by (", "on (", "without ("] {
        let lists = query.split(word).skip(1);
        labels
            .extend(lists.flat_map(|list| list.split(')').next().unwrap_or_default().split(", ")));
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
