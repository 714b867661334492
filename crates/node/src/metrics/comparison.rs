//! kube-proxy's metrics in ipvs mode, and what stands for each here.
//!
//! Source: `pkg/proxy/metrics/metrics.go`, `cmd/kube-proxy/app/server.go` and `k8s.io/component-base/metrics`, Kubernetes 1.37.

use std::fmt::Write as _;

/// A metric of kube-proxy and what stands for it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Here {
    /// The same metric: name, type, labels, buckets.
    Same,
    /// Nothing. The reason, or what to look at instead.
    NotApplicable(&'static str),
}

use Here::{NotApplicable, Same};

const RUNTIME: &str = "Go's own; the nearest are `process_threads`, `process_resident_memory_bytes` and `kubeipvs_heartbeat_age_seconds`";
const OTHER_MODE: &str = "of another mode";
const CLIENT: &str = "of parts of client-go that are not here";

/// Every metric of a kube-proxy 1.37, those of its libraries by their common start.
pub(super) const KUBE_PROXY: &[(&str, Here)] = &[
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
        NotApplicable("bytes of the whole network namespace: see node_exporter"),
    ),
    ("rest_client_requests_total", Same),
    ("rest_client_request_duration_seconds", Same),
    ("rest_client_…", NotApplicable(CLIENT)),
    ("go_…", NotApplicable(RUNTIME)),
    (
        "registered_metrics_total",
        NotApplicable("of the library that Go's components share"),
    ),
    (
        "disabled_metrics_total, hidden_metrics_total",
        NotApplicable("of the library that Go's components share"),
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

Metrics of kube-proxy in ipvs mode. *Same* is the same name, type, labels and buckets; the label `ip_family` is that of 1.33 and later.

| kube-proxy 1.37 | kube-ipvsd |
|---|---|
";

/// Appends the section to the page about metrics.
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
