//! Tests of the Kubernetes source against a whole API server: whatever fails at the server or in
//! the network, in the end the events of the source add up to the objects of the server.

mod objects;

use std::collections::BTreeSet;
use std::time::Duration;

use apiserver::{FailNext, Faults, Forbid, Resource, Server, ServerConfig, State};
use model::{ClusterEvent, ClusterState, Name, ObjectKind, ObjectName};
use serde_json::json;
use sources::kube::{BackoffSettings, Connection, KubeSettings, Nodes, list_once, list_pods};
use sources::{EventSink, ProblemKind, SourceConfig, SourceEvent, SourceProblem};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, timeout, timeout_at};

use self::objects::{endpoints, node, service, slice};

const SILENCE: Duration = Duration::from_millis(400);

fn settings() -> KubeSettings {
    let backoff = BackoffSettings {
        base: Duration::from_millis(10),
        max: Duration::from_millis(100),
    };
    KubeSettings {
        page_size: 3,
        backoff,
        relist: backoff,
        silence: SILENCE,
        request_timeout: Duration::from_secs(2),
        ..KubeSettings::new("node1")
    }
}

async fn server() -> Server {
    Server::start(ServerConfig::default())
        .await
        .expect("a server")
}

/// Creates ten Services with slices, and two Nodes.
fn fill(server: &Server) {
    for number in 0..10 {
        let name = format!("s{number}");
        server
            .put(service(&name, &format!("10.96.1.{number}")))
            .expect("a Service");
        server
            .put(slice(
                &format!("{name}-x"),
                &name,
                &format!("10.244.1.{number}"),
            ))
            .expect("a slice");
    }
    server.put(node("node1")).expect("a Node");
    server.put(node("node2")).expect("a Node");
}

/// Adds, changes and deletes objects of every kind, differently for every `round`.
fn change(server: &Server, round: u8) {
    let name = format!("n{round}");
    server
        .put(service(&name, &format!("10.96.2.{round}")))
        .expect("a Service");
    server
        .put(slice(
            &format!("{name}-x"),
            &name,
            &format!("10.244.2.{round}"),
        ))
        .expect("a slice");
    server
        .put(slice("s1-x", "s1", &format!("10.244.3.{round}")))
        .expect("a slice");
    let deleted = format!("s{}", round + 2);
    server
        .delete(Resource::Services, "default", &deleted)
        .expect("a Service");
    let mut own = node("node1");
    own["metadata"]["labels"] = json!({"topology.kubernetes.io/zone": format!("zone-{round}")});
    server.put(own).expect("a Node");
}

struct Scene {
    server: Server,
    settings: KubeSettings,
    events: Receiver<SourceEvent>,
    state: ClusterState,
    troubles: Vec<SourceProblem>,
    /// Subjects of troubles that have not recovered.
    open: BTreeSet<Name>,
    lists: usize,
    deadline: Instant,
}

impl Scene {
    async fn start(server: Server, settings: KubeSettings) -> Self {
        let (sender, events) = channel(8);
        let source = SourceConfig::Kube {
            connection: connection(&server),
            settings: Box::new(settings.clone()),
        };
        let sink = EventSink::new(source.names(), sender);
        tokio::spawn(sources::run(source, sink));
        Self {
            server,
            settings,
            events,
            state: ClusterState::default(),
            troubles: Vec::new(),
            open: BTreeSet::new(),
            lists: 0,
            deadline: Instant::now() + Duration::from_secs(60),
        }
    }

    /// Starts a source at a filled server and waits until the states agree.
    async fn settled(settings: KubeSettings) -> Self {
        let server = server().await;
        fill(&server);
        let mut scene = Self::start(server, settings).await;
        scene.agree().await;
        scene
    }

