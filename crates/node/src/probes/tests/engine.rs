//! Probes with real sockets on the loopback device, and the task that makes them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ipvs::AddressFamily;
use model::names::ObjectName;
use model::policy::CheckTarget;
use reconciler::{Event, Report};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::super::wanted::wanted;
use super::super::{Checks, Outcome, run};
use super::{closed, failure, listener, probe, target};
use crate::health::Moment;
use crate::mailbox::{NodeInbox, mailbox};
use crate::metrics::{Metrics, SourceMetrics, Traffic, TrafficOptions};
use crate::run::Observer as _;

/// Time after which a test fails that waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers every connection with `answer`, and returns the requests.
async fn serve(answer: &'static str) -> (SocketAddr, tokio::sync::mpsc::Receiver<String>) {
    let (listener, place) = listener().await;
    let (heads, requests) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap_or(0);
            head.truncate(length);
            let _ = heads.try_send(String::from_utf8_lossy(&head).into_owned());
            // The peer may have reset the connection.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (place, requests)
}

const HTTP: &str = "type=http, timeout=5s, interval=5s, path=/healthz?full=1";

async fn http(answer: &'static str) -> Outcome {
    let (place, _requests) = serve(answer).await;
    probe(&target(place, HTTP)).await
}

#[tokio::test]
async fn a_tcp_probe_connects() {
    let (listener, place) = listener().await;
    assert_eq!(probe(&target(place, "type=tcp")).await, Outcome::Success);
    drop(listener);
    let refused = probe(&target(place, "type=tcp")).await;
    assert_eq!(refused, failure("connect: connection refused"));
}

