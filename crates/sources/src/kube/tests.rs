//! Tests against a scripted server. Tests against a whole API server are in `tests/kube.rs`.

mod hostile;
mod relist;
mod selectors;
mod server;
mod shrunk;
mod versions;

use std::time::Duration;

use model::ClusterState;
use serde_json::json;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, timeout_at};

use self::server::{Reply, Server};
use super::*;
use crate::event::{ProblemKind, SourceEvent};
use crate::list_guard::Confirmation;

const SERVICES: &str = "/api/v1/services?";
const NODES: &str = "/api/v1/nodes?";
const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices?";

fn settings() -> KubeSettings {
    let backoff = BackoffSettings {
        base: Duration::from_millis(20),
        max: Duration::from_millis(200),
    };
    KubeSettings {
        streaming_lists: false,
        backoff,
        relist: backoff,
        silence: Duration::from_millis(400),
        list_silence: Duration::from_millis(300),
        request_timeout: Duration::from_millis(600),
        ..KubeSettings::new("node1")
    }
}

fn streaming() -> KubeSettings {
    KubeSettings {
        streaming_lists: true,
        ..settings()
    }
}

fn service(name: &str, version: u32) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "10.96.0.1"},
        "metadata": {"name": name, "namespace": "default", "resourceVersion": version.to_string()}})
}

fn list(version: u32, items: &[serde_json::Value]) -> Reply {
    let list = json!({"kind": "List", "apiVersion": "v1", "items": items,
        "metadata": {"resourceVersion": version.to_string()}});
    Reply::Body(200, list.to_string())
}

/// Returns the first page of a list at version 7.
fn first_page(items: &[serde_json::Value]) -> Reply {
    let metadata = json!({"resourceVersion": "7", "continue": "next"});
    let page = json!({"kind": "List", "apiVersion": "v1", "items": items, "metadata": metadata});
    Reply::Body(200, page.to_string())
}

fn event(kind: &str, object: &serde_json::Value) -> String {
    json!({"type": kind, "object": object}).to_string()
}

fn bookmark(version: impl Into<serde_json::Value>) -> String {
    annotated_bookmark(&version.into(), &json!({}))
}

/// Returns the bookmark that ends a streamed list.
fn end_of_list(version: impl Into<serde_json::Value>) -> String {
    annotated_bookmark(
        &version.into(),
        &json!({"k8s.io/initial-events-end": "true"}),
    )
}

fn annotated_bookmark(version: &serde_json::Value, annotations: &serde_json::Value) -> String {
    let metadata = json!({"resourceVersion": version, "annotations": annotations});
    let object = json!({"kind": "Service", "apiVersion": "v1", "metadata": metadata});
    event("BOOKMARK", &object)
}

fn status(code: u16, reason: &str, message: &str) -> serde_json::Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {},
        "code": code, "reason": reason, "message": message})
}

fn refuse(code: u16, reason: &str) -> Reply {
    Reply::Body(code, status(code, reason, "no").to_string())
}

/// Returns the script of an ordinary server without objects and with open watches. `services`
/// answers requests for Services.
fn script(
    services: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
) -> impl Fn(&str, usize) -> Reply + Send + Sync + 'static {
    move |path, before| {
        if path.starts_with(SERVICES) {
            services(path, before)
        } else if path == "/apis/discovery.k8s.io/v1" {
            Reply::Body(
                200,
                json!({"kind": "APIResourceList", "groupVersion": "discovery.k8s.io/v1", "resources": [
                    {"name": "endpointslices", "singularName": "", "namespaced": true, "kind": "EndpointSlice", "verbs": []}]})
                .to_string(),
            )
        } else if path.contains("watch=true") {
            Reply::Open(vec![])
        } else {
            list(1, &[])
        }
    }
}

/// Returns the script of an ordinary server that answers the lists and watches of Services in this
/// order. The last list repeats; further watches are open and silent.
fn answers(
    lists: impl Into<Vec<Reply>>,
    watches: impl Into<Vec<Reply>>,
) -> impl Fn(&str, usize) -> Reply + Send + Sync + 'static {
    let (lists, watches) = (lists.into(), watches.into());
    script(move |path, before| {
        let watch = || watches.get(before).cloned();
        match path.contains("watch=true") {
            true => watch().unwrap_or(Reply::Open(vec![])),
            false => lists[before.min(lists.len() - 1)].clone(),
        }
    })
}

struct Scene {
    server: Server,
    events: Receiver<SourceEvent>,
    state: ClusterState,
    troubles: Vec<SourceProblem>,
    recovered: usize,
    lists: usize,
    /// Minimum number of known Services after the first list.
    fewest: usize,
}

impl Scene {
    async fn start(
        settings: KubeSettings,
        script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::with_all(settings, move |path, before| {
            match path.ends_with("limit=1") {
                // Answer requests for the current version.
                true => list(99, &[]),
                false => script(path, before),
            }
        })
        .await
    }

    /// Starts a scene; the script also answers requests for the current version.
    async fn with_all(
        settings: KubeSettings,
        script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::confirming(Confirmation::default(), settings, script).await
    }