    async fn receive(&mut self) {
        let event = timeout_at(self.deadline, self.events.recv()).await;
        match event.expect("an event in time").expect("a running source") {
            SourceEvent::Cluster(event, _) => {
                self.lists += usize::from(matches!(event, ClusterEvent::ListStarted(_)));
                let before = self.state.is_complete();
                let changed = self.state.absorb(event.clone());
                if let (false, ClusterEvent::Delete(..)) = (before, &event) {
                    assert!(
                        changed.is_empty(),
                        "deleted before the lists were complete: {event:?}"
                    );
                }
            }
            SourceEvent::Trouble(problem) => {
                self.open.insert(problem.subject.clone());
                self.troubles.push(problem);
            }
            SourceEvent::Recovered { subject } => {
                assert!(
                    self.open.remove(&subject),
                    "{subject} recovered without a problem"
                );
            }
        }
    }

    /// Receives events until the state equals that of the server.
    async fn agree(&mut self) {
        let wanted = held(&self.server, &self.settings).await;
        while !self.state.is_complete() || self.state != wanted {
            self.receive().await;
        }
    }

    async fn until_troubles(&mut self, kind: ProblemKind) -> &SourceProblem {
        while !self.troubles.iter().any(|problem| problem.kind == kind) {
            self.receive().await;
        }
        (self.troubles.iter())
            .find(|problem| problem.kind == kind)
            .expect("just seen")
    }

    async fn until_recovered(&mut self) {
        while !self.open.is_empty() {
            self.receive().await;
        }
    }

    async fn until_watches(&mut self, count: usize) {
        let all = async {
            while self.server.open_watches() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), all)
            .await
            .expect("watches in time");
    }
}

fn connection(server: &Server) -> Connection {
    Connection::without_credentials(server.url().parse().expect("a URL")).expect("a client")
}

/// Returns the objects of the server, read by lists.
async fn held(server: &Server, settings: &KubeSettings) -> ClusterState {
    let mut state = ClusterState::default();
    let events = list_once(&connection(server), settings)
        .await
        .expect("lists");
    for event in events {
        state.absorb(event);
    }
    state
}

fn name(text: &str) -> ObjectName {
    ObjectName::new("default", text)
}

fn by_pages() -> KubeSettings {
    KubeSettings {
        streaming_lists: false,
        ..settings()
    }
}

#[tokio::test]
async fn lists_and_changes_are_delivered() {
    for (settings, streamed) in [(settings(), true), (by_pages(), false)] {
        let mut scene = Scene::settled(settings).await;
        assert_eq!(scene.state.service_names().count(), 10);
        assert_eq!(scene.state.slices(&name("s1")).count(), 1);
        assert_eq!(scene.state.nodes().count(), 2);
        let asked = scene.server.requests();
        let initial = asked
            .iter()
            .any(|request| request.uri.to_string().contains("sendInitialEvents"));
        assert_eq!(initial, streamed);
        for round in 0..5 {
            change(&scene.server, round);
            scene.agree().await;
        }
        assert!(scene.state.service(&name("n4")).is_some());
        assert!(scene.state.service(&name("s2")).is_none());
        assert_eq!((scene.troubles.len(), scene.lists), (0, 3));
    }
}

#[tokio::test]
async fn a_server_without_streamed_lists_is_read_by_pages() {
    let server = server().await;
    server.faults().without_streaming_lists(true);
    fill(&server);
    let mut scene = Scene::start(server, settings()).await;
    scene.agree().await;
    change(&scene.server, 0);
    scene.agree().await;
    assert_eq!(scene.troubles, []);
}

#[tokio::test]
async fn the_selectors_apply_and_all_nodes_are_watched() {
    let all = KubeSettings {
        nodes: Nodes::All,
        ..settings()
    };
    let mut scene = Scene::settled(all).await;
    assert_eq!(scene.state.nodes().count(), 2);
    let mut other = service("s1", "10.96.1.1");
    other["metadata"]["labels"] = json!({"service.kubernetes.io/service-proxy-name": "other"});
    scene.server.put(other).expect("a Service");
    (scene.server.put(service("headless", "None"))).expect("a Service");
    let mut labelled = service("labelled", "10.96.1.90");
    labelled["metadata"]["labels"] = json!({"service.kubernetes.io/headless": ""});
    scene.server.put(labelled).expect("a Service");
    scene.agree().await;
    assert!(scene.state.service(&name("s1")).is_none());
    assert!(scene.state.service(&name("headless")).is_none());
    assert!(scene.state.service(&name("labelled")).is_some());
    assert!(scene.state.service(&name("s2")).is_some());
}