#[tokio::test]
async fn an_http_probe_checks_the_status() {
    let (place, mut requests) = serve("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(probe(&target(place, HTTP)).await, Outcome::Success);
    let request = requests.recv().await.expect("a request");
    assert!(
        request.starts_with("GET /healthz?full=1 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains(&format!("host: {place}\r\n")), "{request}");
    let named = format!("{HTTP}, host=web.example");
    assert_eq!(probe(&target(place, &named)).await, Outcome::Success);
    let request = requests.recv().await.expect("a request");
    assert!(request.contains("host: web.example\r\n"), "{request}");

    let unavailable = http("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 3\r\n\r\nno\n");
    assert_eq!(unavailable.await, failure("http: status 500"));
    // The end of the connection ends the body.
    assert_eq!(
        http("HTTP/1.0 204 No Content\r\n\r\n").await,
        Outcome::Success
    );
    for answer in ["", "SSH-2.0-OpenSSH_9.2\r\n"] {
        let outcome = http(answer).await;
        assert!(
            matches!(outcome, Outcome::Failure(_)),
            "{answer:?}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_head_without_end_is_a_failure() {
    let head = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(1 << 20));
    let outcome = http(head.leak()).await;
    assert!(matches!(outcome, Outcome::Failure(_)), "{outcome:?}");
}

#[tokio::test]
async fn an_endpoint_that_hangs_fails_at_the_timeout() {
    let (_listener, place) = listener().await;
    let check = "type=http, interval=1s, timeout=50ms";
    let outcome = probe(&target(place, check)).await;
    assert_eq!(outcome, failure("no answer within 50ms"));
}

/// The broadcast address cannot be connected to: the kernel refuses with `EACCES` before a packet
/// is sent.
#[tokio::test]
async fn an_error_of_this_node_is_no_failure() {
    let place = SocketAddr::from(([255, 255, 255, 255], 80));
    let outcome = probe(&target(place, "type=tcp")).await;
    assert!(
        matches!(outcome, Outcome::Local(_)) || outcome == failure("connect: network unreachable"),
        "{outcome:?}"
    );
}

fn metrics() -> Arc<Metrics> {
    let families = AddressFamily::ALL.into();
    let options = TrafficOptions::default();
    let traffic = Traffic::default();
    let metrics = Metrics::new(families, options, traffic, SourceMetrics::default());
    Arc::new(metrics.expect("a valid table"))
}

/// Receives results of health checks until `target` has the result `failed`.
async fn told(inbox: &mut NodeInbox, target: &CheckTarget, failed: bool) {
    let all = async {
        loop {
            for event in inbox.recv().await {
                let Event::Checked(results) = event else {
                    panic!("{event:?}");
                };
                if results
                    .get(target)
                    .is_some_and(|error| error.is_some() == failed)
                {
                    return;
                }
            }
        }
    };
    timeout(PATIENCE, all).await.expect("a result");
}

/// A target that refuses connections is reported, and reported again once it accepts them. The page
/// and the metrics show it.
#[tokio::test]
async fn failures_and_recoveries_are_reported() {
    let place = closed().await;
    let check = "type=tcp, interval=100ms, timeout=100ms, rise=1, fall=2";
    let target = target(place, check);
    let (mut observer, wanted) = wanted();
    let (to_loop, mut inbox) = mailbox();
    let (checks, metrics) = (Checks::default(), metrics());
    let probe = |target| async move { probe(&target).await };
    let engine = run(checks.clone(), wanted, to_loop, metrics.clone(), 1, probe);
    let engine = tokio::spawn(engine);
    let mut want = |services: BTreeSet<ObjectName>| {
        let report = Report::ChecksWanted([(target.clone(), services)].into());
        observer.reported(&report, Moment::now());
    };
    want([ObjectName::new("shop", "web")].into());
    told(&mut inbox, &target, true).await;
    let page = serde_json::to_value(checks.page()).expect("JSON");
    let shown = &page["targets"][0];
    assert_eq!(shown["port"], place.port());
    assert_eq!(shown["state"], "failed");
    assert_eq!(shown["error"], "connect: connection refused");
    assert_eq!(shown["services"][0], "shop/web");
    assert_eq!(shown["check"], target.probe.to_string());
    let text = metrics.text(std::time::Instant::now()).expect("metrics");
    assert!(
        text.contains(r#"kubeipvs_health_check_targets{state="failed"} 1"#),
        "{text}"
    );

    let listener = TcpListener::bind(place).await.expect("a listener");
    told(&mut inbox, &target, false).await;
    drop(listener);
    told(&mut inbox, &target, true).await;
    // A target that is no longer wanted does not stay failed.
    want(BTreeSet::new());
    told(&mut inbox, &target, false).await;
    let page = serde_json::to_value(checks.page()).expect("JSON");
    assert_eq!(page["targets"], serde_json::json!([]));
    drop(observer);
    timeout(PATIENCE, engine)
        .await
        .expect("it ends")
        .expect("no panic");
}

/// A probe that panics is counted, says nothing about its target, and the target is probed again.
#[tokio::test]
async fn a_panic_of_a_probe_leaves_its_target_probed() {
    let place = closed().await;
    let check = "type=tcp, interval=100ms, timeout=100ms, rise=1, fall=1";
    let target = target(place, check);
    let (mut observer, wanted) = wanted();
    let (to_loop, mut inbox) = mailbox();
    let (checks, metrics) = (Checks::default(), metrics());
    let panics = Arc::new(AtomicUsize::new(2));
    let probe = move |_| {
        let panics = Arc::clone(&panics);
        async move {
            let left = panics.load(Ordering::Relaxed);
            panics.store(left.saturating_sub(1), Ordering::Relaxed);
            assert_eq!(left, 0, "the probe of this test panics twice");
            failure("refused")
        }
    };
    let engine = run(checks, wanted, to_loop, metrics.clone(), 1, probe);
    let engine = tokio::spawn(engine);
    let services = [ObjectName::new("shop", "web")].into();
    let report = Report::ChecksWanted([(target.clone(), services)].into());
    observer.reported(&report, Moment::now());
    told(&mut inbox, &target, true).await;
    let text = metrics.text(std::time::Instant::now()).expect("metrics");
    for (result, count) in [("local_error", 2), ("failed", 1)] {
        let series = format!(
            r#"kubeipvs_health_check_probes_total{{result="{result}",type="tcp"}} {count}"#
        );
        assert!(text.contains(&series), "{series} in {text}");
    }
    drop(observer);
    timeout(PATIENCE, engine)
        .await
        .expect("it ends")
        .expect("no panic");
}
