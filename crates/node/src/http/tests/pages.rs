//! Tests of the pages of both servers.

use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant, SystemTime};

use ipvs::AddressFamily::Ipv4;
use model::{ClusterEvent, ObjectKind};
use sources::{ProblemKind, Progress, SourceProblem, SourceStatuses};
use tokio::sync::watch;

use super::{Running, get, metrics, resolved};
use crate::change_log::ChangeLog;
use crate::health::Health;
use crate::http::flagz::Flags;
use crate::http::owners_page::OwnersPage;
use crate::http::status::{DrainStatus, Status};
use crate::http::{Limits, Request, health_pages, metrics_pages};

/// Returns the content of the pages of a node that has just started.
fn pages() -> metrics_pages::Pages {
    metrics_pages::Pages {
        checks: Default::default(),
        slow_starts: Default::default(),
        metrics: metrics(),
        status: Arc::default(),
        changes: ChangeLog::default(),
        owners: OwnersPage::default(),
        health: Arc::new(Mutex::new(fresh())),
        config: watch::channel(Arc::new(resolved(""))).1,
        flags: Arc::default(),
    }
}

fn metrics_server() -> Running {
    let drain = DrainStatus {
        virtual_server: "10.96.0.10:80/TCP".to_owned(),
        real_server: "10.1.2.3:8080".to_owned(),
        service: None,
        since: "2026-01-02T03:05:05Z".to_owned(),
        active_connections: 2,
        inactive_connections: 1,
        ends: None,
    };
    let status = Status {
        version: "0.1.0".to_owned(),
        node_name: "node1".to_owned(),
        drains: vec![drain],
        ..Status::default()
    };
    let flags = [("a", "1"), ("b", "")].map(|(flag, value)| (flag.to_owned(), value.to_owned()));
    let pages = metrics_pages::Pages {
        status: Arc::new(RwLock::new(status)),
        flags: Arc::new(Flags::from(flags)),
        ..pages()
    };
    Running::of(metrics_pages::handler(pages), Limits::default())
}

const FLAGZ: &str = "
kube-ipvsd flagz
Warning: this page is for people who debug. No program should read it, and its format may change.

a=1
b=
";

const DRAINS: &str = r#"[
  {
    "virtualServer": "10.96.0.10:80/TCP",
    "realServer": "10.1.2.3:8080",
    "service": null,
    "since": "2026-01-02T03:05:05Z",
    "activeConnections": 2,
    "inactiveConnections": 1,
    "ends": null
  }
]
"#;

const CHANGES: &str = r#"{
  "apiVersion": "kube-ipvs.io/v1alpha1",
  "kind": "Changes",
  "nodeName": "node1",
  "started": "",
  "limit": 500,
  "next": 0,
  "missed": 0,
  "changes": []
}
"#;

#[test]
fn each_page_of_the_metrics_server_has_its_type_and_body() {
    let (text, json) = ("text/plain; charset=utf-8", "application/json");
    let (ok, not_found) = ("200 OK", "404 Not Found");
    let configz = resolved("").configz().to_string();
    let nothing = "404 page not found\n";
    let server = metrics_server();
    for (path, status, kind, body) in [
        ("/healthz", ok, text, "ok"),
        ("/livez", ok, text, "ok"),
        ("/proxyMode", ok, text, "ipvs"),
        ("/configz", ok, json, &*configz),
        ("/flagz", ok, text, FLAGZ),
        ("/drains", ok, json, DRAINS),
        ("/changes", ok, json, CHANGES),
        ("/", not_found, text, nothing),
        ("/metric", not_found, text, nothing),
        ("/metrics/", not_found, text, nothing),
        ("/debug/pprof/", not_found, text, nothing),
    ] {
        let expected = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nx-content-type-options: nosniff\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(get(server.address, path), expected, "{path}");
    }
}

#[test]
fn configz_is_the_configuration() {
    let page = resolved("").configz();
    let of_kube_proxy = &page["kubeproxy.config.k8s.io"];
    assert_eq!(of_kube_proxy["kind"], "KubeProxyConfiguration");
    assert_eq!(of_kube_proxy["ipvs"]["syncPeriod"], "30s");
    assert_eq!(of_kube_proxy["drainTimeout"], serde_json::Value::Null);
    assert_eq!(page["kube-ipvs.io"]["drainTimeout"], "15m0s");
}