#[tokio::test]
async fn a_restarted_server_recovers() {
    let mut scene = Scene::settled(settings()).await;
    scene.server.down().await;
    let problem = scene.until_troubles(ProblemKind::Unreachable).await;
    assert!(problem.message.contains("Connection refused"), "{problem}");
    scene.server.up(State::Kept).await.expect("the port");
    change(&scene.server, 0);
    scene.agree().await;
    scene.until_recovered().await;
}

#[tokio::test]
async fn lost_state_of_a_server_is_detected() {
    let mut scene = Scene::settled(settings()).await;
    scene.server.down().await;
    scene.server.up(State::Lost).await.expect("the port");
    scene
        .server
        .put(service("new", "10.96.1.1"))
        .expect("a Service");
    scene.agree().await;
    assert_eq!(scene.state.service_names().count(), 1);
}

#[tokio::test]
async fn a_compacted_history_causes_relists() {
    for settings in [settings(), by_pages()] {
        let mut scene = Scene::settled(settings).await;
        scene.until_watches(3).await;
        for round in 0..5 {
            scene.server.down().await;
            change(&scene.server, round);
            scene.server.compact();
            scene.server.up(State::Kept).await.expect("the port");
            scene.agree().await;
        }
        assert!(scene.lists > 3, "{} lists", scene.lists);
        assert!(
            scene
                .troubles
                .iter()
                .all(|problem| problem.kind == ProblemKind::Unreachable)
        );
    }
}

#[tokio::test]
async fn connections_that_break_in_the_middle_of_events_lose_nothing() {
    let mut scene = Scene::settled(settings()).await;
    for round in 0..5 {
        scene.server.faults().cut_events(2);
        change(&scene.server, round);
        scene.agree().await;
    }
    assert_eq!((scene.troubles.len(), scene.lists), (0, 3));
}

#[tokio::test]
async fn ended_watches_are_resumed() {
    let mut scene = Scene::settled(settings()).await;
    for round in 0..5 {
        scene.until_watches(3).await;
        scene.server.faults().close_watches();
        change(&scene.server, round);
        scene.agree().await;
    }
    assert_eq!((scene.troubles.len(), scene.lists), (0, 3));
}

#[tokio::test]
async fn connections_are_half_open() {
    let mut scene = Scene::settled(settings()).await;
    scene.until_watches(3).await;
    scene.server.faults().half_open(true);
    tokio::time::sleep(Duration::from_millis(20)).await;
    change(&scene.server, 0);
    scene.server.faults().half_open(false);
    scene.agree().await;
    assert_eq!((scene.troubles.len(), scene.lists), (0, 3));
}

#[tokio::test]
async fn busy_and_failing_servers_are_reported_and_retried() {
    for (code, kind) in [
        (429, ProblemKind::Throttled),
        (500, ProblemKind::ServerFailed),
        (503, ProblemKind::ServerFailed),
    ] {
        let server = server().await;
        fill(&server);
        server.faults().fail_next(FailNext {
            count: 6,
            code,
            retry_after: 1,
        });
        let mut scene = Scene::start(server, settings()).await;
        scene.until_troubles(kind).await;
        while scene.server.faults().state().fail_next.is_some() {
            scene.receive().await;
        }
        scene.agree().await;
        scene.until_recovered().await;
    }
}