    async fn confirming(
        confirmation: Confirmation,
        settings: KubeSettings,
        script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let server = Server::start(script).await;
        let (sender, events) = channel(4);
        let sink = EventSink::new(&SOURCES, sender).with_confirmation(confirmation);
        tokio::spawn(run(server.connection.clone(), settings, sink));
        Self {
            server,
            events,
            state: ClusterState::default(),
            troubles: Vec::new(),
            recovered: 0,
            lists: 0,
            fewest: usize::MAX,
        }
    }

    /// Receives events until `done`; panics if that takes too long.
    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done(self) {
            let event = timeout_at(deadline, self.events.recv()).await;
            let event =
                event.unwrap_or_else(|_| panic!("not in time: {what}; {:?}", self.troubles));
            self.handle(event.expect("a running source"));
        }
    }

    fn handle(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Cluster(event, _) => {
                self.lists += usize::from(event == ClusterEvent::ListStarted(ObjectKind::Service));
                self.state.absorb(event);
                if self.state.is_complete() {
                    self.fewest = self.fewest.min(self.services().len());
                }
            }
            SourceEvent::Trouble(problem) => self.troubles.push(problem),
            SourceEvent::Recovered { .. } => self.recovered += 1,
        }
    }

    async fn until_services(&mut self, names: &[&str]) {
        self.until("services", |scene| {
            scene.state.is_complete() && scene.services() == names
        })
        .await;
    }

    /// Receives events for `duration`.
    async fn linger(&mut self, duration: Duration) {
        let end = Instant::now() + duration;
        while let Ok(Some(event)) = timeout_at(end, self.events.recv()).await {
            self.handle(event);
        }
    }

    fn services(&self) -> Vec<&str> {
        self.state.service_names().map(|name| &*name.name).collect()
    }
}

#[tokio::test]
async fn lists_are_read_in_pages() {
    let script = script(|path, _| {
        if path.contains("watch=true") {
            Reply::Open(vec![])
        } else if path.contains("continue=next") {
            list(7, &[service("b", 4)])
        } else {
            first_page(&[service("a", 3)])
        }
    });
    let mut scene = Scene::start(
        KubeSettings {
            page_size: 2,
            ..settings()
        },
        script,
    )
    .await;
    scene.until_services(&["a", "b"]).await;
    assert!(scene.server.asked(SERVICES)[0].contains("limit=2"));
}

#[tokio::test]
async fn a_list_that_expires_between_pages_is_restarted() {
    let script = script(|path, before| {
        if path.contains("watch=true") {
            Reply::Open(vec![])
        } else if path.contains("continue=next") {
            refuse(410, "Expired")
        } else if before == 0 {
            first_page(&[service("gone", 3)])
        } else {
            list(9, &[service("a", 8)])
        }
    });
    let mut scene = Scene::start(settings(), script).await;
    scene.until_services(&["a"]).await;
    assert_eq!((scene.troubles.len(), scene.lists), (0, 2));
}

#[tokio::test]
async fn a_streamed_list_becomes_a_watch() {
    let script = |path: &str, _| match path.contains("sendInitialEvents=true") {
        true if path.starts_with(SERVICES) => Reply::Open(vec![
            event("ADDED", &service("a", 3)),
            end_of_list("7"),
            event("ADDED", &service("b", 8)),
            event("DELETED", &service("a", 9)),
        ]),
        true => Reply::Open(vec![end_of_list("7")]),
        false => Reply::Open(vec![]),
    };
    let mut scene = Scene::start(streaming(), script_with_discovery(script)).await;
    scene.until_services(&["b"]).await;
    let asked = scene.server.asked(SERVICES);
    assert!(
        asked[0].contains("resourceVersionMatch=NotOlderThan"),
        "{asked:?}"
    );
    assert!(
        asked.iter().all(|path| path.contains("watch=true")),
        "{asked:?}"
    );
    // The silent watch is resumed where it stopped.
    scene.linger(Duration::from_millis(600)).await;
    let asked = scene.server.asked("services?&watch=true");
    assert!(
        asked[1].contains("resourceVersion=9") && !asked[1].contains("sendInitialEvents"),
        "{asked:?}"
    );
    assert_eq!(scene.troubles, []);
}

fn script_with_discovery(
    all: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
) -> impl Fn(&str, usize) -> Reply + Send + Sync + 'static {
    let ordinary = script(|_, _| Reply::Nothing);
    move |path, before| match path.contains('?') {
        true => all(path, before),
        false => ordinary(path, before),
    }
}

#[tokio::test]
async fn a_forgotten_version_causes_a_relist() {
    let gones: [fn() -> Reply; 3] = [
        || refuse(410, "Expired"),
        || {
            Reply::Watch(vec![event(
                "ERROR",
                &status(410, "Expired", "too old resource version: 7 (9)"),
            )])
        },
        || {
            Reply::Body(
                504,
                status(504, "Timeout", "Too large resource version: 7, current: 5").to_string(),
            )
        },
    ];
    for gone in gones {
        let script = script(move |path, before| {
            match (
                path.contains("watch=true"),
                path.contains("resourceVersion=7"),
            ) {
                (true, true) => gone(),
                (true, false) => Reply::Open(vec![]),
                (false, _) if before == 0 => list(7, &[service("a", 3)]),
                (false, _) => list(9, &[service("b", 8)]),
            }
        });
        let mut scene = Scene::start(settings(), script).await;
        scene.until_services(&["b"]).await;
        assert_eq!((scene.troubles.len(), scene.lists), (0, 2));
    }
}

