//! The server as the `kube` client sees it.

mod auth;
mod faults;
mod lists;
mod watches;
mod writes;

use apiserver::{Server, ServerConfig};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::core::WatchEvent;
use kube::runtime::watcher;
use serde_json::{Value, json};
use std::pin::Pin;
use std::time::Duration;

/// Longer than any step takes.
const TIMEOUT: Duration = Duration::from_secs(20);

type Watcher = Pin<Box<dyn Stream<Item = Result<watcher::Event<Service>, watcher::Error>> + Send>>;

async fn server() -> Server {
    let config = ServerConfig {
        bookmark_interval: Duration::from_millis(50),
        ..ServerConfig::default()
    };
    Server::start(config).await.unwrap()
}

async fn services(server: &Server) -> Api<Service> {
    Api::all(server.kubeconfig().client().await.unwrap())
}

fn service(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "default", "name": name, "labels": {"app": name}},
        "spec": {"ports": [{"port": port}]},
    })
}

/// Starts a watcher that runs while the test continues.
fn watch_services(api: Api<Service>, config: watcher::Config) -> Watcher {
    let (to, from) = futures::channel::mpsc::unbounded();
    tokio::spawn(async move {
        let mut events = Box::pin(watcher::watcher(api, config));
        while let Some(event) = events.next().await {
            if to.unbounded_send(event).is_err() {
                return;
            }
        }
    });
    Box::pin(from)
}

/// Returns the next event of a stream as text. An error is text too.
async fn next(stream: &mut Watcher) -> String {
    let event = tokio::time::timeout(TIMEOUT, stream.next())
        .await
        .expect("no event arrived")
        .expect("the stream ended");
    let name = |service: Service| service.metadata.name.unwrap_or_default();
    match event {
        Ok(watcher::Event::Init) => "init".to_owned(),
        Ok(watcher::Event::InitApply(s)) => format!("init {}", name(s)),
        Ok(watcher::Event::InitDone) => "init done".to_owned(),
        Ok(watcher::Event::Apply(s)) => format!("apply {}", name(s)),
        Ok(watcher::Event::Delete(s)) => format!("delete {}", name(s)),
        Err(error) => format!("error: {error}"),
    }
}

/// Returns the events up to and including `last`.
async fn until(stream: &mut Watcher, last: &str) -> Vec<String> {
    let mut out = Vec::new();
    loop {
        out.push(next(stream).await);
        if out.last().is_some_and(|e| e == last) {
            return out;
        }
        assert!(out.len() < 1000, "{last:?} never came: {out:?}");
    }
}

/// Returns the next plain watch event as text.
async fn next_raw(
    stream: &mut (impl Stream<Item = Result<WatchEvent<Service>, kube::Error>> + Unpin),
) -> String {
    let event = tokio::time::timeout(TIMEOUT, stream.next())
        .await
        .expect("no event arrived");
    let name = |service: Service| service.metadata.name.unwrap_or_default();
    match event {
        None => "end".to_owned(),
        Some(Ok(WatchEvent::Added(s))) => format!("added {}", name(s)),
        Some(Ok(WatchEvent::Modified(s))) => format!("modified {}", name(s)),
        Some(Ok(WatchEvent::Deleted(s))) => format!("deleted {}", name(s)),
        Some(Ok(WatchEvent::Bookmark(b))) => format!("bookmark {}", b.metadata.resource_version),
        Some(Ok(WatchEvent::Error(status))) => format!("{} {}", status.code, status.reason),
        Some(Err(_)) => "cut".to_owned(),
    }
}

/// Waits until a condition holds.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, kube::Error>, code: u16, message: &str) {
    match result {
        Err(kube::Error::Api(status)) => {
            assert_eq!(status.code, code, "{status:?}");
            assert!(
                status.message.contains(message),
                "{message:?} is not in {:?}",
                status.message
            );
        }
        other => panic!("expected {code} {message:?}, got {other:?}"),
    }
}
