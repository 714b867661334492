//! The size of a cluster, and its objects.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::str::FromStr;

use ipvs::{AddressFamily, Protocol};
use model::cluster::{Endpoint, EndpointPort, EndpointSlice, Parsed, Service, ServicePort};
use model::{ClusterEvent, Object, ObjectKind, ObjectName};

/// Number of nodes over which the endpoints are spread. The measured node is the first.
pub(crate) const NODES: u32 = 100;

/// Name of the measured node.
pub(crate) const NODE: &str = "node-0";

/// Number of Services with one TCP port, and of the endpoints of each. The first Service is
/// `default/kubernetes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) services: u32,
    pub(crate) endpoints: u32,
    pub(crate) dual_stack: bool,
}

impl Shape {
    /// Returns the number of virtual and real servers in the table.
    pub(crate) fn entries(self) -> u64 {
        self.endpoints_of_all() + u64::from(self.services) * self.families().len() as u64
    }

    /// Returns the number of real servers.
    pub(crate) fn endpoints_of_all(self) -> u64 {
        u64::from(self.services) * u64::from(self.endpoints) * self.families().len() as u64
    }

    pub(crate) fn families(self) -> &'static [AddressFamily] {
        match self.dual_stack {
            false => &[AddressFamily::Ipv4],
            true => &AddressFamily::ALL,
        }
    }

    /// Returns a first list of all objects.
    pub(crate) fn events(self) -> Vec<ClusterEvent> {
        let mut events = vec![ClusterEvent::ListStarted(ObjectKind::Service)];
        events.extend((0..self.services).map(|number| upsert(self.service(number))));
        events.push(ClusterEvent::ListDone(ObjectKind::Service));
        events.push(ClusterEvent::ListStarted(ObjectKind::EndpointSlice));
        for number in 0..self.services {
            events.extend(self.slices(number, &|_| true));
        }
        events.push(ClusterEvent::ListDone(ObjectKind::EndpointSlice));
        events.push(ClusterEvent::ListStarted(ObjectKind::Node));
        events.push(ClusterEvent::ListDone(ObjectKind::Node));
        events
    }

    /// Returns the slices of a Service, a hundred endpoints each, with the endpoints whose numbers
    /// `kept` selects.
    pub(crate) fn slices(self, service: u32, kept: &dyn Fn(u32) -> bool) -> Vec<ClusterEvent> {
        let mut events = Vec::new();
        for family in self.families() {
            let endpoints: Vec<u32> = (0..self.endpoints).collect();
            for (part, endpoints) in endpoints.chunks(100).enumerate() {
                let object = name(service);
                let slice = format!("{}-{family}-{part}", object.name);
                events.push(upsert(Object::EndpointSlice(EndpointSlice {
                    name: ObjectName::new(&*object.namespace, slice),
                    service: object.name,
                    family: Some(*family),
                    endpoints: (endpoints.iter().copied())
                        .filter(|endpoint| kept(*endpoint))
                        .map(|endpoint| self.endpoint(service, endpoint, *family))
                        .collect(),
                    ports: vec![EndpointPort {
                        name: Some("http".into()),
                        protocol: Parsed::Valid(Protocol::Tcp),
                        port: NonZeroU16::new(8080),
                    }],
                    triggered: None,
                    uid: None,
                    several_addresses: None,
                })));
            }
        }
        events
    }

    fn endpoint(self, service: u32, endpoint: u32, family: AddressFamily) -> Endpoint {
        Endpoint {
            node: Some(format!("node-{}", node_of(service, endpoint)).into()),
            ..Endpoint::ready(Parsed::Valid(self.pod(service, endpoint, family)))
        }
    }

    /// Returns the address of an endpoint.
    pub(crate) fn pod(self, service: u32, endpoint: u32, family: AddressFamily) -> IpAddr {
        let number = service * self.endpoints + endpoint + 1;
        match family {
            AddressFamily::Ipv4 => v4([10, 128, 0, 0], number),
            AddressFamily::Ipv6 => v6(0xfd00_0010, number),
        }
    }

    /// Returns the addresses of a Service.
    pub(crate) fn cluster_ips(self, service: u32) -> Vec<IpAddr> {
        let families = self.families().iter();
        families
            .map(|family| self.cluster_ip(service, *family))
            .collect()
    }

    /// Returns the address of a Service in one family.
    pub(crate) fn cluster_ip(self, service: u32, family: AddressFamily) -> IpAddr {
        match family {
            AddressFamily::Ipv4 => v4([10, 96, 0, 0], service + 1),
            AddressFamily::Ipv6 => v6(0xfd00_0096, service + 1),
        }
    }

    /// Returns a Service.
    pub(crate) fn service(self, number: u32) -> Object {
        let addresses = self.cluster_ips(number).into_iter();
        Object::Service(Service {
            cluster_ips: addresses.map(Parsed::Valid).collect(),
            ports: vec![ServicePort {
                name: "http".into(),
                protocol: Parsed::Valid(Protocol::Tcp),
                port: NonZeroU16::new(80).map_or(Parsed::Invalid("0".into()), Parsed::Valid),
                node_port: None,
            }],
            ..Service::new(name(number))
        })
    }
}

/// Returns the number of an endpoint's node.
pub(crate) fn node_of(service: u32, endpoint: u32) -> u32 {
    (service + endpoint) % NODES
}

/// Returns the name of a Service.
pub(crate) fn name(service: u32) -> ObjectName {
    match service {
        0 => ObjectName::new("default", "kubernetes"),
        number => ObjectName::new("bench", format!("service-{number}")),
    }
}

pub(crate) fn upsert(object: Object) -> ClusterEvent {
    ClusterEvent::Upsert(object)
}

fn v4(base: [u8; 4], number: u32) -> IpAddr {
    Ipv4Addr::from(u32::from_be_bytes(base) + number).into()
}

fn v6(base: u32, number: u32) -> IpAddr {
    Ipv6Addr::from(u128::from(base) << 96 | u128::from(number)).into()
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.services, self.endpoints)?;
        f.write_str(if self.dual_stack { "-dual" } else { "" })
    }
}

/// Parses `10000x10` and `10000x10-dual`.
impl FromStr for Shape {
    type Err = Box<dyn Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (numbers, dual_stack) = match text.strip_suffix("-dual") {
            Some(numbers) => (numbers, true),
            None => (text, false),
        };
        let wrong = || format!("{text} is not like 1000x10 or 1000x10-dual");
        let (services, endpoints) = numbers.split_once('x').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        let shape = Self {
            services: number(services)?,
            endpoints: number(endpoints)?,
            dual_stack,
        };
        // Addresses are in 10.96.0.0/11 and 10.128.0.0/9.
        if shape.services >= 1 << 21
            || u64::from(shape.services) * u64::from(shape.endpoints) >= 1 << 23
        {
            return Err(format!("{text} is too large for the addresses of a benchmark").into());
        }
        Ok(shape)
    }
}
