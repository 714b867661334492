//! The cluster: its objects, and the events of its source.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::time::Duration;

use ipvs::{AddressFamily, Protocol};
use model::cluster::{
    Endpoint, EndpointPort, EndpointSlice, Node, Parsed, Service, ServiceKind, ServicePort,
    TrafficPolicy,
};
use model::policy::Annotation;
use model::{ClusterEvent, Object, ObjectKind, ObjectName};

use super::random::Random;

/// Node port of the first port of Service `n`.
pub(super) const NODE_PORTS: u16 = 30_000;

/// All objects of a cluster.
#[derive(Clone, Debug)]
pub(super) struct World {
    /// Names of Services: `s0` to `sN`.
    services: u16,
    ports: u16,
    objects: BTreeMap<(ObjectKind, ObjectName), Object>,
}

impl World {
    /// Creates a cluster with room for so many Services, each with up to so many ports. Most of
    /// them exist.
    pub(super) fn new(random: &mut Random, services: u16, ports: u16) -> Self {
        let mut world = Self {
            services,
            ports,
            objects: BTreeMap::new(),
        };
        world.put(Object::Node(node()));
        for number in 0..services {
            if random.percent(80) {
                let service = world.service(random, number);
                world.put(Object::Service(service));
            }
            let slice = world.slice(random, number);
            world.put(Object::EndpointSlice(slice));
        }
        world
    }

    fn put(&mut self, object: Object) -> ClusterEvent {
        (self.objects).insert((object.kind(), object.name()), object.clone());
        ClusterEvent::Upsert(object)
    }

    fn take(&mut self, kind: ObjectKind, name: ObjectName) -> Vec<ClusterEvent> {
        match self.objects.remove(&(kind, name.clone())) {
            Some(_) => vec![ClusterEvent::Delete(kind, name)],
            None => Vec::new(),
        }
    }

    /// Returns all objects, as a source lists them first.
    pub(super) fn lists(&self) -> Vec<ClusterEvent> {
        ObjectKind::ALL
            .iter()
            .flat_map(|kind| self.list(*kind))
            .collect()
    }

    /// Returns a complete list of one kind.
    pub(super) fn list(&self, kind: ObjectKind) -> Vec<ClusterEvent> {
        let mut events = vec![ClusterEvent::ListStarted(kind)];
        events.extend(self.of(kind).cloned().map(ClusterEvent::Upsert));
        events.push(ClusterEvent::ListDone(kind));
        events
    }

    fn of(&self, kind: ObjectKind) -> impl Iterator<Item = &Object> {
        (self.objects.iter())
            .filter(move |((of, _), _)| *of == kind)
            .map(|(_, object)| object)
    }

    /// Returns a list that breaks off and starts again.
    pub(super) fn broken_list(&self, random: &mut Random, kind: ObjectKind) -> Vec<ClusterEvent> {
        let mut events = self.list(kind);
        events.truncate(1 + random.below(events.len()));
        events.extend(self.list(kind));
        events
    }

    /// Adds, removes or terminates an endpoint, or makes it stop serving.
    pub(super) fn change_endpoints(&mut self, random: &mut Random) -> Vec<ClusterEvent> {
        let number = self.number(random);
        let name = slice_name(number);
        let known = self.objects.get(&(ObjectKind::EndpointSlice, name));
        let Some(Object::EndpointSlice(slice)) = known else {
            let slice = self.slice(random, number);
            return vec![self.put(Object::EndpointSlice(slice))];
        };
        let mut slice = slice.clone();
        let endpoints = &mut slice.endpoints;
        match random.below(10) {
            0..4 if !endpoints.is_empty() => {
                endpoints.remove(random.below(endpoints.len()));
            }
            4..6 if !endpoints.is_empty() => {
                let at = random.below(endpoints.len());
                let endpoint = &mut endpoints[at];
                if endpoint.terminating && endpoint.serving && random.percent(50) {
                    endpoint.serving = false;
                } else {
                    endpoint.terminating = !endpoint.terminating;
                    endpoint.ready = !endpoint.terminating;
                    endpoint.serving = true;
                }
            }
            _ => {
                let new = endpoint(random, number, slice.family);
                endpoints.retain(|old| old.address != new.address);
                endpoints.push(new);
            }
        }
        vec![self.put(Object::EndpointSlice(slice))]
    }

    /// Adds, removes or replaces a Service or a slice.
    pub(super) fn change_service(&mut self, random: &mut Random) -> Vec<ClusterEvent> {
        let number = self.number(random);
        match random.below(10) {
            0..3 => self.take(ObjectKind::Service, service_name(number)),
            3 => self.take(ObjectKind::EndpointSlice, slice_name(number)),
            _ => {
                let service = self.service(random, number);
                vec![self.put(Object::Service(service))]
            }
        }
    }

    /// Sends an object again that the source sent before.
    pub(super) fn repeat(&self, random: &mut Random) -> Vec<ClusterEvent> {
        let object = random.pick(self.objects.values()).cloned();
        object.map(ClusterEvent::Upsert).into_iter().collect()
    }

    fn number(&self, random: &mut Random) -> u16 {
        u16::try_from(random.below(usize::from(self.services))).unwrap_or(0)
    }