#[tokio::test]
async fn refused_credentials_are_reported_and_objects_kept() {
    let mut scene = Scene::settled(settings()).await;
    let check = |faults: &Faults, on: bool| {
        faults.unauthorized(on);
        faults.close_watches();
    };
    check(scene.server.faults(), true);
    let problem = scene.until_troubles(ProblemKind::Unauthorized).await;
    assert!(
        problem
            .to_string()
            .ends_with("has expired, or belongs to another cluster"),
        "{problem}"
    );
    // Earlier objects are kept.
    assert_eq!(scene.state.service_names().count(), 10);
    check(scene.server.faults(), false);
    change(&scene.server, 0);
    scene.agree().await;

    scene.server.faults().unauthorized(true);
    let problem = list_once(&connection(&scene.server), &scene.settings)
        .await
        .expect_err("no access");
    assert_eq!(problem.kind, ProblemKind::Unauthorized);
}

#[tokio::test]
async fn a_missing_role_is_reported() {
    let server = server().await;
    fill(&server);
    server.faults().forbid(vec![Forbid {
        resource: "endpointslices".to_owned(),
        verb: "*".to_owned(),
    }]);
    let mut scene = Scene::start(server, settings()).await;
    let problem = scene.until_troubles(ProblemKind::Forbidden).await;
    assert_eq!(&*problem.subject, "endpointslices");
    assert!(
        problem.to_string().ends_with(
            "a ClusterRole bound to this user must allow the verbs list and watch on endpointslices of apiGroup discovery.k8s.io"
        ),
        "{problem}"
    );
    let once = list_once(&connection(&scene.server), &scene.settings)
        .await
        .expect_err("no access");
    assert_eq!(once.kind, ProblemKind::Forbidden);
    assert!(!scene.state.is_complete());
    scene.server.faults().forbid(vec![]);
    scene.agree().await;
    assert_eq!(scene.troubles.len(), 1, "{:?}", scene.troubles);
}

#[tokio::test]
async fn endpoints_are_watched_in_a_cluster_without_slices() {
    let server = server().await;
    server.faults().without_discovery_v1(true);
    server.put(service("a", "10.96.1.1")).expect("a Service");
    server
        .put(endpoints("a", &["10.244.1.1", "fd00::1"]))
        .expect("Endpoints");
    let mut scene = Scene::start(server, settings()).await;
    scene.agree().await;
    let slices = |scene: &Scene| -> Vec<String> {
        (scene.state.slices(&name("a")))
            .map(|slice| slice.name.name.to_string())
            .collect()
    };
    assert_eq!(slices(&scene), ["a:ipv4:0", "a:ipv6:0"]);
    scene
        .server
        .put(endpoints("a", &["10.244.1.2"]))
        .expect("Endpoints");
    scene.agree().await;
    assert_eq!(slices(&scene), ["a:ipv4:0"]);
    scene
        .server
        .delete(Resource::Endpoints, "default", "a")
        .expect("Endpoints");
    scene.agree().await;
    assert_eq!(slices(&scene), [""; 0]);
    assert_eq!(scene.troubles, []);
}

/// The selector excludes only slices of headless Services.
#[tokio::test]
async fn slices_without_a_service_are_delivered() {
    let server = server().await;
    let labelled = |service: &str| slice("a-1", service, "10.244.1.1");
    let mut unlabelled = labelled("a");
    unlabelled["metadata"]["labels"] = json!({"app": "a"});
    server.put(unlabelled.clone()).expect("a slice");
    let mut headless = slice("a-2", "", "10.244.1.2");
    headless["metadata"]["labels"] = json!({"service.kubernetes.io/headless": ""});
    server.put(headless).expect("a slice");
    let mut scene = Scene::start(server, settings()).await;
    for (now, of_no_service, of_a) in [
        (None, 1, 0),
        (Some(labelled("a")), 0, 1),
        (Some(unlabelled), 1, 0),
        (Some(labelled("")), 1, 0),
    ] {
        now.map(|slice| scene.server.put(slice).expect("a slice"));
        scene.agree().await;
        let counts = ["", "a"].map(|service| scene.state.slices(&name(service)).count());
        assert_eq!(counts, [of_no_service, of_a]);
    }
    (scene
        .server
        .delete(Resource::EndpointSlices, "default", "a-1"))
    .expect("a slice");
    scene.agree().await;
    assert_eq!(scene.state.without_service().count(), 0);
    assert_eq!(scene.troubles, []);
}

