//! The pages of both servers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use ipvs::AddressFamily::Ipv4;

use super::{Running, get};
use crate::health::{Health, NodeHealth};
use crate::http::status::{DrainStatus, Status};
use crate::http::{Limits, health_pages, metrics_pages};
use crate::metrics::{Metrics, Traffic, TrafficOptions};

fn metrics() -> Arc<Metrics> {
    let families = BTreeSet::from([Ipv4]);
    let metrics = Metrics::new(families, TrafficOptions::default(), Traffic::default());
    Arc::new(metrics.expect("the table is right"))
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
    let pages = metrics_pages::Pages {
        metrics: metrics(),
        status: Arc::new(RwLock::new(status)),
        config: Arc::new(RwLock::new(r#"{"mode":"ipvs"}"#.into())),
    };
    Running::of(metrics_pages::handler(pages), Limits::default())
}

/// What the metrics server answers: status, type, body.
fn check(path: &str, status: &str, kind: &str, body: &str) {
    let server = metrics_server();
    assert_eq!(
        get(server.address, path),
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nx-content-type-options: nosniff\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    );
}

const TEXT: &str = "text/plain; charset=utf-8";

#[test]
fn the_metrics_server_says_that_it_is_there() {
    check("/healthz", "200 OK", TEXT, "ok");
    check("/livez", "200 OK", TEXT, "ok");
}

#[test]
fn proxy_mode_is_what_tools_look_for() {
    check("/proxyMode", "200 OK", TEXT, "ipvs");
}

#[test]
fn configz_is_the_configuration() {
    check(
        "/configz",
        "200 OK",
        "application/json",
        r#"{"mode":"ipvs"}"#,
    );
}

#[test]
fn unknown_paths_are_not_found() {
    for path in ["/", "/metric", "/metrics/", "/debug/pprof/"] {
        check(path, "404 Not Found", TEXT, "404 page not found\n");
    }
}

#[test]
fn drains_are_json() {
    check(
        "/drains",
        "200 OK",
        "application/json",
        r#"[
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
"#,
    );
}

#[test]
fn statusz_is_for_people_and_for_tools() {
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

/// What the health server answers at `path`, its body's times aside, and how it counts.
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

/// Each time as `T`; that they are times is seen.
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

fn fresh() -> Health {
    Health::new([Ipv4], Duration::from_secs(30), Instant::now())
}

fn late() -> Health {
    let mut health = Health::new([Ipv4], Duration::ZERO, Instant::now());
    health.queued(Ipv4, Instant::now());
    health
}

fn leaving() -> Health {
    let mut health = fresh();
    health.node(Some(NodeHealth {
        deleting: false,
        leaving: true,
    }));
    health
}

#[test]
fn healthz_says_that_the_proxy_works_and_the_node_stays() {
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
fn livez_says_that_the_proxy_works() {
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
