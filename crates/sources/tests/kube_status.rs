//! Tests of the state of each source, the backlog and the counts of requests while an API server
//! fails.

use std::time::{Duration, Instant};

use apiserver::{FailNext, Forbid, Server, ServerConfig, State};
use serde_json::{Value, json};
use sources::kube::{BackoffSettings, Connection, KubeSettings, RequestStats};
use sources::{
    EventSink, ProblemKind, Progress, SourceConfig, SourceEvent, SourceState, SourceStatus,
};
use tokio::sync::mpsc::{Receiver, channel};

const SOURCES: [&str; 3] = ["endpointslices", "nodes", "services"];

/// A running source. Its events are received and counted unless the receiver hangs.
struct Scene {
    server: Server,
    requests: RequestStats,
    progress: Progress,
    /// Channel of a hung receiver.
    events: Option<Receiver<SourceEvent>>,
}

impl Scene {
    async fn start(server: Server, hangs: bool) -> Self {
        let url = server.url().parse().expect("a URL");
        let connection = Connection::without_credentials(url).expect("a client");
        let requests = connection.requests.clone();
        let backoff = BackoffSettings {
            base: Duration::from_millis(10),
            max: Duration::from_millis(50),
        };
        let source = SourceConfig::Kube {
            connection,
            settings: Box::new(KubeSettings {
                backoff,
                relist: backoff,
                ..KubeSettings::new("node1")
            }),
        };
        let (sender, mut events) = channel(1);
        let sink = EventSink::new(source.names(), sender);
        let progress = sink.progress().clone();
        tokio::spawn(sources::run(source, sink));
        let events = if hangs {
            Some(events)
        } else {
            let backlog = progress.backlog.clone();
            tokio::spawn(async move {
                let mut applied = 0;
                while let Some(event) = events.recv().await {
                    applied += u64::from(matches!(event, SourceEvent::Cluster(..)));
                    backlog.applied(applied);
                }
            });
            None
        };
        Self {
            server,
            requests,
            progress,
            events,
        }
    }

    fn status(&self, source: &str) -> SourceStatus {
        self.progress.statuses.all()[source].clone()
    }

    /// Waits until `done`.
    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !done(self) {
            let now = self.progress.statuses.all();
            assert!(Instant::now() < deadline, "not in time: {what}; {now:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn until_all(&self, state: SourceState) {
        let all = |scene: &Self| SOURCES.iter().all(|name| scene.status(name).state == state);
        self.until(state.as_str(), all).await;
    }

    fn answered(&self, code: &str) -> u64 {
        let counts = self.requests.counts().results;
        let of_code = counts.iter().filter(|((it, _), _)| it == code);
        of_code.map(|(_, count)| count).sum()
    }
}

async fn server() -> Server {
    let server = Server::start(ServerConfig::default()).await;
    let server = server.expect("a server");
    server.put(service("web")).expect("a Service");
    server
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"port": 80}]}})
}

fn forbid_slices(server: &Server, on: bool) {
    let slices = Forbid {
        resource: "endpointslices".to_owned(),
        verb: "*".to_owned(),
    };
    server
        .faults()
        .forbid(on.then_some(slices).into_iter().collect());
}

#[tokio::test]
async fn sources_are_watching_after_their_lists() {
    let scene = Scene::start(server().await, false).await;
    scene.until_all(SourceState::Watching).await;
    assert!(scene.progress.statuses.have_listed());
    for name in SOURCES {
        let status = scene.status(name);
        assert_eq!((status.lists, status.watch_restarts), (1, 0), "{name}");
        assert_eq!(status.last_error, None, "{name}");
        assert!(status.last_success.is_some(), "{name}");
    }
    assert!(scene.answered("200") >= 3);
    assert_eq!(scene.answered("<error>"), 0);
    // A watch counts once it is answered, not when it ends.
    let latencies = scene.requests.counts().latencies;
    let count: u64 = latencies.values().map(|latencies| latencies.count).sum();
    assert_eq!(count, scene.answered("200"));
}

