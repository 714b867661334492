//! Shortcuts to build clusters, nodes and tables in tests.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::str::FromStr;
use std::sync::Arc;

pub(crate) use fixtures::service_port as port;
use ipvs::{Protocol, VirtualServerKey};
use model::cluster::{
    ClusterState, Endpoint, EndpointSlice, Node, Object, Parsed, Service, TrafficPolicy,
};
use model::frontend::Sources;
use model::plan::Plan;
use model::snapshot::Interface;
use model::{
    Backend, ClusterEvent, Code, Desired, Finding, Frontend, FrontendKind, NodeConfig, NodeState,
    ObjectKind, ObjectName, ServicePortName, Snapshot, TableKeys,
};

use crate::{Compiler, Ownership};

pub(crate) fn config() -> NodeConfig {
    NodeConfig::new("node1")
}

/// Returns Service `default/NAME` with one TCP port `http` 80.
pub(crate) fn service(name: &str, cluster_ips: &[&str]) -> Service {
    Service {
        created: Some(1_000),
        cluster_ips: cluster_ips.iter().map(|text| parsed(text)).collect(),
        ports: vec![port("http", 80, Protocol::Tcp)],
        ..Service::new(ObjectName::new("default", name))
    }
}

/// Returns a slice of `default/SERVICE` whose endpoints serve `http` on 8080. The first endpoint
/// determines its family.
pub(crate) fn slice(service: &str, name: &str, endpoints: Vec<Endpoint>) -> EndpointSlice {
    fixtures::slice(ObjectName::new("default", name), service, endpoints)
}

/// Returns a ready endpoint on `node2`.
pub(crate) fn endpoint(text: &str) -> Endpoint {
    Endpoint {
        node: Some("node2".into()),
        ..Endpoint::ready(parsed(text))
    }
}

/// Returns an endpoint that is not ready on `node2`.
pub(crate) fn unready(text: &str, serving: bool, terminating: bool) -> Endpoint {
    Endpoint {
        ready: false,
        serving,
        terminating,
        ..endpoint(text)
    }
}

/// Returns the desired tables of a node without interfaces, and the findings about mistakes.
pub(crate) fn compile(cluster: &ClusterState) -> (Desired, Vec<Finding>) {
    let (desired, findings) = crate::compile(cluster, &NodeState::default(), &config());
    (desired, findings.into_iter().filter(is_mistake).collect())
}

/// Returns false for findings about Services that do not answer. Few Services in these tests have
/// endpoints.
pub(crate) fn is_mistake(finding: &Finding) -> bool {
    !matches!(
        finding.code,
        Code::NoSlices | Code::NoReadyEndpoint | Code::PortNotOffered | Code::NoEndpointOfFamily
    )
}

/// Creates a compiler without any objects.
pub(crate) fn compiler() -> Compiler {
    Compiler::new(config())
}

/// A cluster and a compiler that follows its changes.
pub(crate) struct Scene {
    pub(crate) state: ClusterState,
    pub(crate) compiler: Compiler,
}

impl Scene {
    /// Compiles `state` on `node`.
    pub(crate) fn new(state: ClusterState, mut compiler: Compiler, node: &NodeState) -> Self {
        compiler.update_all(&state, node);
        Self { state, compiler }
    }

    /// Applies an event and returns the keys that it changed.
    pub(crate) fn apply(&mut self, event: ClusterEvent) -> TableKeys {
        let changed = self.state.absorb(event);
        self.compiler.update(&self.state, &changed)
    }

    /// Updates the properties of the node and returns the keys that changed.
    pub(crate) fn look_at_node(&mut self, node: &NodeState) -> TableKeys {
        self.compiler.look_at_node(&self.state, node)
    }

    /// Returns the number of findings about mistakes.
    pub(crate) fn mistakes(&self) -> usize {
        let findings = self.compiler.findings();
        findings.filter(|finding| is_mistake(finding)).count()
    }
}

