//! Short ways to say what a cluster holds.

use std::net::IpAddr;
use std::num::NonZeroU16;

use ipvs::{AddressFamily, Protocol};
use model::cluster::{
    ClusterEvent, ClusterState, Endpoint, EndpointPort, EndpointSlice, Object, ObjectKind, Parsed,
    Service, ServicePort,
};
use model::{Desired, Finding, NodeConfig, NodeState, ObjectName};

use crate::Compiler;

pub(crate) fn config() -> NodeConfig {
    NodeConfig::new("node1")
}

/// Service `default/NAME` with one TCP port `http` 80.
pub(crate) fn service(name: &str, cluster_ips: &[&str]) -> Service {
    Service {
        created: Some(1_000),
        cluster_ips: cluster_ips.iter().map(|text| address(text)).collect(),
        ports: vec![port("http", 80, Protocol::Tcp)],
        ..Service::new(ObjectName::new("default", name))
    }
}

pub(crate) fn port(name: &str, number: u16, protocol: Protocol) -> ServicePort {
    ServicePort {
        name: name.into(),
        protocol: Parsed::Valid(protocol),
        port: NonZeroU16::new(number).map_or(Parsed::Invalid("0".into()), Parsed::Valid),
        node_port: None,
    }
}

/// A slice of `default/SERVICE` whose endpoints serve `http` on 8080. Its family is that of the first
/// endpoint.
pub(crate) fn slice(service: &str, name: &str, endpoints: Vec<Endpoint>) -> EndpointSlice {
    let first = endpoints
        .iter()
        .find_map(|endpoint| endpoint.address.as_result().ok());
    EndpointSlice {
        name: ObjectName::new("default", name),
        service: service.into(),
        family: Some(first.map_or(AddressFamily::Ipv4, |at| AddressFamily::of(*at))),
        endpoints,
        ports: vec![EndpointPort {
            name: Some("http".into()),
            protocol: Parsed::Valid(Protocol::Tcp),
            port: NonZeroU16::new(8080),
        }],
        triggered: None,
    }
}

/// A ready endpoint on `node2`.
pub(crate) fn endpoint(text: &str) -> Endpoint {
    Endpoint {
        node: Some("node2".into()),
        ..Endpoint::ready(address(text))
    }
}

/// Everything that the cluster asks of a node without interfaces, and what is odd about it.
pub(crate) fn compile(cluster: &ClusterState) -> (Desired, Vec<Finding>) {
    crate::compile(cluster, &NodeState::default(), &config())
}

/// A compiler of everything.
pub(crate) fn compiler() -> Compiler {
    Compiler::new(config())
}

pub(crate) fn cluster(services: Vec<Service>, slices: Vec<EndpointSlice>) -> ClusterState {
    let mut state = ClusterState::default();
    for kind in ObjectKind::ALL {
        state.absorb(ClusterEvent::ListStarted(kind));
    }
    let objects = (services.into_iter().map(Object::Service))
        .chain(slices.into_iter().map(Object::EndpointSlice));
    for object in objects {
        state.absorb(ClusterEvent::Upsert(object));
    }
    for kind in ObjectKind::ALL {
        state.absorb(ClusterEvent::ListDone(kind));
    }
    state
}

fn address(text: &str) -> Parsed<IpAddr> {
    text.parse()
        .map_or_else(|_| Parsed::Invalid(text.into()), Parsed::Valid)
}
