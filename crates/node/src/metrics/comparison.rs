//! kube-proxy's metrics in ipvs mode, compared with ours.
//!
//! Source: `pkg/proxy/metrics/metrics.go`, `cmd/kube-proxy/app/server.go` and
//! `k8s.io/component-base/metrics`, Kubernetes 1.37.

use std::fmt::Write as _;

/// Counterpart of a metric of kube-proxy.
#[derive(Clone, Copy, Debug)]
pub(super) enum Counterpart {
    /// The same metric, with equal name, type, labels and buckets.
    Same,
    /// No counterpart. The text gives the reason or an alternative.
    NotApplicable(&'static str),
}

use Counterpart::{NotApplicable, Same};

const RUNTIME: &str = "metrics of the Go runtime; the nearest are `process_threads`, `process_resident_memory_bytes` and `kubeipvs_heartbeat_age_seconds`";
const OTHER_MODE: &str = "belongs to another mode";
const CLIENT: &str = "belongs to parts of client-go without a counterpart";

/// Every metric of kube-proxy 1.37. Metrics of its libraries are grouped by their common prefix.
pub(super) const KUBE_PROXY: &[(&str, Counterpart)] = &[
    ("kubeproxy_sync_proxy_rules_duration_seconds", Same),
    (
        "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
        Same,
    ),
    ("kubeproxy_sync_proxy_rules_last_timestamp_seconds", Same),
    ("kubeproxy_network_programming_duration_seconds", Same),
    ("kubeproxy_sync_proxy_rules_endpoint_changes_pending", Same),
    ("kubeproxy_sync_proxy_rules_endpoint_changes_total", Same),
    ("kubeproxy_sync_proxy_rules_service_changes_pending", Same),
    ("kubeproxy_sync_proxy_rules_service_changes_total", Same),
    (
        "kubeproxy_sync_proxy_rules_iptables_restore_failures_total",
        Same,
    ),
    ("kubeproxy_sync_proxy_rules_no_local_endpoints_total", Same),
    ("kubeproxy_proxy_healthz_total", Same),
    ("kubeproxy_proxy_livez_total", Same),
    ("kubeproxy_conntrack_reconciler_sync_duration_seconds", Same),
    ("kubeproxy_conntrack_reconciler_deleted_entries_total", Same),
    ("kubernetes_build_info", Same),
    ("kubernetes_feature_enabled", Same),
    ("kubernetes_healthcheck", Same),
    ("kubernetes_healthchecks_total", Same),
    ("process_cpu_seconds_total", Same),
    ("process_max_fds", Same),
    ("process_open_fds", Same),
    ("process_resident_memory_bytes", Same),
    ("process_start_time_seconds", Same),
    ("process_virtual_memory_bytes", Same),
    (
        "process_virtual_memory_max_bytes",
        NotApplicable("kube-ipvsd has no such limit"),
    ),
    (
        "process_network_…",
        NotApplicable("bytes of the whole network namespace; node_exporter has them"),
    ),
    ("rest_client_requests_total", Same),
    ("rest_client_request_duration_seconds", Same),
    ("rest_client_…", NotApplicable(CLIENT)),
    ("go_…", NotApplicable(RUNTIME)),
    (
        "registered_metrics_total",
        NotApplicable("belongs to the library that Go's components share"),
    ),
    (
        "disabled_metrics_total, hidden_metrics_total",
        NotApplicable("belongs to the library that Go's components share"),
    ),
    (
        "leader_election_…, workqueue_…",
        NotApplicable("kube-proxy never sets them"),
    ),
    (
        "kubeproxy_sync_full_proxy_rules_duration_seconds",
        NotApplicable(OTHER_MODE),
    ),
    (
        "kubeproxy_sync_partial_proxy_rules_duration_seconds",
        NotApplicable(OTHER_MODE),
    ),
    (
        "kubeproxy_sync_proxy_rules_iptables_total",
        NotApplicable(OTHER_MODE),
    ),
    (
        "kubeproxy_sync_proxy_rules_iptables_last",
        NotApplicable(OTHER_MODE),
    ),
    (
        "kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total",
        NotApplicable(OTHER_MODE),
    ),
    ("kubeproxy_iptables_…", NotApplicable(OTHER_MODE)),
    (
        "kubeproxy_sync_proxy_rules_nftables_…",
        NotApplicable(OTHER_MODE),
    ),
];

const HEAD: &str = "
## Compared with kube-proxy 1.37

The table lists kube-proxy's metrics in ipvs mode. *same* means equal name, type, labels and
buckets. The label `ip_family` is as in 1.33 and later.

| kube-proxy 1.37 | kube-ipvsd |
|---|---|
";

/// Appends the comparison to the page about metrics.
pub(super) fn section(page: &mut String) {
    page.push_str(HEAD);
    for (name, here) in KUBE_PROXY {
        let here = match here {
            Same => "same".to_owned(),
            NotApplicable(why) => format!("not applicable: {why}"),
        };
        // Writing to a string does not fail.
        let _ = writeln!(page, "| `{name}` | {here} |");
    }
}
