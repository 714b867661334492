//! The Services. Number N has the cluster IP 10.96.1.N, the load balancer address 203.0.113.N, the
//! external address 203.0.113.(100+N), the node ports 30000+10N, +1, +2, and corresponding IPv6
//! addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use e2e::{Family, PORT, Protocol};
use serde_json::{Value, json};

/// The port of every Service, of every protocol.
pub(crate) const SERVICE_PORT: u16 = 80;
/// The other port at [`GUARDED`]'s load balancer address.
pub(crate) const UNGUARDED_PORT: u16 = 81;

/// An endpoint: pods 1 and 2 on the node, pod 3 on its neighbour, or the node itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Pod1,
    Pod2,
    Far,
    Host,
}

use At::{Far, Host, Pod1, Pod2};

/// The special properties of a Service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) number: u8,
    endpoints: &'static [At],
    service_type: &'static str,
    external: &'static str,
    internal: &'static str,
    ranges: &'static [&'static str],
    /// The Service number whose load balancer address it uses, and its port there.
    shares: Option<u8>,
    pub(crate) port: u16,
}

const CLUSTER_IP: Kind = Kind {
    number: 0,
    endpoints: &[Pod1],
    service_type: "ClusterIP",
    external: "Cluster",
    internal: "Cluster",
    ranges: &[],
    shares: None,
    port: SERVICE_PORT,
};
const LOAD_BALANCER: Kind = Kind {
    service_type: "LoadBalancer",
    ..CLUSTER_IP
};

/// A cluster IP; endpoints on both nodes.
pub(crate) const PLAIN: Kind = Kind {
    number: 1,
    endpoints: &[Pod1, Pod2, Far],
    ..CLUSTER_IP
};
/// A cluster IP; the only endpoint is pod 1.
pub(crate) const ALONE: Kind = Kind {
    number: 2,
    ..CLUSTER_IP
};
/// Every kind of address; no endpoints.
pub(crate) const EMPTY: Kind = Kind {
    number: 3,
    endpoints: &[],
    ..LOAD_BALANCER
};
/// A cluster IP; the endpoint is the node itself.
pub(crate) const ON_HOST: Kind = Kind {
    number: 4,
    endpoints: &[Host],
    ..CLUSTER_IP
};
/// Internal policy Local, with an endpoint on the node.
pub(crate) const INTERNAL_HERE: Kind = Kind {
    number: 5,
    endpoints: &[Pod1, Far],
    internal: "Local",
    ..CLUSTER_IP
};
/// Internal policy Local, without an endpoint on the node.
pub(crate) const INTERNAL_AWAY: Kind = Kind {
    number: 6,
    endpoints: &[Far],
    internal: "Local",
    ..CLUSTER_IP
};
/// Every kind of address, policy Cluster.
pub(crate) const WIDE: Kind = Kind {
    number: 10,
    endpoints: &[Pod2, Far],
    ..LOAD_BALANCER
};
/// External policy Local, with an endpoint on the node.
pub(crate) const LOCAL_HERE: Kind = Kind {
    number: 11,
    endpoints: &[Pod1, Far],
    external: "Local",
    ..LOAD_BALANCER
};
/// External policy Local, without an endpoint on the node.
pub(crate) const LOCAL_AWAY: Kind = Kind {
    number: 12,
    endpoints: &[Far],
    external: "Local",
    ..LOAD_BALANCER
};
/// Source ranges admit the client's first address.
pub(crate) const GUARDED: Kind = Kind {
    number: 20,
    ranges: &["192.168.50.10/32", "fd00:50::10/128"],
    ..LOAD_BALANCER
};
/// Source ranges admit the node, and no client.
pub(crate) const NODE_ONLY: Kind = Kind {
    number: 21,
    ranges: &["192.168.50.1/32", "fd00:50::1/128"],
    ..LOAD_BALANCER
};
/// Source ranges admit pods.
pub(crate) const PODS_ONLY: Kind = Kind {
    number: 22,
    ranges: &["10.244.0.0/16", "fd00:10:244::/56"],
    ..LOAD_BALANCER
};
/// A source range of length 0 in one family, which restricts neither family.
pub(crate) const EVERYBODY: Kind = Kind {
    number: 23,
    ranges: &["0.0.0.0/0", "192.0.2.0/24"],
    ..LOAD_BALANCER
};
/// Source ranges of IPv6 alone.
pub(crate) const OTHER_FAMILY: Kind = Kind {
    number: 24,
    ranges: &["fd00::/8"],
    ..LOAD_BALANCER
};
/// Source ranges admit the client; the endpoint is the node itself.
pub(crate) const GUARDED_ON_HOST: Kind = Kind {
    number: 25,
    endpoints: &[Host],
    ranges: &["192.168.50.10/32", "fd00:50::10/128"],
    ..LOAD_BALANCER
};
/// No source ranges, at the load balancer address of [`GUARDED`].
pub(crate) const UNGUARDED: Kind = Kind {
    number: 26,
    shares: Some(20),
    port: UNGUARDED_PORT,
    ..LOAD_BALANCER
};
/// External policy Local, no endpoint on the node; source ranges admit the client.
pub(crate) const GUARDED_AWAY: Kind = Kind {
    number: 27,
    endpoints: &[Far],
    external: "Local",
    ranges: &["192.168.50.10/32", "fd00:50::10/128"],
    ..LOAD_BALANCER
};
/// External policy Local, no endpoint on the node; source ranges admit the node.
pub(crate) const NODE_ONLY_AWAY: Kind = Kind {
    number: 28,
    endpoints: &[Far],
    external: "Local",
    ranges: &["192.168.50.1/32", "fd00:50::1/128"],
    ..LOAD_BALANCER
};