#[tokio::test]
async fn forbidden_lists_are_refused_from_the_start_and_later() {
    let server = server().await;
    forbid_slices(&server, true);
    let scene = Scene::start(server, false).await;
    scene
        .until("slices are refused", |scene| {
            scene.status("endpointslices").state == SourceState::Refused
                && scene.status("services").state == SourceState::Watching
        })
        .await;
    let status = scene.status("endpointslices");
    assert!(!status.has_listed());
    let error = status.last_error.expect("an error");
    assert_eq!(error.kind, ProblemKind::Forbidden);
    assert!(error.message.contains("403"), "{}", error.message);
    assert!(!scene.progress.statuses.have_listed());
    assert!(scene.answered("403") > 0);
    assert_eq!(scene.progress.backlog.oldest(), None, "nothing is late");

    forbid_slices(&scene.server, false);
    scene.until_all(SourceState::Watching).await;
    assert!(scene.progress.statuses.have_listed());

    forbid_slices(&scene.server, true);
    scene.server.faults().close_watches();
    scene
        .until("slices are refused again", |scene| {
            scene.status("endpointslices").state == SourceState::Refused
        })
        .await;
    assert!(scene.progress.statuses.have_listed(), "it has listed once");
    scene
        .until("the other watches continue", |scene| {
            let status = scene.status("services");
            status.state == SourceState::Watching && status.watch_restarts == 1
        })
        .await;
}

#[tokio::test]
async fn refused_credentials_and_failing_servers_are_states() {
    let server = server().await;
    server.faults().unauthorized(true);
    let scene = Scene::start(server, false).await;
    scene.until_all(SourceState::Refused).await;
    let error = scene.status("nodes").last_error.expect("an error");
    assert_eq!(error.kind, ProblemKind::Unauthorized);
    scene.server.faults().fail_next(FailNext {
        count: 1_000,
        code: 503,
        retry_after: 0,
    });
    scene.server.faults().unauthorized(false);
    scene.until_all(SourceState::Failing).await;
    scene.server.faults().clear();
    scene.until_all(SourceState::Watching).await;
    assert!(scene.answered("401") >= 3 && scene.answered("503") >= 3);
}

#[tokio::test]
async fn an_unreachable_server_is_a_state() {
    let server = server().await;
    server.down().await;
    let scene = Scene::start(server, false).await;
    scene.until_all(SourceState::Unreachable).await;
    assert!(!scene.progress.statuses.have_listed());
    assert!(scene.answered("<error>") >= 3);
    scene.server.up(State::Kept).await.expect("the port");
    scene.until_all(SourceState::Watching).await;
}

#[tokio::test]
async fn a_compacted_history_is_a_relist() {
    let server = server().await;
    server.advance(10);
    let scene = Scene::start(server, false).await;
    scene.until_all(SourceState::Watching).await;
    scene.server.down().await;
    scene.server.put(service("other")).expect("a Service");
    scene.server.compact();
    scene.server.up(State::Kept).await.expect("the port");
    scene
        .until("a second list", |scene| {
            scene.status("services").relists() == 1
        })
        .await;
}

/// Events are stamped before they are sent, so their age grows while the receiver hangs.
#[tokio::test]
async fn events_age_while_the_receiver_hangs() {
    let mut scene = Scene::start(server().await, true).await;
    let mut events = scene.events.take().expect("a receiver");
    let mut taken = 0;
    while scene.progress.backlog.oldest().is_none() {
        // Receive the first lists and nothing more.
        let event = events.recv().await.expect("a running source");
        taken += u64::from(matches!(event, SourceEvent::Cluster(..)));
    }
    scene.progress.backlog.applied(u64::MAX);
    assert_eq!(scene.progress.backlog.oldest(), None);
    for name in ["a", "b", "c"] {
        scene.server.put(service(name)).expect("a Service");
    }
    scene
        .until("an unapplied event", |scene| {
            !scene.progress.backlog.is_empty()
        })
        .await;
    let oldest = scene.progress.backlog.oldest().expect("an unapplied event");
    assert!(oldest <= Instant::now());
    assert!(taken > 0);
}
