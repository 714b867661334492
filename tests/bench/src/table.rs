//! The table that is written and read.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use ipvs::{AddressFamily, Protocol};
use model::cluster::{Endpoint, EndpointPort, EndpointSlice, Parsed, Service, ServicePort};
use model::{
    ClusterEvent, ClusterState, Desired, NodeConfig, NodeState, Object, ObjectKind, ObjectName,
};
use planner::compile;

/// What a cluster of so many Services of one TCP port and so many endpoints each asks for.
pub(crate) fn desired(
    services: u32,
    endpoints: u32,
) -> Result<Desired, Box<dyn Error + Send + Sync>> {
    let port = NonZeroU16::new(80).ok_or("a port is not zero")?;
    let mut cluster = ClusterState::default();
    for service in 0..services {
        let name = ObjectName::new("bench", format!("service-{service}"));
        cluster.absorb(ClusterEvent::Upsert(Object::Service(Service {
            cluster_ips: vec![address([10, 96, 0, 0], service + 1)],
            ports: vec![ServicePort {
                name: "http".into(),
                protocol: Parsed::Valid(Protocol::Tcp),
                port: Parsed::Valid(port),
                node_port: None,
            }],
            ..Service::new(name.clone())
        })));
        let endpoints = (0..endpoints)
            .map(|number| address([10, 128, 0, 0], service * endpoints + number + 1))
            .map(Endpoint::ready)
            .collect();
        cluster.absorb(ClusterEvent::Upsert(Object::EndpointSlice(EndpointSlice {
            service: name.name.clone(),
            name,
            family: Some(AddressFamily::Ipv4),
            endpoints,
            ports: vec![EndpointPort {
                name: Some("http".into()),
                protocol: Parsed::Valid(Protocol::Tcp),
                port: Some(port),
            }],
            triggered: None,
        })));
    }
    for kind in ObjectKind::ALL {
        cluster.absorb(ClusterEvent::ListDone(kind));
    }
    let (node, config) = (NodeState::default(), NodeConfig::new("bench"));
    Ok(compile(&cluster, &node, &config).0)
}

fn address(base: [u8; 4], number: u32) -> Parsed<IpAddr> {
    Parsed::Valid(Ipv4Addr::from(u32::from_be_bytes(base) + number).into())
}