#[tokio::test]
async fn a_silent_watch_is_resumed_where_it_stopped() {
    let added = |name, version| Reply::Open(vec![event("ADDED", &service(name, version))]);
    let script = answers(
        [list(7, &[service("a", 3)])],
        [added("b", 8), added("c", 9)],
    );
    let mut scene = Scene::start(settings(), script).await;
    scene.until_services(&["a", "b", "c"]).await;
    assert!(scene.server.asked("services?&watch=true")[1].contains("resourceVersion=8"));
    assert_eq!((scene.troubles.len(), scene.lists), (0, 1));
}

#[tokio::test]
async fn watches_that_end_at_once_are_reopened_with_backoff() {
    let script = script(|path, _| match path.contains("watch=true") {
        true => Reply::Watch(vec![]),
        false => list(7, &[]),
    });
    let mut scene = Scene::start(settings(), script).await;
    scene.until_services(&[]).await;
    scene.linger(Duration::from_secs(1)).await;
    // 20, 40, 80, 160, 200, 200 ... ms, each up to half as long.
    let watches = scene.server.asked("services?&watch=true").len();
    assert!((5..=14).contains(&watches), "{watches} watches");
}

#[tokio::test]
async fn an_invalid_event_causes_a_relist() {
    let invalid = json!({"metadata": {"name": "a"}, "spec": 5});
    let script = answers(
        [list(7, &[service("a", 3)]), list(9, &[service("b", 8)])],
        [Reply::Open(vec![event("MODIFIED", &invalid)])],
    );
    let mut scene = Scene::start(settings(), script).await;
    scene
        .until("a recovery", |scene| scene.recovered == 1)
        .await;
    assert_eq!(scene.services(), ["b"]);
    let kinds: Vec<_> = scene.troubles.iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, [ProblemKind::Protocol]);
}

#[tokio::test]
async fn refusals_are_reported_once_and_recover() {
    let cases = [
        (
            401,
            "Unauthorized",
            ProblemKind::Unauthorized,
            "check the credentials",
        ),
        (
            403,
            "Forbidden",
            ProblemKind::Forbidden,
            "list and watch on services of apiGroup \"\"",
        ),
        (429, "TooManyRequests", ProblemKind::Throttled, ": 429 no"),
        (500, "InternalError", ProblemKind::ServerFailed, ": 500 no"),
    ];
    for (code, reason, kind, text) in cases {
        let refusals = vec![refuse(code, reason); 3];
        let lists = [&refusals[..], &[list(7, &[service("a", 3)])]].concat();
        let script = answers(lists, refusals);
        let mut scene = Scene::start(settings(), script).await;
        scene
            .until("the second recovery", |scene| scene.recovered == 2)
            .await;
        assert_eq!(scene.services(), ["a"]);
        let [list, watch] = &scene.troubles[..] else {
            panic!("two troubles, not {:?}", scene.troubles);
        };
        let server = &scene.server.connection.server;
        assert_eq!((list.kind, watch.kind), (kind, kind));
        assert!(
            list.message
                .starts_with(&format!("failed to list services at {server}: {code}")),
            "{list}"
        );
        assert!(
            watch
                .message
                .starts_with(&format!("failed to watch services at {server}")),
            "{watch}"
        );
        assert!(list.to_string().contains(text), "{list}");
    }
}

#[tokio::test]
async fn a_silent_server_is_reported() {
    let mut scene = Scene::start(settings(), script(|_, _| Reply::Nothing)).await;
    scene
        .until("a trouble", |scene| !scene.troubles.is_empty())
        .await;
    assert_eq!(scene.troubles[0].kind, ProblemKind::Unreachable);
    assert!(
        scene.troubles[0].message.ends_with("no answer in 0.6 s"),
        "{}",
        scene.troubles[0]
    );
    assert!(!scene.state.is_complete());
}

#[tokio::test]
async fn a_missing_server_is_reported() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let connection =
        Connection::without_credentials(url.parse().expect("a URL")).expect("a client");
    let problem = list_once(&connection, &settings())
        .await
        .expect_err("no server");
    assert_eq!(
        problem.to_string(),
        format!(
            "failed to list services at {url}: Connection refused (os error 111); \
                 check that the API server runs and is reachable from this node"
        )
    );
}

#[tokio::test]
async fn a_server_without_tls_is_reported() {
    let server = Server::start(script(|_, _| list(1, &[]))).await;
    let url = server.connection.server.replace("http:", "https:");
    let connection =
        Connection::without_credentials(url.parse().expect("a URL")).expect("a client");
    let problem = list_once(&connection, &settings())
        .await
        .expect_err("no TLS");
    assert_eq!(problem.kind, ProblemKind::Tls, "{problem}");
}
