//! Clusters of one shape: a number of Services with one TCP port and a number of endpoints each.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use ipvs::{AddressFamily, Protocol};
use model::cluster::{Endpoint, EndpointPort, EndpointSlice, Parsed, Service, ServicePort};
use model::{
    ClusterEvent, ClusterState, Desired, NodeConfig, NodeState, Object, ObjectKind, ObjectName,
};
use planner::compile;

const PORT: NonZeroU16 = NonZeroU16::MIN.saturating_add(79);

/// Returns the tables that such a cluster needs on a node.
///
/// # Errors
///
/// There are more endpoints than the network `10.128.0.0/9` has addresses, or more Services than
/// `10.96.0.0/11` has.
pub fn desired(services: u32, endpoints: u32) -> Result<Desired, Box<dyn Error + Send + Sync>> {
    let cluster = cluster(services, endpoints)?;
    let node = NodeState::default();
    Ok(compile(&cluster, &node, &config()).0)
}

/// Returns such a cluster, with all first lists delivered.
///
/// # Errors
///
/// As [`desired`].
pub fn cluster(
    services: u32,
    endpoints: u32,
) -> Result<ClusterState, Box<dyn Error + Send + Sync>> {
    let fits = services < 1 << 21 && u64::from(services) * u64::from(endpoints) < 1 << 23;
    if !fits {
        return Err(format!("no addresses for {services} Services x {endpoints} endpoints").into());
    }
    let mut cluster = ClusterState::default();
    for number in 0..services {
        cluster.absorb(ClusterEvent::Upsert(Object::Service(service(number))));
        let first = number * endpoints;
        cluster.absorb(slice(number, first, endpoints));
    }
    for kind in ObjectKind::ALL {
        cluster.absorb(ClusterEvent::ListDone(kind));
    }
    Ok(cluster)
}

/// Returns the configuration of the measured node: the defaults.
#[must_use]
pub fn config() -> NodeConfig {
    NodeConfig::new("bench")
}

/// Returns the name of the Service of this number.
#[must_use]
pub fn name(service: u32) -> ObjectName {
    ObjectName::new("bench", format!("service-{service}"))
}

/// Returns the slice of a Service with `count` ready endpoints, starting with the pod of number
/// `first`.
#[must_use]
pub fn slice(service: u32, first: u32, count: u32) -> ClusterEvent {
    let name = name(service);
    ClusterEvent::Upsert(Object::EndpointSlice(EndpointSlice {
        service: name.name.clone(),
        name,
        family: Some(AddressFamily::Ipv4),
        endpoints: (first..first + count)
            .map(|pod| Endpoint::ready(address([10, 128, 0, 0], pod + 1)))
            .collect(),
        ports: vec![EndpointPort {
            name: Some("http".into()),
            protocol: Parsed::Valid(Protocol::Tcp),
            port: Some(PORT),
        }],
        triggered: None,
        uid: None,
        several_addresses: None,
    }))
}

fn service(number: u32) -> Service {
    Service {
        cluster_ips: vec![address([10, 96, 0, 0], number + 1)],
        ports: vec![ServicePort {
            name: "http".into(),
            protocol: Parsed::Valid(Protocol::Tcp),
            port: Parsed::Valid(PORT),
            node_port: None,
        }],
        ..Service::new(name(number))
    }
}

fn address(base: [u8; 4], number: u32) -> Parsed<IpAddr> {
    Parsed::Valid(Ipv4Addr::from(u32::from_be_bytes(base) + number).into())
}
