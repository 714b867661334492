//! The Kubernetes source against a server of either kind: in memory, or `kube-apiserver` with `etcd` where `KUBEBUILDER_ASSETS` names
//! the folder with both. One without `discovery.k8s.io/v1` (before Kubernetes 1.21) gets Endpoints in place of slices.

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

/// Longer than a real server takes to come back.
const PATIENCE: Duration = Duration::from_secs(180);

fn settings(streaming_lists: bool) -> KubeSettings {
    let backoff = || BackoffSettings {
        base: Duration::from_millis(10),
        max: Duration::from_secs(1),
    };
    KubeSettings {
        page_size: 3,
        backoff: backoff(),
        relist: backoff(),
        streaming_lists,
        ..KubeSettings::new("node1")
    }
}

fn service(name: &str, address: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"clusterIP": address, "ports": [{"port": 80}]}})
}

/// The kind of object that says where endpoints are.
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

    /// Endpoints of the Service `name` at `address`.
    fn object(self, name: &str, address: &str) -> Value {
        match self {
            Self::Slices => {
                json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
                "endpoints": [{"addresses": [address]}], "ports": [{"name": "", "port": 8080}]})
            }
            Self::Old => {
                json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name},
                "subsets": [{"addresses": [{"ip": address}], "ports": [{"port": 8080}]}]})
            }
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
    /// A source that follows a server with eight Services.
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
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.10"}]}});
        self.create(node).await;
    }

    /// Changes something of every kind.
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
        let gone = format!("s{}", round + 1);
        for kind in [Resource::Services, kind] {
            let deleted = self.server.delete(kind, "default", &gone).await;
            // Endpoints go with their Service in some versions.
            assert!(deleted.is_ok() || kind == Resource::Endpoints);
        }
    }

    /// Hears until the state is what the server lists.
    async fn agree(&mut self) {
        let mut wanted = ClusterState::default();
        let listed = list_once(&self.connection, &self.settings).await;
        for event in listed.expect("lists") {
            wanted.absorb(event);
        }
        while !self.state.is_complete() || self.state != wanted {
            self.hear().await;
        }
    }

    /// Stops the server, and waits until each kind of object was asked for in vain.
    async fn down(&mut self) {
        self.troubled.clear();
        self.server.down().await;
        while self.troubled.len() < 3 {
            self.hear().await;
        }
    }

    async fn hear(&mut self) {
        let event = timeout(PATIENCE, self.events.recv()).await;
        match event.expect("an event in time").expect("a running source") {
            SourceEvent::Cluster(event) => drop(self.state.absorb(event)),
            SourceEvent::Trouble(problem) => drop(self.troubled.insert(problem.subject)),
            SourceEvent::Recovered { .. } => {}
        }
    }
}

#[tokio::test]
async fn lists_and_changes() {
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
async fn a_server_restarts_and_loses_its_state() {
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
