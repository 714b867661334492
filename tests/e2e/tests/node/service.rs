//! Objects. Service number N has the cluster IP 10.96.1.N, the load balancer address 203.0.113.N,
//! the external address 203.0.113.(100+N), the node ports 30000+10N, +1, +2, the health check node
//! port 32000+N, and corresponding IPv6 addresses. Its port is 80.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use e2e::{Family, Protocol, objects};
use serde_json::{Value, json};

/// The port of every Service, of every protocol.
pub(crate) const PORT: u16 = 80;

pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The port of a pod's server.
pub(crate) type ServerPort = fn(Protocol) -> u16;

/// A kind of address that belongs to one Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    ClusterIp,
    LoadBalancer,
    External,
}

/// A Service, with the ports of its pods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) number: u8,
    pub(crate) server_port: ServerPort,
}

/// An endpoint of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint<'a> {
    pub(crate) address: IpAddr,
    pub(crate) node: &'a str,
    pub(crate) terminating: bool,
    pub(crate) serving: bool,
}

impl Service {
    /// Returns a Service whose pods are those of a [`World`](e2e::World).
    pub(crate) fn new(name: &'static str, number: u8) -> Self {
        Self {
            name,
            number,
            server_port: |_| e2e::PORT,
        }
    }

    /// Returns the address of this kind.
    pub(crate) fn address(self, kind: Address, family: Family) -> IpAddr {
        let (number, wide) = (self.number, u16::from(self.number));
        match (kind, family) {
            (Address::ClusterIp, family) => family.virtual_address(number),
            (Address::LoadBalancer, Family::V4) => Ipv4Addr::new(203, 0, 113, number).into(),
            (Address::External, Family::V4) => Ipv4Addr::new(203, 0, 113, 100 + number).into(),
            (Address::LoadBalancer, Family::V6) => {
                Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, wide).into()
            }
            (Address::External, Family::V6) => {
                Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 1, wide).into()
            }
        }
    }

    /// Returns the address of this kind, with the port.
    pub(crate) fn at(self, kind: Address, family: Family) -> SocketAddr {
        SocketAddr::new(self.address(kind, family), PORT)
    }

    /// Returns the node port of this protocol.
    pub(crate) fn node_port(self, protocol: Protocol) -> u16 {
        let offset = match protocol {
            Protocol::Tcp => 0,
            Protocol::Udp => 1,
            Protocol::Sctp => 2,
        };
        30_000 + 10 * u16::from(self.number) + offset
    }

    /// Returns the health check node port.
    pub(crate) fn health_check_port(self) -> u16 {
        32_000 + u16::from(self.number)
    }

    /// Returns the object with only a cluster IP.
    pub(crate) fn inside(self) -> Value {
        let ips = FAMILIES.map(|family| self.address(Address::ClusterIp, family));
        let ports = Protocol::ALL.map(|protocol| {
            json!({
                "name": protocol.to_string(), "protocol": protocol.name(), "port": PORT,
                "targetPort": (self.server_port)(protocol),
            })
        });
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": self.name, "namespace": "default"},
            "spec": {
                "type": "ClusterIP", "clusterIP": ips[0], "clusterIPs": ips,
                "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack", "ports": ports,
            },
        })
    }

    /// Returns the object with addresses of every kind.
    pub(crate) fn outside(self) -> Value {
        let both = |kind| FAMILIES.map(|family| self.address(kind, family));
        let mut service = self.inside();
        let spec = &mut service["spec"];
        spec["type"] = "LoadBalancer".into();
        spec["externalIPs"] = json!(both(Address::External));
        for (place, protocol) in Protocol::ALL.into_iter().enumerate() {
            spec["ports"][place]["nodePort"] = self.node_port(protocol).into();
        }
        let ingress = both(Address::LoadBalancer).map(|ip| json!({"ip": ip, "ipMode": "VIP"}));
        service["status"] = json!({"loadBalancer": {"ingress": ingress}});
        service
    }

    /// Returns the object with addresses of every kind and both policies Local.
    pub(crate) fn outside_local(self) -> Value {
        let mut service = self.outside();
        let spec = &mut service["spec"];
        spec["externalTrafficPolicy"] = "Local".into();
        spec["internalTrafficPolicy"] = "Local".into();
        spec["healthCheckNodePort"] = self.health_check_port().into();
        service
    }

    /// Returns the Service's slice of a family.
    pub(crate) fn slice(self, family: Family, endpoints: &[Endpoint<'_>]) -> Value {
        let endpoints: Vec<Value> = endpoints.iter().map(Endpoint::value).collect();
        let ports = Protocol::ALL.map(|protocol| {
            json!({
                "name": protocol.to_string(), "protocol": protocol.name(),
                "port": (self.server_port)(protocol),
            })
        });
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": objects::slice_name(self.name, family.name()), "namespace": "default",
                "labels": {"kubernetes.io/service-name": self.name},
            },
            "addressType": family.name(), "endpoints": endpoints, "ports": ports,
        })
    }
}

impl<'a> Endpoint<'a> {
    pub(crate) fn ready(address: IpAddr, node: &'a str) -> Self {
        Self {
            address,
            node,
            terminating: false,
            serving: true,
        }
    }

    fn value(&self) -> Value {
        json!({
            "addresses": [self.address], "nodeName": self.node,
            "conditions": {
                "ready": !self.terminating, "serving": self.serving, "terminating": self.terminating,
            },
        })
    }
}

/// Returns a Node with its addresses.
pub(crate) fn node(name: &str, addresses: &[IpAddr]) -> Value {
    let addresses: Vec<Value> = addresses
        .iter()
        .map(|address| json!({"type": "InternalIP", "address": address}))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {"addresses": addresses},
    })
}
