use crate::{
    TIMEOUT, eventually, next, next_raw, refused, server, service, services, until, watch_services,
};
use apiserver::{FailNext, Forbid, Server};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{ListParams, WatchParams};
use kube::runtime::watcher::Config;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn event_is_cut_in_the_middle() {
    let server = server().await;
    let api = services(&server).await;
    let mut raw = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    raw.write_all(b"GET /api/v1/services?watch=1 HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    eventually("the watch is open", || server.open_watches() == 1).await;
    server.faults().cut_events(1);
    server.put(service("one", 80)).unwrap();
    let mut bytes = Vec::new();
    tokio::time::timeout(TIMEOUT, raw.read_to_end(&mut bytes))
        .await
        .expect("the connection is cut")
        .ok();
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        text.contains("{\"type\":\"ADDED\"") && !text.contains("}\n\r\n"),
        "half an event: {text}"
    );

    let mut watch = watch_services(api, Config::default());
    until(&mut watch, "init done").await;
    eventually("the watch is open", || server.open_watches() == 1).await;
    server.faults().cut_events(1);
    server.put(service("two", 80)).unwrap();
    let seen = until(&mut watch, "apply two").await;
    assert_eq!(
        seen.last().map(String::as_str),
        Some("apply two"),
        "the watcher does not retry: {seen:?}"
    );
}

#[tokio::test]
async fn responses_are_delayed() {
    let server = server().await;
    let api = services(&server).await;
    server.faults().delay(Duration::from_millis(200));
    let start = Instant::now();
    api.list(&ListParams::default()).await.unwrap();
    assert!(
        start.elapsed() >= Duration::from_millis(200),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn next_requests_fail() {
    let server = server().await;
    for (code, reason) in [
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
    ] {
        server.faults().fail_next(FailNext {
            count: 1,
            code,
            retry_after: 0,
        });
        let answer = request(&server, "GET", "/api/v1/services", "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{answer}");
        assert!(answer.contains(reason), "{answer}");
        assert_eq!(answer.contains("retry-after: 1"), code == 429, "{answer}");
        assert!(
            request(&server, "GET", "/api/v1/services", "")
                .await
                .starts_with("HTTP/1.1 200")
        );
    }
}

#[tokio::test]
async fn half_open_watch_stays_silent() {
    let server = server().await;
    let api = services(&server).await;
    let mut watch = Box::pin(api.watch(&WatchParams::default(), "0").await.unwrap());
    assert!(next_raw(&mut watch).await.starts_with("bookmark"));
    server.faults().half_open(true);
    server.put(service("one", 80)).unwrap();
    let silent = tokio::time::timeout(Duration::from_millis(300), async {
        // Bookmarks in flight may still arrive.
        while next_raw(&mut watch).await.starts_with("bookmark") {}
    });
    assert!(silent.await.is_err(), "something came");
    server.faults().half_open(false);
    let silent = tokio::time::timeout(Duration::from_millis(300), next_raw(&mut watch)).await;
    assert!(silent.is_err(), "the watch sends again: {silent:?}");
    let mut fresh = Box::pin(api.watch(&WatchParams::default(), "0").await.unwrap());
    assert_eq!(next_raw(&mut fresh).await, "added one");
    server.faults().close_watches();
    assert_eq!(next_raw(&mut watch).await, "end");
}

#[tokio::test]
async fn discovery_v1_can_be_missing() {
    let server = server().await;
    let client = server.kubeconfig().client().await.unwrap();
    let slices: Api<EndpointSlice> = Api::all(client.clone());
    for missing in [false, true, false] {
        server.faults().without_discovery_v1(missing);
        let listed = slices.list(&ListParams::default()).await;
        let served = client.list_api_group_resources("discovery.k8s.io/v1").await;
        if missing {
            refused(listed, 404, "");
            refused(served, 404, "");
        } else {
            listed.unwrap();
            assert_eq!(served.unwrap().resources[0].name, "endpointslices");
        }
    }
}

#[tokio::test]
async fn streaming_lists_can_be_missing() {
    let server = server().await;
    server.put(service("one", 80)).unwrap();
    server.faults().without_streaming_lists(true);
    let mut watch = watch_services(services(&server).await, Config::default().streaming_lists());
    let seen = next(&mut watch).await;
    assert!(
        seen.contains("sendInitialEvents is forbidden for watch unless the WatchList feature gate"),
        "{seen}"
    );
}

#[tokio::test]
async fn refusals_by_authorization() {
    let server = server().await;
    let api = services(&server).await;
    server.faults().forbid(vec![Forbid {
        resource: "services".into(),
        verb: "list".into(),
    }]);
    refused(
        api.list(&ListParams::default()).await,
        403,
        "services is forbidden: User \"kube-ipvs\" cannot list resource \"services\"",
    );
    server.faults().unauthorized(true);
    refused(api.list(&ListParams::default()).await, 401, "Unauthorized");
    server.faults().clear();
    api.list(&ListParams::default()).await.unwrap();
}

#[tokio::test]
async fn faults_are_set_over_http() {
    let server = server().await;
    for (knob, body) in [
        ("delay", json!({"ms": 1})),
        ("fail-next", json!({"count": 2, "code": 503})),
        ("forbid", json!([{"resource": "*", "verb": "watch"}])),
        ("half-open", json!({"on": true})),
        ("cut-events", json!({"count": 3})),
        ("without-discovery-v1", json!({"on": true})),
        ("without-streaming-lists", json!({"on": true})),
        ("unauthorized", json!({"on": true})),
        ("close-watches", Value::Null),
        ("compact", Value::Null),
    ] {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = request(&server, "POST", &format!("/faults/{knob}"), &body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{knob}: {answer}");
    }
    let state = server.faults().state();
    assert_eq!(
        (state.delay, state.cut_events),
        (Duration::from_millis(1), 3)
    );
    assert!(
        state.half_open
            && state.without_discovery_v1
            && state.without_streaming_lists
            && state.unauthorized
    );
    assert_eq!(
        state.fail_next,
        Some(FailNext {
            count: 2,
            code: 503,
            retry_after: 0
        })
    );
    assert_eq!(state.forbid.len(), 1);
    let answer = request(&server, "POST", "/faults/clear", "").await;
    assert!(answer.contains("\"half_open\":false"), "{answer}");
    let answer = request(&server, "POST", "/faults/delay", "{\"seconds\":1}").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn server_stopped_over_http_returns() {
    let server = server().await;
    server.put(service("one", 80)).unwrap();
    request(
        &server,
        "POST",
        "/faults/down",
        "{\"for_ms\":150,\"state\":\"lost\"}",
    )
    .await;
    let down = || std::net::TcpStream::connect(server.addr()).is_err();
    eventually("the port is closed", down).await;
    eventually("the port is open", || !down()).await;
    assert!(
        server
            .get(apiserver::Resource::Services, "default", "one")
            .is_none()
    );
}

async fn request(server: &Server, method: &str, path: &str, body: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