/// The source range contains the load balancer address and not the node's first address.
pub(crate) const BALANCER_ONLY: Kind = Kind {
    number: 29,
    ranges: &["203.0.113.0/24", "2001:db8:113::/64"],
    ..LOAD_BALANCER
};
/// The source range is the load balancer address alone.
pub(crate) const BALANCER_EXACTLY: Kind = Kind {
    number: 30,
    ranges: &["203.0.113.30/32", "2001:db8:113::1e/128"],
    ..LOAD_BALANCER
};
/// As [`BALANCER_ONLY`], with policy Local and no endpoint on the node.
pub(crate) const BALANCER_ONLY_AWAY: Kind = Kind {
    number: 31,
    endpoints: &[Far],
    external: "Local",
    ranges: &["203.0.113.0/24", "2001:db8:113::/64"],
    ..LOAD_BALANCER
};
/// The source ranges contain the load balancer address and the node's first address.
pub(crate) const BALANCER_AND_NODE: Kind = Kind {
    number: 32,
    ranges: &[
        "203.0.113.0/24",
        "2001:db8:113::/64",
        "192.168.50.1/32",
        "fd00:50::1/128",
    ],
    ..LOAD_BALANCER
};
/// The source ranges contain another address of the node, not the first one.
pub(crate) const SECOND_ADDRESS_ONLY: Kind = Kind {
    number: 33,
    ranges: &["192.168.79.0/24", "fd00:79::/64"],
    ..LOAD_BALANCER
};
/// Policy Local, at a port that equals [`WIDE`]'s TCP node port.
pub(crate) const LIKE_A_TCP_NODE_PORT: Kind = Kind {
    number: 34,
    external: "Local",
    port: 30_100,
    ..LOAD_BALANCER
};
/// Policy Local, at a port that equals [`WIDE`]'s UDP node port.
pub(crate) const LIKE_A_UDP_NODE_PORT: Kind = Kind {
    number: 35,
    external: "Local",
    port: 30_101,
    ..LOAD_BALANCER
};

const ALL: &[Kind] = &[
    PLAIN,
    ALONE,
    EMPTY,
    ON_HOST,
    INTERNAL_HERE,
    INTERNAL_AWAY,
    WIDE,
    LOCAL_HERE,
    LOCAL_AWAY,
    GUARDED,
    NODE_ONLY,
    PODS_ONLY,
    EVERYBODY,
    OTHER_FAMILY,
    GUARDED_ON_HOST,
    UNGUARDED,
    GUARDED_AWAY,
    NODE_ONLY_AWAY,
    BALANCER_ONLY,
    BALANCER_EXACTLY,
    BALANCER_ONLY_AWAY,
    BALANCER_AND_NODE,
    SECOND_ADDRESS_ONLY,
    LIKE_A_TCP_NODE_PORT,
    LIKE_A_UDP_NODE_PORT,
];

