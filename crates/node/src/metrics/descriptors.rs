//! Table of all metrics. Registration and the reference page are generated from it.

use prometheus::core::Collector;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::descriptor::{Buckets, Descriptor, Kind};

pub(super) fn register<T: Collector + Clone + 'static>(
    registry: &Registry,
    metric: Result<T, prometheus::Error>,
) -> Result<T, prometheus::Error> {
    let metric = metric?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Descriptor {
    pub(super) fn counter(&self) -> Result<IntCounterVec, prometheus::Error> {
        IntCounterVec::new(Opts::new(self.name, self.help), self.labels)
    }

    pub(super) fn gauge(&self) -> Result<GaugeVec, prometheus::Error> {
        GaugeVec::new(Opts::new(self.name, self.help), self.labels)
    }

    fn histogram(&self, buckets: Buckets) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::new(self.name, self.help).buckets(buckets.bounds());
        HistogramVec::new(options, self.labels)
    }
}

/// Generates a [`Descriptor`] for each line, and a struct with a registered metric for each.
macro_rules! metrics {
    (@type counter) => { IntCounterVec };
    (@type gauge) => { GaugeVec };
    (@type $histogram:ident) => { HistogramVec };
    (@kind counter) => { Kind::Counter };
    (@kind gauge) => { Kind::Gauge };
    (@kind sync) => { Kind::Histogram(Buckets::Sync) };
    (@kind programming) => { Kind::Histogram(Buckets::Programming) };
    (@new counter $descriptor:expr) => { $descriptor.counter() };
    (@new gauge $descriptor:expr) => { $descriptor.gauge() };
    (@new sync $descriptor:expr) => { $descriptor.histogram(Buckets::Sync) };
    (@new programming $descriptor:expr) => { $descriptor.histogram(Buckets::Programming) };
    (@descriptor $kind:ident $name:literal $labels:tt $help:literal) => {
        Descriptor { name: $name, kind: metrics!(@kind $kind), labels: &$labels, help: $help }
    };
    ($( $field:ident: $kind:ident $name:literal $labels:tt $help:literal; )*) => {
        /// A registered metric for each descriptor.
        #[derive(Debug)]
        pub(super) struct Handles { $( pub(super) $field: metrics!(@type $kind), )* }

        impl Handles {
            pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
                Ok(Self { $( $field: {
                    let descriptor = metrics!(@descriptor $kind $name $labels $help);
                    register(registry, metrics!(@new $kind descriptor))?
                }, )* })
            }
        }

        /// Metrics that are set by events. The other metrics are read during a scrape.
        pub(super) const SET: &[Descriptor] =
            &[$( metrics!(@descriptor $kind $name $labels $help), )*];
    };
}

