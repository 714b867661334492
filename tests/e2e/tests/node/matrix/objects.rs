//! The Services of the matrix: one for each policy, with every kind of address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use e2e::{Family, Lab, Outcome, Protocol};
use serde_json::Value;

use super::{Kind, NodeAddress, POLICIES, Policy};
use crate::service::{Address, Endpoint, FAMILIES, Service, node};

pub(super) const CONFIG: &str = "\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
hostnameOverride: node1
clusterCIDR: 10.244.0.0/16,fd00:10:244::/56
conntrack:
  maxPerCore: 0
  min: 0
";

pub(super) const NODE_STATE: &str = "\
nodeName: node1
interfaces:
  - {name: vec0, addresses: [192.168.77.10/24, \"fd77::10/64\"]}
  - {name: node1, addresses: [192.168.78.10/24, \"fd78::10/64\"]}
  - {name: veth-n2, addresses: [192.168.79.10/24, \"fd79::10/64\"]}
  - {name: veth-cl, addresses: [198.18.0.1/24, \"fd18::1/64\"]}
  - {name: cni0, addresses: [10.244.1.1/24, \"fd00:10:244:1::1/64\"]}
";

/// Returns the Node and the Services with their slices.
pub(super) fn all(lab: &Lab) -> Outcome<Vec<Value>> {
    let primary = FAMILIES.map(|family| node_address(NodeAddress::Primary, family));
    let mut objects = vec![node("node1", &primary)];
    for policy in POLICIES {
        let service = service(policy);
        objects.push(match policy {
            Policy::Cluster => service.outside(),
            Policy::LocalWith | Policy::LocalWithout => service.outside_local(),
            Policy::LocalWithoutInside => {
                let mut inside = service.inside();
                inside["spec"]["internalTrafficPolicy"] = "Local".into();
                inside
            }
        });
        let pods: &[(&str, &str)] = match policy {
            Policy::Cluster | Policy::LocalWith => &[("podA", "node1"), ("podC", "node2")],
            Policy::LocalWithout | Policy::LocalWithoutInside => &[("podC", "node2")],
        };
        for family in FAMILIES {
            let endpoints = pods
                .iter()
                .map(|(pod, node)| Ok(Endpoint::ready(lab.address(pod, family)?, node)))
                .collect::<Outcome<Vec<_>>>()?;
            objects.push(service.slice(family, &endpoints));
        }
    }
    Ok(objects)
}

/// Returns the address to which requests are sent.
pub(super) fn target(kind: Kind, policy: Policy, family: Family, protocol: Protocol) -> SocketAddr {
    let service = service(policy);
    match kind {
        Kind::NodePort(which) => {
            SocketAddr::new(node_address(which, family), service.node_port(protocol))
        }
        Kind::ClusterIp => service.at(Address::ClusterIp, family),
        Kind::LoadBalancer => service.at(Address::LoadBalancer, family),
        Kind::ExternalIp => service.at(Address::External, family),
    }
}

/// Returns the source address that masquerading gives a packet on the way to a pod.
pub(super) fn node_towards(pod: &str, family: Family) -> IpAddr {
    let which = match pod {
        "podC" | "podD" => NodeAddress::Node2,
        _ => NodeAddress::Bridge,
    };
    node_address(which, family)
}

fn node_address(which: NodeAddress, family: Family) -> IpAddr {
    let v4 = match which {
        NodeAddress::Primary => [192, 168, 77, 10],
        NodeAddress::Second => [192, 168, 78, 10],
        NodeAddress::Node2 => [192, 168, 79, 10],
        NodeAddress::Outside => [198, 18, 0, 1],
        NodeAddress::Bridge => [10, 244, 1, 1],
        NodeAddress::Loopback => [127, 0, 0, 1],
    };
    let v6 = match which {
        NodeAddress::Primary => [0xfd77, 0, 0, 0, 0, 0, 0, 0x10],
        NodeAddress::Second => [0xfd78, 0, 0, 0, 0, 0, 0, 0x10],
        NodeAddress::Node2 => [0xfd79, 0, 0, 0, 0, 0, 0, 0x10],
        NodeAddress::Outside => [0xfd18, 0, 0, 0, 0, 0, 0, 1],
        NodeAddress::Bridge => [0xfd00, 0x10, 0x244, 1, 0, 0, 0, 1],
        NodeAddress::Loopback => [0, 0, 0, 0, 0, 0, 0, 1],
    };
    match family {
        Family::V4 => Ipv4Addr::from(v4).into(),
        Family::V6 => Ipv6Addr::from(v6).into(),
    }
}

fn service(policy: Policy) -> Service {
    let (name, number) = match policy {
        Policy::Cluster => ("cluster", 1),
        Policy::LocalWith => ("local-with", 2),
        Policy::LocalWithout => ("local-without", 3),
        Policy::LocalWithoutInside => ("local-without-inside", 4),
    };
    Service {
        name,
        number,
        server_port: |protocol| match protocol {
            Protocol::Tcp => 8080,
            Protocol::Udp => 5353,
            Protocol::Sctp => 9998,
        },
    }
}
