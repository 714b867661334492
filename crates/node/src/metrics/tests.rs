//! Tests that metrics are exposed as the table describes them.

mod exposition;
mod reports;
mod sources;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ipvs::AddressFamily::{Ipv4, Ipv6};
use model::cluster::PolicyScope;
use model::names::ObjectName;
use model::tables::WithoutLocal;

use self::exposition::Exposition;
use super::comparison::{Counterpart, KUBE_PROXY};
use super::{
    Buckets, Changes, Kind, Metrics, SourceMetrics, TableCounts, Traffic, TrafficOptions, all,
    errno_name, names, page,
};
use crate::http::Share;
use crate::metrics::HealthPage;

fn metrics_with(options: TrafficOptions, traffic: Traffic) -> Metrics {
    metrics_of(options, traffic, SourceMetrics::default())
}

fn metrics_of(options: TrafficOptions, traffic: Traffic, sources: SourceMetrics) -> Metrics {
    let families = BTreeSet::from([Ipv4, Ipv6]);
    Metrics::new(families, options, traffic, sources).expect("a valid table")
}

fn metrics() -> Metrics {
    metrics_with(TrafficOptions::default(), Traffic::default())
}

fn scrape(metrics: &Metrics) -> Exposition {
    let text = metrics.text(Instant::now()).expect("text");
    Exposition::parse(&text)
}

