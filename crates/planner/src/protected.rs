//! Addresses and ports that the node itself needs (deviation D22).
//!
//! An address on the dummy device is the node's own: packets to it no longer leave the node. So no address of the API server is ever
//! bound, whatever the port. The node's own addresses are not bound, and keep all ports but those of virtual servers. There the ports
//! of the programs that the node needs are refused.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipvs::Protocol;
use model::cluster::{ClusterState, Parsed};
use model::config::NodeConfig;
use model::names::ObjectName;

/// The port of the kubelet: its default, which `kubectl logs` and `exec` reach.
const KUBELET_PORT: u16 = 10250;

/// Addresses of the API server, each with the ports that it is known to listen on there.
pub(crate) type ApiServers = BTreeMap<IpAddr, BTreeSet<u16>>;

/// Something that a Service gets or does not get by what the node needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NodeResource {
    /// An address.
    Address(IpAddr),
    /// A port at the node's own addresses.
    Port(u16),
}

/// The addresses and ports that no Service gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Protected {
    /// Addresses of the API server. They are never bound.
    pub(crate) addresses: BTreeSet<IpAddr>,
    /// Ports that are not served at the node's own addresses, whatever the protocol, and the programs that need them.
    pub(crate) ports: BTreeMap<u16, &'static str>,
}

impl Protected {
    /// Returns what the configuration and the API server's Service protect on a node for whose addresses `is_own` is true.
    pub(crate) fn new(
        config: &NodeConfig,
        in_cluster: &ApiServers,
        is_own: impl Fn(IpAddr) -> bool,
    ) -> Self {
        let configured = (config.api_server.iter())
            .map(|socket| (socket.ip().to_canonical(), socket.port()))
            .collect::<Vec<_>>();
        let known = (in_cluster.iter())
            .flat_map(|(address, ports)| ports.iter().map(|port| (*address, *port)));
        let at_own = (configured.iter().copied().chain(known))
            .filter(|(address, _)| is_own(*address))
            .map(|(_, port)| (port, "the API server"));
        let of = |ports: &BTreeSet<u16>, user: &'static str| {
            (ports.iter().map(|port| (*port, user))).collect::<Vec<_>>()
        };
        // Later entries replace earlier ones.
        let ports = of(
            &config.protected_host_ports,
            "a host program (protectedHostPorts)",
        )
        .into_iter()
        .chain([(KUBELET_PORT, "the kubelet")])
        .chain(of(&config.listener_ports, "kube-ipvsd"))
        .chain(at_own);
        Self {
            addresses: (configured.iter().map(|(address, _)| *address))
                .chain(in_cluster.keys().copied())
                .collect(),
            ports: ports.collect(),
        }
    }

    /// Returns what is in one of both and not in the other, or differs.
    pub(crate) fn changes(&self, other: &Self) -> BTreeSet<NodeResource> {
        let addresses = (self.addresses.symmetric_difference(&other.addresses))
            .map(|address| NodeResource::Address(*address));
        let ports = (self.ports.keys().chain(other.ports.keys()))
            .filter(|port| self.ports.get(port) != other.ports.get(port))
            .map(|port| NodeResource::Port(*port));
        addresses.chain(ports).collect()
    }
}

/// Returns the addresses of the API server that its Service names: its endpoints, whatever their conditions, and its cluster IPs.
pub(crate) fn api_servers(cluster: &ClusterState) -> ApiServers {
    let name = ObjectName::api_server();
    let mut found = ApiServers::new();
    for slice in cluster.slices(&name) {
        let ports: BTreeSet<u16> = (slice.ports.iter())
            .filter(|port| port.protocol == Parsed::Valid(Protocol::Tcp))
            .filter_map(|port| Some(port.port?.get()))
            .collect();
        for endpoint in &slice.endpoints {
            if let Ok(address) = endpoint.address.as_result() {
                found.entry(*address).or_default().extend(&ports);
            }
        }
    }
    let cluster_ips = cluster.service(&name).map(|service| service.cluster_ips);
    for address in cluster_ips.iter().flatten() {
        if let Ok(address) = address.as_result() {
            found.entry(*address).or_default();
        }
    }
    found
}