#[test]
fn slis_show_the_current_health() {
    let pages = pages();
    let proxy = health_pages::handler(pages.health.clone(), pages.metrics.clone());
    let pages = metrics_pages::handler(pages);
    let ask = |path| pages(&Request { path, query: "" });
    for path in ["/healthz", "/livez", "/readyz"] {
        proxy(&Request { path, query: "" });
    }
    ask("/healthz");
    let page = ask("/metrics/slis");
    for line in [
        "# TYPE kubernetes_healthcheck gauge",
        "# TYPE kubernetes_healthchecks_total counter",
        r#"kubernetes_healthcheck{name="ping",type="healthz"} 1"#,
        r#"kubernetes_healthcheck{name="proxy",type="livez"} 1"#,
        r#"kubernetes_healthcheck{name="proxy",type="readyz"} 0"#,
        r#"kubernetes_healthchecks_total{name="ping",status="success",type="healthz"} 1"#,
        r#"kubernetes_healthchecks_total{name="proxy",status="success",type="livez"} 1"#,
        r#"kubernetes_healthchecks_total{name="proxy",status="error",type="readyz"} 1"#,
        r#"kubernetes_healthchecks_total{name="proxy",status="error",type="livez"} 0"#,
    ] {
        assert!(
            page.body.lines().any(|shown| shown == line),
            "{line}: {}",
            page.body
        );
    }
    assert!(!ask("/metrics").body.contains("kubernetes_healthcheck"));
}

#[test]
fn features_follow_the_configuration_in_force() {
    let (sender, in_force) = watch::channel(Arc::new(resolved("")));
    let pages = metrics_pages::handler(metrics_pages::Pages {
        config: in_force,
        ..pages()
    });
    let shows = |value: u8| {
        let page = pages(&Request {
            path: "/metrics",
            query: "",
        })
        .body;
        let line = format!(
            "kubernetes_feature_enabled{{name=\"AllowServiceExternalIPs\",stage=\"DEPRECATED\"}} {value}"
        );
        page.lines().any(|shown| shown == line)
    };
    assert!(shows(1));
    let mut denies = resolved("");
    denies.node.external_ips = model::config::ExternalIpPolicy::Deny;
    sender.send_replace(Arc::new(denies));
    assert!(shows(0));
}

#[test]
fn statusz_is_text_or_json() {
    let server = metrics_server();
    let text = get(server.address, "/statusz");
    assert!(
        text.contains("\r\n\r\nkube-ipvsd 0.1.0 on node1, since"),
        "{text}"
    );
    let json = get(server.address, "/statusz?format=json");
    let body = json.split_once("\r\n\r\n").expect("a body").1;
    let value: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(value["nodeName"], "node1");
    assert_eq!(value["drains"][0]["realServer"], "10.1.2.3:8080");
    assert_eq!(value["apiVersion"], "kube-ipvs.io/v1alpha1");
    assert_eq!(value["kind"], "DaemonStatus");
}

#[test]
fn metrics_are_text_of_version_0_0_4() {
    let answer = get(metrics_server().address, "/metrics");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{head}"
    );
    assert!(
        body.contains("\nkubeproxy_proxy_healthz_total{code=\"200\"} 0\n"),
        "{body}"
    );
}

/// Checks the answer of the health server at `path`, without the times in its body, and the metric
/// that counts it.
fn check_health(health: Health, path: &str, status: &str, body: &str, counted: &str) {
    let metrics = metrics();
    let handler = health_pages::handler(Arc::new(Mutex::new(health)), Arc::clone(&metrics));
    let server = Running::of(handler, Limits::default());
    let answer = get(server.address, path);
    let (head, got) = answer.split_once("\r\n\r\n").expect("a body");
    assert_eq!(
        head,
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n\
             connection: close\r\ncontent-length: {}",
            got.len()
        )
    );
    assert_eq!(without_times(got), body);
    let text = metrics.text(Instant::now()).expect("text");
    assert!(text.contains(&format!("\n{counted}\n")), "{text}");
}

/// Replaces each time by `T` after checking that it is one.
fn without_times(body: &str) -> String {
    let mut value: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let mut text = body.to_owned();
    let mut cut = |value: &mut serde_json::Value, key: &str| {
        let time = value[key].take();
        let time = time.as_str().expect("a time");
        time.parse::<jiff::Timestamp>().expect("RFC 3339");
        text = text.replacen(&format!("{time:?}"), "T", 1);
    };
    cut(&mut value, "lastUpdated");
    cut(&mut value, "currentTime");
    cut(&mut value["status"]["IPv4"], "lastUpdated");
    text
}

fn health(sync_period: Duration, progress: Progress) -> Health {
    Health::new([Ipv4], sync_period, progress, Instant::now())
}

fn fresh() -> Health {
    health(Duration::from_secs(30), Progress::default())
}

