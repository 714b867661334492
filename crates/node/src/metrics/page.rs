//! The reference page about metrics.

use std::fmt::Write as _;

use super::comparison;
use super::descriptor::{Buckets, Descriptor, Kind};
use super::descriptors::all;
use super::slis::DESCRIPTORS as SLIS;

const HEAD: &str = "\
# Metrics

<!-- Generated from the program's table of metrics by `BLESS=1 cargo test -p node docs_are_current`. -->

`kube-ipvsd` exposes its metrics at `/metrics` of `metricsBindAddress`, as text 0.0.4.

- Metrics `kubeproxy_…` have the names, types, labels and buckets of kube-proxy, so that existing
  dashboards and alerts keep working.
- Metrics `rest_client_…` are those of client-go.
- Metrics of the health checks are at `/metrics/slis`, as in Kubernetes' components.
- Metrics marked opt-in show the traffic of each Service and endpoint. Their labels and the maximum
  number of series are configurable; the tables show the default labels. The values are the kernel's
  counters. The counters of an entry are lost when it is deleted, so a sum falls then, and an entry
  that is created again starts at 0.
";

/// Returns the text of `docs/reference/metrics.md`.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    section(
        &mut page,
        "kube-proxy's metrics",
        &["kubeproxy_", "kubernetes_"],
    );
    section(&mut page, "Metrics of kube-ipvs", &["kubeipvs_"]);
    section(&mut page, "Metrics of the process", &["process_"]);
    section(&mut page, "client-go's metrics", &["rest_client_"]);
    table(&mut page, "Metrics at /metrics/slis", SLIS.iter());
    // Writing to a string does not fail.
    let _ = write!(
        page,
        "\n## Buckets\n\nUpper bounds, seconds.\n\n- {}\n- {}\n- {}\n",
        buckets("Durations of syncs", Buckets::Sync),
        buckets(
            "`kubeproxy_network_programming_duration_seconds`",
            Buckets::Programming
        ),
        buckets("`rest_client_request_duration_seconds`", Buckets::Requests),
    );
    comparison::section(&mut page);
    page
}

fn section(page: &mut String, title: &str, prefixes: &[&str]) {
    let is_of = |descriptor: &&Descriptor| {
        (prefixes.iter()).any(|prefix| descriptor.name.starts_with(prefix))
    };
    table(page, title, all().filter(is_of));
}

fn table(page: &mut String, title: &str, descriptors: impl Iterator<Item = &'static Descriptor>) {
    let _ = write!(
        page,
        "\n## {title}\n\n| name | type | labels | meaning |\n|---|---|---|---|\n"
    );
    page.extend(descriptors.map(row));
}

fn row(descriptor: &Descriptor) -> String {
    let Descriptor {
        name,
        kind,
        labels,
        help,
    } = descriptor;
    let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
    let word = kind.word();
    let labels = labels.join(", ");
    format!("| `{name}` | {word} | {labels} | {help} |\n")
}

fn buckets(what: &str, buckets: Buckets) -> String {
    let bounds: Vec<String> = buckets.bounds().iter().map(ToString::to_string).collect();
    format!("{what}: {}", bounds.join(", "))
}

impl Kind {
    /// Returns the suffixes of the names of its series.
    #[must_use]
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Counter | Self::Gauge => &[""],
            Self::Histogram(_) => &["_bucket", "_sum", "_count"],
        }
    }
}