metrics! {
    sync_duration: sync "kubeproxy_sync_proxy_rules_duration_seconds" ["ip_family"]
        "Duration of syncs including their readings. One sync serves both families.";
    last_queued: gauge "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds" ["ip_family"]
        "Unix time of the last change that requested a sync.";
    last_synced: gauge "kubeproxy_sync_proxy_rules_last_timestamp_seconds" ["ip_family"]
        "Unix time at which changes of the cluster were last applied, even with failed entries, or none was pending.";
    programming: programming "kubeproxy_network_programming_duration_seconds" ["ip_family"]
        "Time from the change of a pod or Service until this node serves it.";
    endpoint_changes_pending: gauge "kubeproxy_sync_proxy_rules_endpoint_changes_pending" []
        "Changes of EndpointSlices that are not applied yet.";
    endpoint_changes: counter "kubeproxy_sync_proxy_rules_endpoint_changes_total" []
        "Changes of EndpointSlices.";
    service_changes_pending: gauge "kubeproxy_sync_proxy_rules_service_changes_pending" []
        "Changes of Services that are not applied yet.";
    service_changes: counter "kubeproxy_sync_proxy_rules_service_changes_total" []
        "Changes of Services.";
    restore_failures: counter "kubeproxy_sync_proxy_rules_iptables_restore_failures_total" ["ip_family"]
        "Changes of the packet filter's rules that failed.";
    no_local_endpoints: gauge "kubeproxy_sync_proxy_rules_no_local_endpoints_total"
        ["ip_family", "traffic_policy"]
        "Services with a Local traffic policy (internal, external) and endpoints on other nodes only.";
    healthz: counter "kubeproxy_proxy_healthz_total" ["code"]
        "Answers of the health server at /healthz.";
    livez: counter "kubeproxy_proxy_livez_total" ["code"]
        "Answers of the health server at /livez.";
    readyz: counter "kubeipvs_proxy_readyz_total" ["code"]
        "Answers of the health server at /readyz.";
    ready: gauge "kubeipvs_ready" []
        "1 once every source has delivered a full list and the first sync has ended, else 0; the answer at /readyz.";
    heartbeat_age: gauge "kubeipvs_heartbeat_age_seconds" []
        "Time since the last heartbeat of the loop.";
    backlog: gauge "kubeipvs_unapplied_events" []
        "Events of the cluster that a source has sent and the loop has not applied yet.";
    backlog_age: gauge "kubeipvs_unapplied_event_age_seconds" []
        "Age of the oldest unapplied event; 0 without one or before every source has delivered a full list.";
    conntrack_duration: sync "kubeproxy_conntrack_reconciler_sync_duration_seconds" ["ip_family"]
        "Duration of deletions of stale UDP connections.";
    conntrack_deleted: counter "kubeproxy_conntrack_reconciler_deleted_entries_total" ["ip_family"]
        "Stale UDP connections that were deleted.";
    kubernetes_build_info: gauge "kubernetes_build_info"
        ["major", "minor", "git_version", "git_commit", "git_tree_state", "build_date", "go_version",
         "compiler", "platform"]
        "Always 1. The labels have the Kubernetes version of the API server, as in Kubernetes' components.";
    features: gauge "kubernetes_feature_enabled" ["name", "stage"]
        "1 if the feature gate of kube-proxy is enabled, else 0. Only gates with an effect in ipvs mode are shown.";
    build_info: gauge "kubeipvs_build_info" ["version"]
        "Always 1. The label has the version of kube-ipvsd.";
    virtual_servers: gauge "kubeipvs_virtual_servers" ["ip_family", "protocol"]
        "Virtual servers that belong to kube-ipvs.";
    real_servers: gauge "kubeipvs_real_servers" ["ip_family", "protocol"]
        "Real servers of these virtual servers, including draining ones.";
    drains: gauge "kubeipvs_draining_real_servers" ["ip_family", "protocol"]
        "Real servers that get no new connections and keep existing ones.";
    slow_starts: gauge "kubeipvs_slow_starts" []
        "Real servers in a slow start (slowStart), whose weight grows.";
    slow_starts_skipped: counter "kubeipvs_slow_starts_skipped_total" []
        "Real servers that started with their full weight despite slowStart, because 4,096 others were in a slow start.";
    sync_daemons: gauge "kubeipvs_sync_daemons" ["role", "state"]
        "Synchronisation daemons of IPVS by role (master, backup): 1 for the state wanted if ipvs.sync.role names the role, 1 for the state running if the kernel has the daemon.";
    foreign: gauge "kubeipvs_foreign_virtual_servers" []
        "Virtual servers of other programs in the IPVS table. kube-ipvs never changes them.";
    drift: counter "kubeipvs_drift_repaired_total" ["operation"]
        "Repairs of changes that other programs made in the kernel's tables.";
    second_proxy: gauge "kubeipvs_second_proxy_detected" ["sign"]
        "1 while there is a sign of another program that writes the tables, such as a running kube-proxy (listener, process, table, writes), else 0.";
    findings: gauge "kubeipvs_findings" ["code", "level"]
        "Current findings about the cluster or the node, by code (see findings.md).";
    operations: counter "kubeipvs_kernel_operations_total" ["operation"]
        "Attempted changes of the kernel's tables.";
    errors: counter "kubeipvs_kernel_errors_total" ["operation", "errno"]
        "Failed changes of the kernel's tables. They are retried.";
    observe_failures: counter "kubeipvs_observe_failures_total" []
        "Failed readings of the kernel's tables.";
    failing_entries: gauge "kubeipvs_failing_entries" ["kind"]
        "Entries of the kernel's tables with a failed change, by kind (timeouts, sync_daemon, device, set, rules, setting, address, virtual_server).";
    failing_readings: gauge "kubeipvs_failing_readings" ["column"]
        "Failing readings of the kernel's tables, by column (virtual_servers, addresses, sets, rules, settings, sync_daemons).";
    large_services: gauge "kubeipvs_large_services_waiting" []
        "Changed Services that wait because each needs more than one sync.";
    waiting_entries: gauge "kubeipvs_entries_waiting" []
        "Virtual servers, addresses and set entries that the next syncs compare with the kernel.";
    withheld: gauge "kubeipvs_deletions_withheld" []
        "Deletions that wait until the lists of the cluster and the readings of the kernel are complete.";
    audit_age: gauge "kubeipvs_audit_age_seconds" []
        "Time since all tables of the kernel were last compared with the desired ones.";
    syncs: counter "kubeipvs_syncs_total" ["cause", "result"]
        "Syncs by cause (change, retry, audit, audit_slice, drain, node, slow_start) and result (ok, partial).";
    cause_duration: sync "kubeipvs_sync_duration_seconds" ["cause"]
        "Duration of syncs by cause (change, retry, audit, audit_slice, drain, node, slow_start).";
    events_dropped: counter "kubeipvs_events_dropped_total" []
        "Kubernetes Events that were dropped: too many, or refused by the API server.";
    set_entries: gauge "kubeipvs_set_entries" ["set"]
        "Entries of each ipset of kube-ipvs.";
    set_limit: gauge "kubeipvs_set_entries_limit" ["set"]
        "Maximum number of entries of each ipset of kube-ipvs (maxelem).";
    config_reloads: counter "kubeipvs_config_reloads_total" ["result"]
        "Reloads of the configuration by result (ok, failed).";
    config_ok: gauge "kubeipvs_config_last_reload_successful" []
        "1 if the last reading of the configuration succeeded, else 0.";
    config_time: gauge "kubeipvs_config_last_reload_success_timestamp_seconds" []
        "Unix time of the last successful reading of the configuration.";
    check_targets: gauge "kubeipvs_health_check_targets" ["state"]
        "Endpoints that this node probes for health checks, by state (healthy, failed).";
    check_probes: counter "kubeipvs_health_check_probes_total" ["type", "result"]
        "Probes of endpoints by type and result. local_error: this node could not send one, which does not count for the endpoint.";
    check_duration: sync "kubeipvs_health_check_probe_duration_seconds" ["type"]
        "Duration of probes of endpoints.";
    check_late: counter "kubeipvs_health_check_late_probes_total" []
        "Probes that started more than half an interval late, because healthChecks.maxConcurrent others were under way.";
    connections: gauge "kubeipvs_http_connections" ["share"]
        "Open HTTP connections, by the group of listeners that share a limit (health: health pages; common: metrics and health-check node ports).";
    connection_limit: gauge "kubeipvs_http_connections_limit" ["share"]
        "Maximum number of open HTTP connections, a part of process_max_fds.";
    connections_displaced: counter "kubeipvs_http_connections_displaced_total" ["share"]
        "HTTP connections that were closed to make room for another one.";
    accept_failures: counter "kubeipvs_http_accept_failures_total" ["share"]
        "Failed attempts to accept an HTTP connection, mostly for lack of file descriptors.";
}

/// Returns every metric. Metrics of the process, of traffic and of sources are read during a
/// scrape.
pub fn all() -> impl Iterator<Item = &'static Descriptor> {
    (SET.iter())
        .chain(super::process::DESCRIPTORS)
        .chain(super::traffic::DESCRIPTORS)
        .chain(super::sources::DESCRIPTORS)
}

/// Returns the exposed name of every metric. The series of a histogram also have the suffixes
/// `_bucket`, `_sum` and `_count`.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|descriptor| descriptor.name)
}