    fn service(&self, random: &mut Random, number: u16) -> Service {
        let [high, low] = number.to_be_bytes();
        // Rarely it claims the address of another Service.
        let low = if random.percent(3) { low ^ 1 } else { low };
        let mut cluster_ips = vec![valid(Ipv4Addr::new(10, 96, high, low))];
        if number % 5 == 4 {
            cluster_ips.push(valid(Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, number)));
        }
        let kind = match random.below(10) {
            0..6 => ServiceKind::ClusterIp,
            6..8 => ServiceKind::NodePort,
            _ => ServiceKind::LoadBalancer,
        };
        let ports = (0..self.ports).filter(|port| *port == 0 || random.percent(80));
        let ports: Vec<u16> = ports.collect();
        let balancer = kind == ServiceKind::LoadBalancer;
        Service {
            kind,
            cluster_ips,
            ports: (ports.into_iter())
                .map(|port| service_port(kind, number, port))
                .collect(),
            affinity: random.percent(10).then_some(Duration::from_secs(600)),
            external_policy: match random.percent(20) {
                true => TrafficPolicy::Local,
                false => TrafficPolicy::Cluster,
            },
            load_balancer_ips: (balancer.then(|| valid(Ipv4Addr::new(203, 0, 113, low))))
                .into_iter()
                .collect(),
            source_ranges: (balancer && random.percent(30))
                .then(|| Parsed::Valid("192.0.2.0/24".parse().expect("a network")))
                .into_iter()
                .collect(),
            annotations: annotations(random),
            ..Service::new(service_name(number))
        }
    }

    fn slice(&self, random: &mut Random, number: u16) -> EndpointSlice {
        let family = match number % 5 == 4 && random.percent(50) {
            true => AddressFamily::Ipv6,
            false => AddressFamily::Ipv4,
        };
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for _ in 0..random.below(4) {
            let new = endpoint(random, number, Some(family));
            if endpoints.iter().all(|old| old.address != new.address) {
                endpoints.push(new);
            }
        }
        EndpointSlice {
            name: slice_name(number),
            service: format!("s{number}").into(),
            family: Some(family),
            endpoints,
            ports: (0..self.ports)
                .map(|port| EndpointPort {
                    name: Some(format!("p{port}").into()),
                    protocol: Parsed::Valid(protocol(number, port)),
                    port: NonZeroU16::new(8080 + port),
                })
                .collect(),
            triggered: None,
            uid: None,
            several_addresses: None,
        }
    }
}

fn service_name(number: u16) -> ObjectName {
    ObjectName::new("default", format!("s{number}"))
}

fn slice_name(number: u16) -> ObjectName {
    ObjectName::new("default", format!("s{number}-a"))
}

fn protocol(number: u16, port: u16) -> Protocol {
    match port == 1 && number % 3 == 1 {
        true => Protocol::Udp,
        false => Protocol::Tcp,
    }
}

fn service_port(kind: ServiceKind, number: u16, port: u16) -> ServicePort {
    let node_port = NonZeroU16::new(NODE_PORTS + number * 4 + port);
    ServicePort {
        name: format!("p{port}").into(),
        protocol: Parsed::Valid(protocol(number, port)),
        port: Parsed::Valid(NonZeroU16::new(80 + port).expect("not zero")),
        node_port: (node_port.filter(|_| kind != ServiceKind::ClusterIp)).map(Parsed::Valid),
    }
}

fn endpoint(random: &mut Random, number: u16, family: Option<AddressFamily>) -> Endpoint {
    let [high, low] = number.to_be_bytes();
    let host = u8::try_from(1 + random.below(5)).unwrap_or(1);
    let address: IpAddr = match family {
        Some(AddressFamily::Ipv6) => {
            Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, number, u16::from(host)).into()
        }
        _ => Ipv4Addr::new(10, 1 + high, low, host).into(),
    };
    Endpoint {
        node: Some(match random.percent(40) {
            true => "node1".into(),
            false => "node2".into(),
        }),
        ..Endpoint::ready(Parsed::Valid(address))
    }
}

fn node() -> Node {
    Node {
        name: "node1".into(),
        zone: None,
        addresses: vec![Ipv4Addr::new(192, 0, 2, 1).into()],
        pod_cidrs: Vec::new(),
        deleting: false,
        leaving: false,
    }
}

fn valid(address: impl Into<IpAddr>) -> Parsed<IpAddr> {
    Parsed::Valid(address.into())
}

/// Returns annotations of a Service.
fn annotations(random: &mut Random) -> Box<[Annotation]> {
    let values = [
        ("connection-limits", "upper=100"),
        ("drain-timeout", "0"),
        ("drain-timeout", "5s"),
        ("drain-timeout", "40s"),
        ("locality", "node=5"),
        ("scheduler", "wlc"),
        ("scheduler", "no such"),
        ("udp-drain-timeout", "0"),
        ("udp-drain-timeout", "3s"),
        ("udp-drain-timeout", "30s"),
        ("weights", "node/node1=0, default=7"),
    ];
    let chosen = values.into_iter().filter(|_| random.percent(5));
    let mut all: Vec<_> = chosen
        .map(|(name, value)| Annotation::new(name, value))
        .collect();
    all.dedup_by(|one, other| one.name == other.name);
    all.into()
}