#[tokio::test]
async fn endpoints_are_watched_once_slices_are_no_longer_served() {
    let mut scene = Scene::settled(settings()).await;
    scene
        .server
        .put(endpoints("s1", &["10.244.9.9"]))
        .expect("Endpoints");
    scene.until_watches(3).await;
    scene.server.faults().without_discovery_v1(true);
    scene.agree().await;
    let slices: Vec<_> = scene.state.slices(&name("s1")).collect();
    assert_eq!(slices.len(), 1);
    assert_eq!(&*slices[0].name.name, "s1:ipv4:0");
}

#[tokio::test]
async fn pods_of_a_namespace_are_listed() {
    let server = server().await;
    for number in 1..=5 {
        let namespace = if number < 5 { "default" } else { "bank" };
        let mut object = slice(&format!("p{number}"), "p", &format!("10.244.8.{number}"));
        object["metadata"]["namespace"] = namespace.into();
        object["metadata"]["labels"]["service.kubernetes.io/headless"] = "".into();
        object["endpoints"][0]["targetRef"] = json!({"kind": "Pod", "name": format!("p{number}")});
        server.put(object).expect("a slice");
    }
    for (namespace, expected) in [
        ("default", "default/p1 default/p2 default/p3 default/p4"),
        ("bank", "bank/p5"),
        // A name is a value, and no further selector.
        ("bank,metadata.name=p5", ""),
    ] {
        let pods = list_pods(&connection(&server), &settings(), namespace).await;
        let pods = pods.expect("pods");
        let names: Vec<String> = pods.names().map(ToString::to_string).collect();
        assert_eq!(names.join(" "), expected, "{namespace}");
    }
}

#[tokio::test]
async fn events_are_delivered_in_lists_of_every_kind() {
    let server = server().await;
    fill(&server);
    let events = list_once(&connection(&server), &settings())
        .await
        .expect("lists");
    let marks: Vec<_> = (events.into_iter())
        .filter(|event| {
            matches!(
                event,
                ClusterEvent::ListStarted(_) | ClusterEvent::ListDone(_)
            )
        })
        .collect();
    let wanted: Vec<_> = (ObjectKind::ALL.into_iter())
        .flat_map(|kind| {
            [
                ClusterEvent::ListStarted(kind),
                ClusterEvent::ListDone(kind),
            ]
        })
        .collect();
    assert_eq!(marks, wanted);
}

#[tokio::test]
async fn tls_and_tokens_are_used() {
    let config = ServerConfig {
        tls: true,
        token: Some("secret".to_owned()),
        ..ServerConfig::default()
    };
    let server = Server::start(config).await.expect("a server");
    fill(&server);
    let folder = tempfile::TempDir::new().expect("a temporary directory");
    let path = folder.path().join("kubeconfig");
    server.kubeconfig().write(&path).expect("to write");
    let connection = sources::kube::connect(Some(&path), None)
        .await
        .expect("a client");
    assert_eq!(connection.server, server.url());
    let events = list_once(&connection, &settings()).await.expect("lists");
    assert!(events.len() > 20);

    // A client without the certificate authority.
    let problem = list_once(&self::connection(&server), &settings())
        .await
        .expect_err("no trust");
    assert_eq!(problem.kind, ProblemKind::Tls, "{problem}");
    // A client with the wrong token.
    let mut wrong = server.kubeconfig();
    wrong.token = Some("wrong".to_owned());
    wrong.write(&path).expect("to write");
    let connection = sources::kube::connect(Some(&path), None)
        .await
        .expect("a client");
    let problem = list_once(&connection, &settings())
        .await
        .expect_err("no access");
    assert_eq!(problem.kind, ProblemKind::Unauthorized, "{problem}");
}
