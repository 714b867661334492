//! Tests of the metrics of sources and requests.

use std::time::{Duration, Instant};

use ipvs::AddressFamily::Ipv4;
use model::{ClusterEvent, ObjectKind};
use sources::kube::{Connection, SOURCES};
use sources::{ProblemKind, Progress, SourceProblem, SourceStatuses};
use tokio::runtime::Runtime;

use super::{at, check, metrics_of};
use crate::health::Health;
use crate::metrics::{Metrics, SourceMetrics, Traffic, TrafficOptions};

/// Returns a watching source and an API server without requests.
pub(super) fn watching() -> SourceMetrics {
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let url = "http://10.96.0.1:6443".parse().expect("a URL");
    let connection = Connection::without_credentials(url).expect("a client");
    let statuses = SourceStatuses::new(&SOURCES, at(1));
    statuses.list_done("services", at(60));
    SourceMetrics {
        statuses,
        requests: Some(connection.requests),
    }
}

/// Returns the health of a loop that has just started.
pub(super) fn health() -> Health {
    let (period, progress) = (Duration::from_secs(30), Progress::default());
    Health::new([Ipv4], period, progress, Instant::now())
}

fn metrics(sources: SourceMetrics) -> Metrics {
    metrics_of(TrafficOptions::default(), Traffic::default(), sources)
}

#[test]
fn a_source_has_one_state() {
    let sources = watching();
    let statuses = sources.statuses.clone();
    let metrics = metrics(sources);
    check(
        &metrics,
        &[
            r#"kubeipvs_source_state{source="services",state="watching"} 1"#,
            r#"kubeipvs_source_state{source="services",state="refused"} 0"#,
            r#"kubeipvs_source_state{source="nodes",state="listing"} 1"#,
            r#"kubeipvs_source_listed{source="services"} 1"#,
            r#"kubeipvs_source_listed{source="nodes"} 0"#,
            r#"kubeipvs_source_last_success_timestamp_seconds{source="services"} 60"#,
            r#"kubeipvs_source_last_success_timestamp_seconds{source="nodes"} 0"#,
            r#"kubeipvs_source_watch_restarts_total{source="services"} 0"#,
            r#"kubeipvs_source_relists_total{source="services"} 0"#,
        ],
    );
    let problem = SourceProblem {
        subject: "services".into(),
        kind: ProblemKind::Forbidden,
        message: "403".to_owned(),
        advice: None,
    };
    statuses.watch_restarted("services", at(70));
    statuses.list_done("services", at(80));
    statuses.failed("services", &problem, at(90));
    check(
        &metrics,
        &[
            r#"kubeipvs_source_state{source="services",state="watching"} 0"#,
            r#"kubeipvs_source_state{source="services",state="refused"} 1"#,
            r#"kubeipvs_source_listed{source="services"} 1"#,
            r#"kubeipvs_source_last_success_timestamp_seconds{source="services"} 80"#,
            r#"kubeipvs_source_watch_restarts_total{source="services"} 1"#,
            r#"kubeipvs_source_relists_total{source="services"} 1"#,
        ],
    );
}

#[test]
fn requests_have_client_gos_names_and_labels() {
    check(
        &metrics(watching()),
        &[
            r#"rest_client_requests_total{code="200",method="GET",host="10.96.0.1:6443"} 0"#,
            r#"rest_client_requests_total{code="<error>",method="GET",host="10.96.0.1:6443"} 0"#,
            r#"rest_client_request_duration_seconds_bucket{verb="GET",host="10.96.0.1:6443",le="0.005"} 0"#,
            r#"rest_client_request_duration_seconds_bucket{verb="GET",host="10.96.0.1:6443",le="+Inf"} 0"#,
            r#"rest_client_request_duration_seconds_count{verb="GET",host="10.96.0.1:6443"} 0"#,
        ],
    );
}

#[test]
fn files_have_no_series_of_requests() {
    let files = SourceMetrics {
        statuses: SourceStatuses::new(&["files"], at(1)),
        requests: None,
    };
    let text = metrics(files).text(Instant::now()).expect("text");
    assert!(!text.contains("rest_client"), "{text}");
    assert!(text.contains("kubeipvs_source_state{source=\"files\""));
}

#[test]
fn the_health_of_the_loop_is_computed_at_the_scrape() {
    let progress = Progress::default();
    let start = Instant::now();
    for kind in ObjectKind::ALL {
        (progress.backlog).stamp(&ClusterEvent::ListDone(kind), start);
    }
    let mut health = Health::new([Ipv4], Duration::from_secs(30), progress, start);
    let metrics = metrics(SourceMetrics::default());
    metrics.health(&health, start + Duration::from_secs(7));
    check(
        &metrics,
        &[
            "kubeipvs_heartbeat_age_seconds 7",
            "kubeipvs_unapplied_events 3",
            "kubeipvs_unapplied_event_age_seconds 7",
            "kubeipvs_ready 0",
        ],
    );
    health.alive(start + Duration::from_secs(8));
    health.applied(3, start + Duration::from_secs(8));
    metrics.health(&health, start + Duration::from_secs(9));
    check(
        &metrics,
        &[
            "kubeipvs_heartbeat_age_seconds 1",
            "kubeipvs_unapplied_events 0",
            "kubeipvs_unapplied_event_age_seconds 0",
        ],
    );
}