/// Returns the event that deletes the object `default/NAME`.
pub(crate) fn deleted(kind: ObjectKind, name: &str) -> ClusterEvent {
    ClusterEvent::Delete(kind, ObjectName::new("default", name))
}

/// Returns the items as text.
pub(crate) fn texts(items: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

pub(crate) fn cluster(services: Vec<Service>, slices: Vec<EndpointSlice>) -> ClusterState {
    let objects = (services.into_iter().map(Object::Service))
        .chain(slices.into_iter().map(Object::EndpointSlice));
    let mut state = ClusterState::default();
    for event in fixtures::lists(objects) {
        state.absorb(event);
    }
    state
}

pub(crate) fn parsed<T: FromStr>(text: &str) -> Parsed<T> {
    text.parse()
        .map_or_else(|_| Parsed::Invalid(text.into()), Parsed::Valid)
}

/// Returns a Node without a zone. Its pods are in 10.244.1.0/24.
pub(crate) fn node(name: &str, addresses: &[&str]) -> Node {
    Node {
        name: name.into(),
        zone: None,
        addresses: (addresses.iter())
            .map(|text| text.parse().expect("an address"))
            .collect(),
        pod_cidrs: vec!["10.244.1.0/24".parse().expect("a network")],
        deleting: false,
        leaving: false,
    }
}

pub(crate) fn interface(name: &str, addresses: &[&str]) -> Interface {
    Interface {
        name: name.into(),
        addresses: (addresses.iter())
            .map(|text| text.parse().expect("a network"))
            .collect(),
    }
}

/// Returns a node whose only interface is eth0 with these addresses.
pub(crate) fn eth0(addresses: &[&str]) -> NodeState {
    NodeState {
        interfaces: vec![interface("eth0", addresses)],
        ..NodeState::default()
    }
}

/// Returns a frontend of `default/web` at 203.0.113.1:80/TCP with one backend.
pub(crate) fn frontend(kind: FrontendKind) -> Frontend {
    let port = NonZeroU16::new(80).expect("not zero");
    Frontend {
        owner: Arc::new(ServicePortName {
            service: ObjectName::new("default", "web"),
            port: "http".into(),
            protocol: Protocol::Tcp,
        }),
        kind,
        address: [203, 0, 113, 1].into(),
        port,
        protocol: Protocol::Tcp,
        affinity: None,
        service_policy: None,
        weights: None,
        forwarding: None,
        bind: true,
        policy: TrafficPolicy::Cluster,
        lacks_local: false,
        sources: Sources::Any,
        finishing: Arc::default(),
        backends: vec![Backend {
            address: [10, 1, 0, 1].into(),
            port,
        }],
    }
}

/// Returns the key of a TCP virtual server.
pub(crate) fn key(text: &str) -> VirtualServerKey {
    let at: SocketAddr = text.parse().expect("an address and a port");
    fixtures::server_key(at.ip(), at.port(), Protocol::Tcp)
}

pub(crate) fn own() -> Ownership {
    Ownership::new(&config())
}

/// Returns the tables of Service `web` at 10.96.0.1 with these endpoints.
pub(crate) fn web(endpoints: &[&str]) -> Desired {
    let endpoints = endpoints.iter().map(|text| endpoint(text)).collect();
    let state = cluster(
        vec![service("web", &["10.96.0.1"])],
        vec![slice("web", "web", endpoints)],
    );
    compile(&state).0
}

/// Returns a node in the desired state.
pub(crate) fn live(desired: &Desired) -> Snapshot {
    Snapshot {
        tables: desired.tables.clone(),
        device: true,
        ..Snapshot::default()
    }
}

/// Returns `live` after the ops of `plan`.
pub(crate) fn after(live: &Snapshot, plan: &Plan) -> Snapshot {
    let mut after = live.clone();
    for planned in plan.ops() {
        after.apply(&planned.op);
    }
    after
}
