//! Tests of the Kubernetes source against a server in memory, or against `kube-apiserver` and
//! `etcd` of the folder `KUBEBUILDER_ASSETS`. A server without `discovery.k8s.io/v1` (before
//! Kubernetes 1.21) gets Endpoints instead of slices.

mod objects;

use std::collections::BTreeSet;
use std::time::Duration;

use apiserver::{Resource, State, TestServer};
use model::names::Name;
use model::{ClusterState, ObjectName};
use serde_json::{Value, json};
use sources::kube::{BackoffSettings, Connection, KubeSettings, connect, list_once};
use sources::{EventSink, SourceConfig, SourceEvent};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

use self::objects::{endpoints, node, service, slice};

/// Limit of every wait, longer than the restart of a real server takes.
const TIMEOUT: Duration = Duration::from_secs(180);

fn settings(streaming_lists: bool) -> KubeSettings {
    let backoff = BackoffSettings {
        base: Duration::from_millis(10),
        max: Duration::from_secs(1),
    };
    KubeSettings {
        page_size: 3,
        backoff,
        relist: backoff,
        streaming_lists,
        ..KubeSettings::new("node1")
    }
}

/// Kind of objects with endpoints.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Endpoints {
    Slices,
    Old,
}

impl Endpoints {
    async fn of(server: &TestServer) -> Self {
        match server
            .create(Self::Slices.object("probe", "10.244.0.1"))
            .await
        {
            Ok(_) => Self::Slices,
            Err(kube::Error::Api(status)) if status.code == 404 => Self::Old,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Returns an object with an endpoint of the Service `name` at `address`.
    fn object(self, name: &str, address: &str) -> Value {
        match self {
            Self::Slices => slice(name, name, address),
            Self::Old => endpoints(name, &[address]),
        }
    }

    fn resource(self) -> Resource {
        match self {
            Self::Slices => Resource::EndpointSlices,
            Self::Old => Resource::Endpoints,
        }
    }
}

struct Scene {
    server: TestServer,
    endpoints: Endpoints,
    settings: KubeSettings,
    connection: Connection,
    events: Receiver<SourceEvent>,
    state: ClusterState,
    /// Kinds of objects that could not be delivered.
    troubled: BTreeSet<Name>,
}

impl Scene {
    /// Starts a source at a server with eight Services.
    async fn start(streaming_lists: bool) -> Self {
        let server = TestServer::start().await.expect("a server");
        let endpoints = Endpoints::of(&server).await;
        let folder = tempfile::TempDir::new().expect("a temporary directory");
        let path = folder.path().join("kubeconfig");
        server.kubeconfig().write(&path).expect("to write");
        let connection = connect(Some(&path), None).await.expect("a client");
        let settings = settings(streaming_lists);
        let source = SourceConfig::Kube {
            connection: connection.clone(),
            settings: Box::new(settings.clone()),
        };
        let (sender, events) = channel(8);
        let sink = EventSink::new(source.names(), sender);
        let scene = Self {
            server,
            endpoints,
            settings,
            connection,
            events,
            state: ClusterState::default(),
            troubled: BTreeSet::new(),
        };
        scene.fill().await;
        tokio::spawn(sources::run(source, sink));
        scene
    }

    async fn create(&self, object: Value) {
        self.server.create(object).await.expect("an object");
    }

    async fn fill(&self) {
        for number in 0..8 {
            let name = format!("s{number}");
            self.create(service(&name, &format!("10.96.1.{number}")))
                .await;
            let address = format!("10.244.1.{number}");
            self.create(self.endpoints.object(&name, &address)).await;
        }
        self.create(node("node1")).await;
    }

    /// Changes objects of every kind.
    async fn change(&self, round: u8) {
        let name = format!("n{round}");
        self.create(service(&name, &format!("10.96.2.{round}")))
            .await;
        let address = format!("10.244.2.{round}");
        self.create(self.endpoints.object(&name, &address)).await;
        let moved = self.endpoints.object("s0", &format!("10.244.3.{round}"));
        let kind = self.endpoints.resource();
        let patched = self.server.patch(kind, "default", "s0", &moved).await;
        patched.expect("a patch");
        let label = json!({"metadata": {"labels": {"topology.kubernetes.io/zone": name}}});
        let labelled = self.server.patch(Resource::Nodes, "", "node1", &label);
        labelled.await.expect("a patch");
        let other = format!("s{}", round + 1);
        for kind in [Resource::Services, kind] {
            let deleted = self.server.delete(kind, "default", &other).await;
            // Some versions delete Endpoints together with their Service.
            assert!(deleted.is_ok() || kind == Resource::Endpoints);
        }
    }

    /// Receives events until the state equals that of the server.
    async fn agree(&mut self) {
        let mut wanted = ClusterState::default();
        let listed = list_once(&self.connection, &self.settings).await;
        for event in listed.expect("lists") {
            wanted.absorb(event);
        }
        while !self.state.is_complete() || self.state != wanted {
            self.receive().await;
        }
    }

    /// Stops the server and waits until a problem was reported for each kind of objects.
    async fn down(&mut self) {
        self.troubled.clear();
        self.server.down().await;
        while self.troubled.len() < 3 {
            self.receive().await;
        }
    }

    async fn receive(&mut self) {
        let event = timeout(TIMEOUT, self.events.recv()).await;
        match event.expect("an event in time").expect("a running source") {
            SourceEvent::Cluster(event, _) => drop(self.state.absorb(event)),
            SourceEvent::Trouble(problem) => drop(self.troubled.insert(problem.subject)),
            SourceEvent::Recovered { .. } => {}
        }
    }
}

#[tokio::test]
async fn lists_and_changes_are_delivered() {
    for streaming_lists in [true, false] {
        let mut scene = Scene::start(streaming_lists).await;
        scene.agree().await;
        for round in 0..3 {
            scene.change(round).await;
            scene.agree().await;
        }
        let first = ObjectName::new("default", "s0");
        assert_eq!(scene.state.slices(&first).count(), 1);
        assert!(scene.troubled.is_empty());
    }
}

#[tokio::test]
async fn a_restart_and_lost_state_are_detected() {
    let mut scene = Scene::start(true).await;
    scene.agree().await;
    scene.down().await;
    scene.server.up(State::Kept).await.expect("a server");
    scene.change(0).await;
    scene.agree().await;
    scene.down().await;
    scene.server.up(State::Lost).await.expect("a server");
    scene.create(service("other", "10.96.3.1")).await;
    scene.agree().await;
}
