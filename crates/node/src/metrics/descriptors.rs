//! Descriptions of metrics: the one table from which metrics are registered and their page is written.

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

/// Makes a [`Descriptor`] of each line, and a struct with a registered metric for each.
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

        /// The metrics that are set as things happen.
        pub(super) const SET: &[Descriptor] =
            &[$( metrics!(@descriptor $kind $name $labels $help), )*];
    };
}

metrics! {
    sync_duration: sync "kubeproxy_sync_proxy_rules_duration_seconds" ["ip_family"]
        "How long synchronisations took, reading included; one serves both families.";
    last_queued: gauge "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds" ["ip_family"]
        "When a synchronisation was last asked for, Unix time.";
    last_synced: gauge "kubeproxy_sync_proxy_rules_last_timestamp_seconds" ["ip_family"]
        "When changes of the cluster were last applied, or none waited, failed entries included, Unix time.";
    programming: programming "kubeproxy_network_programming_duration_seconds" ["ip_family"]
        "Time from the change of a pod or a Service to its being served here.";
    endpoint_changes_pending: gauge "kubeproxy_sync_proxy_rules_endpoint_changes_pending" []
        "Changes of EndpointSlices that wait.";
    endpoint_changes: counter "kubeproxy_sync_proxy_rules_endpoint_changes_total" []
        "Changes of EndpointSlices.";
    service_changes_pending: gauge "kubeproxy_sync_proxy_rules_service_changes_pending" []
        "Changes of Services that wait.";
    service_changes: counter "kubeproxy_sync_proxy_rules_service_changes_total" []
        "Changes of Services.";
    restore_failures: counter "kubeproxy_sync_proxy_rules_iptables_restore_failures_total" ["ip_family"]
        "Changes of the packet filter's rules that failed.";
    no_local_endpoints: gauge "kubeproxy_sync_proxy_rules_no_local_endpoints_total"
        ["ip_family", "traffic_policy"]
        "Services with a Local traffic policy (internal, external) and no endpoint on this node, though there are some elsewhere.";
    healthz: counter "kubeproxy_proxy_healthz_total" ["code"]
        "Answers of the health server at /healthz.";
    livez: counter "kubeproxy_proxy_livez_total" ["code"]
        "Answers of the health server at /livez.";
    readyz: counter "kubeipvs_proxy_readyz_total" ["code"]
        "Answers of the health server at /readyz.";
    ready: gauge "kubeipvs_ready" []
        "1 once every source has delivered a full list and the first sync has ended, else 0; the answer at /readyz.";
    heartbeat_age: gauge "kubeipvs_heartbeat_age_seconds" []
        "Time since the loop's last sign of life.";
    backlog: gauge "kubeipvs_unapplied_events" []
        "Events of the cluster that were sent by a source and are not applied yet.";
    backlog_age: gauge "kubeipvs_unapplied_event_age_seconds" []
        "Age of the oldest of them, 0 without one or before every source has delivered a full list.";
    conntrack_duration: sync "kubeproxy_conntrack_reconciler_sync_duration_seconds" ["ip_family"]
        "How long cleanings of stale UDP connections took.";
    conntrack_deleted: counter "kubeproxy_conntrack_reconciler_deleted_entries_total" ["ip_family"]
        "Stale UDP connections that were deleted.";
    kubernetes_build_info: gauge "kubernetes_build_info"
        ["major", "minor", "git_version", "git_commit", "git_tree_state", "build_date", "go_version",
         "compiler", "platform"]
        "1. The Kubernetes version that this proxy stands for, in the labels of Kubernetes' components.";
    features: gauge "kubernetes_feature_enabled" ["name", "stage"]
        "1 where the feature gate of kube-proxy is on here, else 0: those that decide something in ipvs mode.";
    build_info: gauge "kubeipvs_build_info" ["version"]
        "1. The daemon's version.";
    virtual_servers: gauge "kubeipvs_virtual_servers" ["ip_family", "protocol"]
        "Virtual servers of ours.";
    real_servers: gauge "kubeipvs_real_servers" ["ip_family", "protocol"]
        "Real servers of our virtual servers, draining ones included.";
    drains: gauge "kubeipvs_draining_real_servers" ["ip_family", "protocol"]
        "Real servers that get no new connections and keep old ones.";
    foreign: gauge "kubeipvs_foreign_virtual_servers" []
        "Virtual servers of others in the same table, which are left alone.";
    drift: counter "kubeipvs_drift_repaired_total" ["operation"]
        "Repairs of what others did to the kernel's tables.";
    second_proxy: gauge "kubeipvs_second_proxy_detected" ["sign"]
        "1 while there is a sign of another program that writes the tables, such as a kube-proxy that started later (listener, process, table, writes), else 0.";
    findings: gauge "kubeipvs_findings" ["code", "level"]
        "What is odd about the cluster or the node now, by code (see findings.md).";
    operations: counter "kubeipvs_kernel_operations_total" ["operation"]
        "Changes of the kernel's tables that were tried.";
    errors: counter "kubeipvs_kernel_errors_total" ["operation", "errno"]
        "Changes of the kernel's tables that failed; they are tried again.";
    observe_failures: counter "kubeipvs_observe_failures_total" []
        "Readings of the kernel's tables that failed.";
    failing_entries: gauge "kubeipvs_failing_entries" ["kind"]
        "Entries of the kernel's tables of which a change failed, by kind (timeouts, device, set, rules, setting, address, virtual_server).";
    failing_readings: gauge "kubeipvs_failing_readings" ["column"]
        "Readings of the kernel's tables that fail, by column (virtual_servers, addresses, sets, rules, settings).";
    large_services: gauge "kubeipvs_large_services_waiting" []
        "Services that changed and wait for their turn because each needs more than one synchronisation.";
    waiting_entries: gauge "kubeipvs_entries_waiting" []
        "Virtual servers, addresses and set entries that are to be compared with the kernel in the next synchronisations.";
    withheld: gauge "kubeipvs_deletions_withheld" []
        "Deletions that wait until the view of the cluster and of the kernel is complete.";
    audit_age: gauge "kubeipvs_audit_age_seconds" []
        "Time since the kernel's whole table was last compared with the wanted one.";
    syncs: counter "kubeipvs_syncs_total" ["cause", "result"]
        "Synchronisations by what led to them (change, retry, audit, audit_slice, drain, node) and result (ok, partial).";
    cause_duration: sync "kubeipvs_sync_duration_seconds" ["cause"]
        "How long synchronisations took, by what led to them (change, retry, audit, audit_slice, drain, node).";
    events_dropped: counter "kubeipvs_events_dropped_total" []
        "Kubernetes Events that were not sent, since there were too many or the API server refused them.";
    set_entries: gauge "kubeipvs_set_entries" ["set"]
        "Entries of each set of ours.";
    set_limit: gauge "kubeipvs_set_entries_limit" ["set"]
        "Entries that each set of ours can hold (maxelem).";
    config_reloads: counter "kubeipvs_config_reloads_total" ["result"]
        "Readings of the configuration after the first (ok, failed).";
    config_ok: gauge "kubeipvs_config_last_reload_successful" []
        "1 where the configuration was last read without a mistake, else 0.";
    config_time: gauge "kubeipvs_config_last_reload_success_timestamp_seconds" []
        "When the configuration was last read without a mistake, Unix time.";
    connections: gauge "kubeipvs_http_connections" ["share"]
        "Open HTTP connections by the listeners that share a limit (health: the health pages; common: metrics and health-check node ports).";
    connection_limit: gauge "kubeipvs_http_connections_limit" ["share"]
        "HTTP connections that may be open at once; a part of process_max_fds.";
    connections_displaced: counter "kubeipvs_http_connections_displaced_total" ["share"]
        "HTTP connections that were closed to make room for another one.";
    accept_failures: counter "kubeipvs_http_accept_failures_total" ["share"]
        "HTTP connections that could not be accepted at once, for want of file descriptors above all.";
}

/// Every metric: those of the process, of traffic and of sources are read when they are asked for.
pub fn all() -> impl Iterator<Item = &'static Descriptor> {
    (SET.iter())
        .chain(super::process::DESCRIPTORS)
        .chain(super::traffic::DESCRIPTORS)
        .chain(super::sources::DESCRIPTORS)
}

/// The name of every metric as it is exposed; a histogram's series have the endings `_bucket`, `_sum` and
/// `_count` too.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|descriptor| descriptor.name)
}
