//! Addresses and ports that the node itself needs (deviation D22).
//!
//! The kernel delivers packets to an address on the dummy device locally. Therefore no address of
//! the API server is ever bound, whatever the port.
//!
//! The node's own addresses are not bound. They keep all ports except those of virtual servers. At
//! these addresses, the ports of programs that the node needs are refused to Services.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipvs::Protocol;
use model::cluster::{ClusterState, Parsed};
use model::config::NodeConfig;
use model::names::ObjectName;

/// Default port of the kubelet, which `kubectl logs` and `exec` use.
const KUBELET_PORT: u16 = 10250;

/// Addresses of the API server, each with its known ports.
pub(crate) type ApiServers = BTreeMap<IpAddr, BTreeSet<u16>>;

/// A resource of the node that a Service may request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NodeResource {
    /// An address.
    Address(IpAddr),
    /// A port at the node's own addresses.
    Port(u16),
}

/// Addresses and ports that no Service gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Protected {
    /// Addresses of the API server. They are never bound.
    pub(crate) addresses: BTreeSet<IpAddr>,
    /// Ports that are not served at the node's own addresses, in any protocol, with the programs
    /// that need them.
    pub(crate) ports: BTreeMap<u16, &'static str>,
}

impl Protected {
    /// Returns the addresses and ports that the configuration and the API server's Service protect.
    /// `is_own` identifies the addresses of this node.
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

    /// Returns the resources that differ between the two.
    pub(crate) fn changes(&self, other: &Self) -> BTreeSet<NodeResource> {
        let addresses = (self.addresses.symmetric_difference(&other.addresses))
            .map(|address| NodeResource::Address(*address));
        let ports = (self.ports.keys().chain(other.ports.keys()))
            .filter(|port| self.ports.get(port) != other.ports.get(port))
            .map(|port| NodeResource::Port(*port));
        addresses.chain(ports).collect()
    }
}

/// Returns the addresses of the API server according to its Service: its endpoints, in any
/// condition, and its cluster IPs.
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