/// A kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressKind {
    ClusterIp,
    LoadBalancer,
    External,
}

/// Returns the address of this kind of Service `number`.
pub(crate) fn address(kind: AddressKind, family: Family, number: u8) -> IpAddr {
    let wide = u16::from(number);
    match (kind, family) {
        (AddressKind::ClusterIp, family) => family.virtual_address(number),
        (AddressKind::LoadBalancer, Family::V4) => Ipv4Addr::new(203, 0, 113, number).into(),
        (AddressKind::External, Family::V4) => Ipv4Addr::new(203, 0, 113, 100 + number).into(),
        (AddressKind::LoadBalancer, Family::V6) => {
            Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, wide).into()
        }
        (AddressKind::External, Family::V6) => {
            Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 1, wide).into()
        }
    }
}

/// Returns the node port of Service `number`.
pub(crate) fn node_port(number: u8, protocol: Protocol) -> u16 {
    let offset = match protocol {
        Protocol::Tcp => 0,
        Protocol::Udp => 1,
        Protocol::Sctp => 2,
    };
    30_000 + 10 * u16::from(number) + offset
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Returns the Node and all Services with their slices. `endpoint` returns the addresses of
/// endpoints.
pub(crate) fn all(endpoint: impl Fn(At, Family) -> IpAddr) -> Vec<Value> {
    let mut objects = vec![json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"},
        "status": {"addresses": [
            {"type": "InternalIP", "address": "192.168.50.1"},
            {"type": "InternalIP", "address": "fd00:50::1"},
        ]},
    })];
    for kind in ALL {
        objects.push(kind.service());
        objects.extend(FAMILIES.map(|family| kind.slice(family, &endpoint)));
    }
    objects
}

impl Kind {
    fn name(&self) -> String {
        format!("service-{}", self.number)
    }

    fn service(&self) -> Value {
        let both = |kind, number| FAMILIES.map(|family| address(kind, family, number));
        let outside = self.service_type == "LoadBalancer";
        let ports = Protocol::ALL.map(|protocol| {
            let mut port = json!({
                "name": protocol.to_string(), "protocol": protocol.name(), "port": self.port,
                "targetPort": PORT,
            });
            if outside {
                port["nodePort"] = node_port(self.number, protocol).into();
            }
            port
        });
        let ips = both(AddressKind::ClusterIp, self.number);
        let mut service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": self.name(), "namespace": "default"},
            "spec": {
                "type": self.service_type, "clusterIP": ips[0], "clusterIPs": ips,
                "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack",
                "internalTrafficPolicy": self.internal, "ports": ports,
            },
        });
        if outside {
            let spec = &mut service["spec"];
            spec["externalTrafficPolicy"] = self.external.into();
            spec["externalIPs"] = json!(both(AddressKind::External, self.number));
            if self.external == "Local" {
                spec["healthCheckNodePort"] = (32_000 + u16::from(self.number)).into();
            }
            if !self.ranges.is_empty() {
                spec["loadBalancerSourceRanges"] = json!(self.ranges);
            }
            let balancer = both(
                AddressKind::LoadBalancer,
                self.shares.unwrap_or(self.number),
            );
            let ingress = balancer.map(|ip| json!({"ip": ip, "ipMode": "VIP"}));
            service["status"] = json!({"loadBalancer": {"ingress": ingress}});
        }
        service
    }

    fn slice(&self, family: Family, endpoint: impl Fn(At, Family) -> IpAddr) -> Value {
        let endpoints = self.endpoints.iter().map(|at| {
            json!({
                "addresses": [endpoint(*at, family)],
                "nodeName": if *at == Far { "node2" } else { "node1" },
                "conditions": {"ready": true, "serving": true, "terminating": false},
            })
        });
        let ports = Protocol::ALL.map(|protocol| {
            json!({"name": protocol.to_string(), "protocol": protocol.name(), "port": PORT})
        });
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": e2e::objects::slice_name(&self.name(), family.name()), "namespace": "default",
                "labels": {"kubernetes.io/service-name": self.name()},
            },
            "addressType": family.name(), "endpoints": endpoints.collect::<Vec<_>>(), "ports": ports,
        })
    }
}
