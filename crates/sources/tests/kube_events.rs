//! Tests of Events against a whole API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use apiserver::{Forbid, Server, ServerConfig};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use sources::kube::Connection;
use sources::kube::events::{Events, ObjectEvent, Regarding, Severity};
use tokio::time::{Instant, sleep, timeout};

/// A server and events for it.
struct Scene {
    server: Server,
    api: Api<Event>,
    events: Events,
    dropped: Arc<AtomicU64>,
}

impl Scene {
    async fn start() -> Self {
        let server = Server::start(ServerConfig::default())
            .await
            .expect("a server");
        let client = server.kubeconfig().client().await.expect("a client");
        let plain = Connection::without_credentials(server.url().parse().expect("a URL"));
        let connection = Connection {
            client: client.clone(),
            ..plain.expect("a client")
        };
        let dropped = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&dropped);
        let on_dropped = Arc::new(move |events| {
            count.fetch_add(events, Ordering::Relaxed);
        });
        let (events, publisher) = Events::new(&connection, &"node1".into(), on_dropped);
        tokio::spawn(publisher.run());
        Self {
            server,
            api: Api::all(client),
            events,
            dropped,
        }
    }

    /// Waits until `wanted` returns true for the server's Events, and returns them.
    async fn until(&self, wanted: impl Fn(&[Event]) -> bool) -> Vec<Event> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let list = self.api.list(&ListParams::default()).await.expect("a list");
            if wanted(&list.items) {
                return list.items;
            }
            assert!(Instant::now() < deadline, "{:#?}", list.items);
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until_dropped(&self, wanted: u64) {
        let all = async {
            while self.dropped.load(Ordering::Relaxed) < wanted {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(10), all)
            .await
            .expect("drops in time");
        assert_eq!(self.dropped.load(Ordering::Relaxed), wanted);
    }
}

fn about_service(name: &str, reason: &'static str) -> ObjectEvent {
    ObjectEvent {
        regarding: Regarding {
            api_version: "v1",
            kind: "Service",
            namespace: "shop".into(),
            name: name.into(),
            uid: None,
        },
        severity: Severity::Warning,
        reason,
        action: "Resolve",
        note: "spec.clusterIP: no".to_owned(),
    }
}

fn about_node() -> ObjectEvent {
    ObjectEvent {
        regarding: Regarding {
            api_version: "v1",
            kind: "Node",
            namespace: "".into(),
            name: "node1".into(),
            uid: Some("node1".into()),
        },
        severity: Severity::Normal,
        reason: "Starting",
        action: "StartKubeProxy",
        note: String::new(),
    }
}

fn count(event: &Event) -> i32 {
    event.series.as_ref().map_or(1, |series| series.count)
}

#[tokio::test]
async fn every_field_of_an_event_is_sent() {
    let scene = Scene::start().await;
    scene
        .events
        .record(about_service("web", "InvalidServiceAddress"));
    let [event] = &scene.until(|events| events.len() == 1).await[..] else {
        unreachable!("one event");
    };
    let regarding = event.regarding.clone().unwrap_or_default();
    let sent = [
        event.metadata.namespace.as_deref(),
        event.type_.as_deref(),
        event.reason.as_deref(),
        event.action.as_deref(),
        event.note.as_deref(),
        event.reporting_controller.as_deref(),
        event.reporting_instance.as_deref(),
        regarding.kind.as_deref(),
        regarding.namespace.as_deref(),
        regarding.name.as_deref(),
    ];
    let expected = [
        "shop",
        "Warning",
        "InvalidServiceAddress",
        "Resolve",
        "spec.clusterIP: no",
        "kube-ipvs",
        "kube-ipvs-node1",
        "Service",
        "shop",
        "web",
    ];
    assert_eq!(sent, expected.map(Some));
}

#[tokio::test]
async fn an_event_about_a_node_is_in_the_default_namespace() {
    let scene = Scene::start().await;
    scene.events.record(about_node());
    let events = scene.until(|events| events.len() == 1).await;
    assert_eq!(events[0].metadata.namespace.as_deref(), Some("default"));
    let regarding = events[0].regarding.clone().unwrap_or_default();
    assert_eq!(regarding.uid.as_deref(), Some("node1"));
}

#[tokio::test]
async fn equal_events_are_merged_with_a_count() {
    let scene = Scene::start().await;
    for _ in 0..3 {
        scene.events.record(about_service("web", "ServiceClash"));
    }
    scene.events.record(about_service("web", "NoHealthCheck"));
    let counts = |events: &[Event]| {
        let mut counts: Vec<_> = events.iter().map(count).collect();
        counts.sort_unstable();
        counts
    };
    scene.until(|events| counts(events) == [1, 3]).await;
}

#[tokio::test]
async fn one_object_cannot_flood_the_server() {
    let scene = Scene::start().await;
    for _ in 0..40 {
        scene.events.record(about_service("web", "ServiceClash"));
    }
    scene.events.record(about_service("other", "ServiceClash"));
    scene.until(|events| events.len() == 2).await;
    scene
        .until(|events| events.iter().any(|event| count(event) == 25))
        .await;
    scene.until_dropped(15).await;
}

#[tokio::test]
async fn refused_events_are_counted_and_later_ones_are_sent() {
    let scene = Scene::start().await;
    scene.server.faults().forbid(vec![Forbid {
        resource: "events".to_owned(),
        verb: "*".to_owned(),
    }]);
    scene.events.record(about_service("web", "ServiceClash"));
    scene.until_dropped(1).await;
    scene.server.faults().clear();
    scene.events.record(about_service("web", "ServiceClash"));
    scene.until(|events| events.len() == 1).await;
}

#[tokio::test]
async fn a_full_queue_drops_and_never_waits() {
    let scene = Scene::start().await;
    // Nothing is sent before this task waits, so the queue fills up to its limit of 256.
    for number in 0..300 {
        scene
            .events
            .record(about_service(&format!("s{number}"), "ServiceClash"));
    }
    assert_eq!(scene.dropped.load(Ordering::Relaxed), 44);
    scene.until(|events| events.len() == 256).await;
}