fn late() -> Health {
    let progress = Progress::default();
    for kind in ObjectKind::ALL {
        (progress.backlog).stamp(&ClusterEvent::ListDone(kind), Instant::now());
    }
    health(Duration::ZERO, progress)
}

/// Returns the health of a node with one source. The first sync has ended.
fn with_source(listed: bool, refused: bool) -> Health {
    let statuses = SourceStatuses::new(&["services"], SystemTime::now());
    if listed {
        statuses.list_done("services", SystemTime::now());
    }
    if refused {
        let problem = SourceProblem {
            subject: "services".into(),
            kind: ProblemKind::Forbidden,
            message: "failed to list services: 403".to_owned(),
            advice: None,
        };
        statuses.failed("services", &problem, SystemTime::now());
    }
    let progress = Progress {
        statuses,
        ..Progress::default()
    };
    let mut health = health(Duration::from_secs(30), progress);
    health.synced();
    health
}

/// Checks status, `missing` and `stale` of the answer of `/readyz`.
fn check_ready(health: Health, status: &str, missing: &[&str], stale: &[&str]) {
    assert_eq!(health.is_ready(), status == "200", "the metric");
    let metrics = metrics();
    let handler = health_pages::handler(Arc::new(Mutex::new(health)), Arc::clone(&metrics));
    let server = Running::of(handler, Limits::default());
    let answer = get(server.address, "/readyz");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["ready"], status == "200");
    for (key, wanted) in [("missing", missing), ("stale", stale)] {
        let texts = body[key].as_array().expect("texts");
        assert_eq!(texts.len(), wanted.len(), "{body}");
        for (text, wanted) in texts.iter().zip(wanted) {
            let text = text.as_str().expect("a text");
            assert!(text.contains(wanted), "{text}");
        }
    }
    let text = metrics.text(Instant::now()).expect("text");
    let counted = format!("\nkubeipvs_proxy_readyz_total{{code=\"{status}\"}} 1\n");
    assert!(text.contains(&counted), "{text}");
}

#[test]
fn readyz_names_missing_conditions() {
    check_ready(
        fresh(),
        "503",
        &["no source has started", "the first sync has not ended"],
        &[],
    );
    check_ready(
        with_source(false, false),
        "503",
        &["services: no full list yet, listing"],
        &[],
    );
    let refused = "services: no full list yet, refused: failed to list services: 403";
    check_ready(with_source(false, true), "503", &[refused], &[]);
}

#[test]
fn a_ready_node_stays_ready_and_names_stale_sources() {
    check_ready(with_source(true, false), "200", &[], &[]);
    let refused = [": failed to list services: 403"];
    check_ready(with_source(true, true), "200", &[], &refused);
}

fn leaving() -> Health {
    let mut health = fresh();
    health.set_node_eligible(false);
    health
}

#[test]
fn healthz_depends_on_the_proxy_and_the_node() {
    check_health(
        fresh(),
        "/healthz",
        "200 OK",
        r#"{"lastUpdated":T,"currentTime":T,"nodeEligible":true,"healthy":true,"status":{"IPv4":{"lastUpdated":T,"healthy":true}}}"#,
        r#"kubeproxy_proxy_healthz_total{code="200"} 1"#,
    );
    check_health(
        leaving(),
        "/healthz",
        "503 Service Unavailable",
        r#"{"lastUpdated":T,"currentTime":T,"nodeEligible":false,"healthy":false,"status":{"IPv4":{"lastUpdated":T,"healthy":true}}}"#,
        r#"kubeproxy_proxy_healthz_total{code="503"} 1"#,
    );
}

#[test]
fn livez_depends_on_the_proxy() {
    check_health(
        leaving(),
        "/livez",
        "200 OK",
        r#"{"lastUpdated":T,"currentTime":T,"healthy":true,"status":{"IPv4":{"lastUpdated":T,"healthy":true}}}"#,
        r#"kubeproxy_proxy_livez_total{code="200"} 1"#,
    );
    check_health(
        late(),
        "/livez",
        "503 Service Unavailable",
        r#"{"lastUpdated":T,"currentTime":T,"healthy":false,"status":{"IPv4":{"lastUpdated":T,"healthy":false}}}"#,
        r#"kubeproxy_proxy_livez_total{code="503"} 1"#,
    );
}

#[test]
fn the_health_server_has_no_other_page() {
    let handler = health_pages::handler(Arc::new(Mutex::new(fresh())), metrics());
    let server = Running::of(handler, Limits::default());
    assert!(get(server.address, "/metrics").starts_with("HTTP/1.1 404 Not Found\r\n"));
}