/// Checks that every line is exposed.
#[track_caller]
fn check(metrics: &Metrics, lines: &[&str]) {
    let text = metrics.text(Instant::now()).expect("text");
    for line in lines {
        assert!(
            text.lines().any(|it| it == *line),
            "{line} is not in:\n{text}"
        );
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Returns metrics with a value for every descriptor.
fn full() -> Metrics {
    let traffic = Traffic::default();
    traffic.set(Arc::from(traffic::reading(1, 1)));
    let options = TrafficOptions {
        services: TrafficOptions::SERVICE_LABELS.into(),
        endpoints: TrafficOptions::ENDPOINT_LABELS.into(),
        limit: 10,
    };
    let metrics = metrics_of(options, traffic, sources::watching());
    metrics.health(&sources::health(), Instant::now());
    metrics.set_kubernetes_version("1", "34", "v1.34.2");
    metrics.features(true);
    metrics.queued(at(10));
    metrics.synced("change", Duration::from_millis(3), 0);
    metrics.settled(at(11));
    metrics.audited(Instant::now());
    metrics.programmed(Ipv4, Duration::from_secs(1));
    let changes = Changes {
        received: 1,
        pending: 1,
    };
    metrics.changes(changes, changes);
    let without = WithoutLocal::from([(Ipv4, PolicyScope::Internal)]);
    let web = ObjectName::new("shop", "web");
    metrics.without_local_endpoints(&BTreeMap::from([(web, without)]));
    metrics.health_asked(HealthPage::Livez, 200);
    metrics.conntrack_cleaned(Ipv6, Duration::from_millis(1), 1);
    metrics.foreign(1);
    metrics.withheld(1);
    metrics.slow_starts_skipped(1);
    metrics.observe_failed();
    metrics.events_dropped(1);
    metrics.config_loaded(true, true, at(12));
    metrics.connection_limit(Share::Common, 1);
    metrics.counted(&TableCounts::of(&reports::tables()));
    reports::apply(&metrics);
    metrics
}

#[test]
fn every_metric_of_the_table_is_exposed_and_no_other() {
    let exposition = scrape(&full());
    let expected: BTreeMap<String, String> = all()
        .map(|descriptor| {
            (
                descriptor.name.to_owned(),
                descriptor.kind.word().to_owned(),
            )
        })
        .collect();
    assert_eq!(exposition.types, expected);
}

#[test]
fn series_have_the_labels_of_the_table() {
    let exposition = scrape(&full());
    for descriptor in all() {
        let expected: BTreeSet<&str> = descriptor.labels.iter().copied().collect();
        for ending in descriptor.kind.endings() {
            let name = format!("{}{ending}", descriptor.name);
            let mut series = exposition.series_of(&name).peekable();
            assert!(series.peek().is_some(), "{name} has no series");
            for labels in series {
                let mut got: BTreeSet<&str> = labels.keys().map(String::as_str).collect();
                assert_eq!(got.remove("le"), *ending == "_bucket", "{name}");
                assert_eq!(got, expected, "{name}");
            }
        }
    }
}

#[test]
fn counters_end_in_total_and_only_one_gauge_does() {
    for descriptor in all() {
        let total = descriptor.name.ends_with("_total");
        match descriptor.kind {
            Kind::Counter => assert!(total, "{}", descriptor.name),
            // kube-proxy's name.
            _ if total => assert_eq!(
                descriptor.name,
                "kubeproxy_sync_proxy_rules_no_local_endpoints_total"
            ),
            _ => {}
        }
        assert!(!descriptor.name.contains("_total_total"));
    }
}

#[test]
fn metrics_with_kube_proxys_prefix_exist_in_kube_proxy() {
    let ours: BTreeSet<&str> = names()
        .filter(|name| name.starts_with("kubeproxy_"))
        .collect();
    let theirs = [
        "conntrack_reconciler_deleted_entries_total",
        "conntrack_reconciler_sync_duration_seconds",
        "network_programming_duration_seconds",
        "proxy_healthz_total",
        "proxy_livez_total",
        "sync_proxy_rules_duration_seconds",
        "sync_proxy_rules_endpoint_changes_pending",
        "sync_proxy_rules_endpoint_changes_total",
        "sync_proxy_rules_iptables_restore_failures_total",
        "sync_proxy_rules_last_queued_timestamp_seconds",
        "sync_proxy_rules_last_timestamp_seconds",
        "sync_proxy_rules_no_local_endpoints_total",
        "sync_proxy_rules_service_changes_pending",
        "sync_proxy_rules_service_changes_total",
    ];
    let theirs: BTreeSet<String> = theirs
        .iter()
        .map(|name| format!("kubeproxy_{name}"))
        .collect();
    assert_eq!(ours, theirs.iter().map(String::as_str).collect());
}

#[test]
fn buckets_are_kube_proxys() {
    let sync = Buckets::Sync.bounds();
    assert_eq!((sync.len(), sync[0], sync[14]), (15, 0.001, 16.384));
    let programming = Buckets::Programming.bounds();
    assert_eq!(programming.len(), 80);
    // client-go's (component-base/metrics/prometheus/restclient/metrics.go, 1.34).
    assert_eq!(
        Buckets::Requests.bounds(),
        [
            0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0
        ]
    );
    assert_eq!(
        [0, 1, 2, 60, 61, 72, 73, 79].map(|index| programming[index]),
        [0.25, 0.5, 1.0, 59.0, 60.0, 115.0, 120.0, 300.0]
    );
}

#[test]
fn a_sync_counts_for_both_families() {
    let metrics = metrics();
    metrics.queued(at(100));
    metrics.synced("change", Duration::from_millis(3), 0);
    check(
        &metrics,
        &[
            r#"kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family="IPv4"} 100"#,
            r#"kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family="IPv4",le="0.002"} 0"#,
            r#"kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family="IPv4",le="0.004"} 1"#,
            r#"kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv6"} 1"#,
            r#"kubeipvs_syncs_total{cause="change",result="ok"} 1"#,
            r#"kubeipvs_sync_duration_seconds_count{cause="change"} 1"#,
        ],
    );
}

#[test]
fn the_age_of_the_audit_is_computed_at_the_scrape() {
    let metrics = metrics();
    let start = Instant::now();
    let text = |seconds| {
        let now = start + Duration::from_secs(seconds);
        metrics.text(now).expect("text")
    };
    assert!(!text(5).contains("kubeipvs_audit_age_seconds"), "none yet");
    metrics.audited(start);
    assert!(text(5).contains("\nkubeipvs_audit_age_seconds 5\n"));
    assert!(text(7).contains("\nkubeipvs_audit_age_seconds 7\n"));
}

#[test]
fn failure_series_exist_before_the_first_failure() {
    check(
        &metrics(),
        &[
            r#"kubeproxy_proxy_healthz_total{code="503"} 0"#,
            r#"kubeipvs_proxy_readyz_total{code="503"} 0"#,
            r#"kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family="IPv6"} 0"#,
            r#"kubeipvs_findings{code="KIV0201",level="error"} 0"#,
            r#"kubeipvs_syncs_total{cause="audit",result="partial"} 0"#,
            r#"kubeipvs_config_reloads_total{result="failed"} 0"#,
            "kubeipvs_observe_failures_total 0",
            "kubeipvs_events_dropped_total 0",
        ],
    );
}

#[test]
fn process_metrics_describe_this_process() {
    let exposition = scrape(&metrics());
    let value = |name: &str| exposition.value(name).expect("a series");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    let age = now.as_secs_f64() - value("process_start_time_seconds");
    assert!((-2.0..3600.0).contains(&age), "started {age} s ago");
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_max_fds") >= value("process_open_fds"));
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
    let cpu = value("process_cpu_seconds_total");
    let busy = Instant::now();
    while busy.elapsed() < Duration::from_millis(100) {}
    let later = scrape(&metrics()).value("process_cpu_seconds_total");
    assert!(later.expect("a series") > cpu);
}

#[test]
fn a_refused_configuration_is_shown() {
    let metrics = metrics();
    metrics.config_loaded(true, false, at(50));
    metrics.config_loaded(false, true, at(60));
    check(
        &metrics,
        &[
            "kubeipvs_config_last_reload_successful 0",
            "kubeipvs_config_last_reload_success_timestamp_seconds 50",
            r#"kubeipvs_config_reloads_total{result="failed"} 1"#,
            r#"kubeipvs_config_reloads_total{result="ok"} 0"#,
        ],
    );
}

#[test]
fn a_synchronisation_daemon_that_does_not_run_is_shown() {
    let metrics = metrics();
    let tables = |section: &str| model::text::parse(section).expect("it parses");
    let wanted = tables("# sync\n--start-daemon master --mcast-interface eth1");
    let running = tables("# sync\n--start-daemon backup --mcast-interface eth1");
    metrics.sync_daemons(&wanted, &running);
    check(
        &metrics,
        &[
            "kubeipvs_sync_daemons{role=\"master\",state=\"wanted\"} 1",
            "kubeipvs_sync_daemons{role=\"master\",state=\"running\"} 0",
            "kubeipvs_sync_daemons{role=\"backup\",state=\"wanted\"} 0",
            "kubeipvs_sync_daemons{role=\"backup\",state=\"running\"} 1",
        ],
    );
}

#[test]
fn only_the_latest_kubernetes_version_is_shown() {
    let metrics = metrics();
    metrics.set_kubernetes_version("1", "33", "v1.33.1");
    metrics.set_kubernetes_version("1", "34", "v1.34.2");
    let exposition = scrape(&metrics);
    let versions: Vec<_> = exposition
        .series_of("kubernetes_build_info")
        .map(|labels| labels["git_version"].clone())
        .collect();
    assert_eq!(versions, ["v1.34.2"]);
}

#[test]
fn error_numbers_have_names() {
    assert_eq!(errno_name(libc::EEXIST), "EEXIST");
    assert_eq!(errno_name(4352), "4352");
}

#[test]
fn metrics_compared_as_same_exist() {
    let here: BTreeSet<&str> = names().collect();
    let slis = super::slis::DESCRIPTORS.iter();
    let here = &here | &slis.map(|descriptor| descriptor.name).collect();
    let same = |counterpart: &Counterpart| matches!(counterpart, Counterpart::Same);
    for (name, stands) in KUBE_PROXY {
        assert_eq!(here.contains(name), same(stands), "{name}");
    }
    let compared = |name: &&&str| KUBE_PROXY.iter().any(|(known, _)| *known == **name);
    let left: Vec<_> = (here.iter())
        .filter(|name| name.starts_with("kubeproxy_") || name.starts_with("kubernetes_"))
        .filter(|name| !compared(name))
        .collect();
    assert_eq!(left, [&""; 0]);
    let of_ipvs_mode = KUBE_PROXY
        .iter()
        .filter(|(name, stands)| name.starts_with("kubeproxy_") && same(stands));
    assert_eq!(of_ipvs_mode.count(), 14);
}

#[test]
fn docs_are_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/metrics.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, page()).expect("the page is written");
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap_or_default(),
        page(),
        "run BLESS=1 cargo test -p node docs_are_current"
    );
}
