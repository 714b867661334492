//! Shortcuts to build clusters in tests.

use std::net::IpAddr;

pub(crate) use fixtures::service_port as port;
use ipvs::Protocol;
use model::cluster::{ClusterState, Endpoint, EndpointSlice, Object, Parsed, Service};
use model::{Code, Desired, Finding, NodeConfig, NodeState, ObjectName};

use crate::Compiler;

pub(crate) fn config() -> NodeConfig {
    NodeConfig::new("node1")
}

/// Returns Service `default/NAME` with one TCP port `http` 80.
pub(crate) fn service(name: &str, cluster_ips: &[&str]) -> Service {
    Service {
        created: Some(1_000),
        cluster_ips: cluster_ips.iter().map(|text| address(text)).collect(),
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
        ..Endpoint::ready(address(text))
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

pub(crate) fn cluster(services: Vec<Service>, slices: Vec<EndpointSlice>) -> ClusterState {
    let objects = (services.into_iter().map(Object::Service))
        .chain(slices.into_iter().map(Object::EndpointSlice));
    let mut state = ClusterState::default();
    for event in fixtures::lists(objects) {
        state.absorb(event);
    }
    state
}

fn address(text: &str) -> Parsed<IpAddr> {
    text.parse()
        .map_or_else(|_| Parsed::Invalid(text.into()), Parsed::Valid)
}
