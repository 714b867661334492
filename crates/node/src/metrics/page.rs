//! The page about the metrics.

use std::fmt::Write as _;

use super::comparison;
use super::descriptor::{Buckets, Descriptor, Kind};
use super::descriptors::all;
use super::slis::DESCRIPTORS as SLIS;

const HEAD: &str = "\
# Metrics

<!-- Made from the program's own table; `BLESS=1 cargo test -p node docs_are_current` writes it anew. -->

`kube-ipvsd` exposes these at `/metrics` of `metricsBindAddress`, as text 0.0.4. Those that begin with
`kubeproxy_` have the names, types, labels and buckets of kube-proxy's, so that dashboards and alerts go on; those
that begin with `rest_client_` have client-go's. Those of the health checks are at `/metrics/slis`, as in Kubernetes' components.
Metrics marked opt-in show what goes through each Service and to each endpoint; their labels and how many
series there may be at most are configured, and the labels below are the usual ones. They are the kernel's own
counts: those of an entry that is deleted go with it, so a sum falls then, and what is made again counts from 0.
";

/// The text of `docs/reference/metrics.md`.
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
        buckets("Durations of synchronisations", Buckets::Sync),
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
    /// The endings that its series have beside the name.
    #[must_use]
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Counter | Self::Gauge => &[""],
            Self::Histogram(_) => &["_bucket", "_sum", "_count"],
        }
    }
}
