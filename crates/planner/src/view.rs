//! What of the node itself decides about its tables.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use ipvs::AddressFamily;
use model::cluster::{ClusterState, Node};
use model::config::{DetectLocal, NodeConfig, NodePortAddresses};
use model::finding::{Code, Finding};
use model::names::{Name, ObjectName};
use model::snapshot::NodeState;

use crate::rules::LocalTraffic;

/// Both families, IPv4 first.
pub(crate) const FAMILIES: [AddressFamily; 2] = [AddressFamily::Ipv4, AddressFamily::Ipv6];

/// This node as its tables depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeView {
    /// Label `topology.kubernetes.io/zone` of the Node.
    pub(crate) zone: Option<Name>,
    /// `spec.podCIDRs` of the Node.
    pub(crate) pod_cidrs: Vec<IpNetwork>,
    /// The Node's InternalIPs, then its ExternalIPs.
    pub(crate) addresses: Vec<IpAddr>,
    /// Addresses of this node's interfaces, whatever they are.
    pub(crate) on_interfaces: BTreeSet<IpAddr>,
    /// Addresses of other Nodes, and whose they are.
    pub(crate) other_nodes: BTreeMap<IpAddr, Name>,
    /// The addresses at which node ports are served.
    pub(crate) node_ports: BTreeSet<IpAddr>,
}

impl NodeView {
    /// Takes in what the cluster says about Nodes. A Node that is gone keeps what was known of it, as
    /// in kube-proxy: the object may be deleted while the node still serves.
    pub(crate) fn look_at_nodes(&mut self, cluster: &ClusterState, config: &NodeConfig) {
        if let Some(node) = cluster.node(&config.node_name) {
            let Node {
                name: _,
                zone,
                addresses,
                pod_cidrs,
                deleting: _,
                leaving: _,
            } = node.clone();
            (self.zone, self.addresses, self.pod_cidrs) = (zone, addresses, pod_cidrs);
        }
        self.other_nodes = (cluster.nodes())
            .filter(|node| node.name != config.node_name)
            .flat_map(|node| node.addresses.iter().map(|at| (*at, node.name.clone())))
            .collect();
        self.choose_node_ports(config);
    }

    /// Takes in the node's interfaces.
    pub(crate) fn look_at_interfaces(&mut self, state: &NodeState, config: &NodeConfig) {
        self.on_interfaces = state.addresses().collect();
        self.choose_node_ports(config);
    }

    /// Which addresses belong to another node, or to none, since `before`; none where more than that
    /// changed, so that every Service is concerned.
    pub(crate) fn addresses_that_changed(&self, before: &Self) -> Option<BTreeSet<IpAddr>> {
        let but_for_others = |view: &Self| Self {
            other_nodes: BTreeMap::new(),
            ..view.clone()
        };
        if but_for_others(self) != but_for_others(before) {
            return None;
        }
        let (now, then) = (&self.other_nodes, &before.other_nodes);
        let differs = |at: &&IpAddr| now.get(at) != then.get(at);
        let either = now.keys().chain(then.keys());
        Some(either.filter(differs).copied().collect())
    }

    /// The node's own address in `family`: the first of the Node, unless the configuration names one;
    /// the loopback address while nothing is known, as `getNodeIPs` does (cmd/kube-proxy/app/server.go, 1.34).
    pub(crate) fn primary(&self, family: AddressFamily, config: &NodeConfig) -> IpAddr {
        let of_family = |address: &IpAddr| AddressFamily::of(*address) == family;
        let named = config.bind_address.filter(of_family);
        let known = self.addresses.iter().copied().find(of_family);
        named.or(known).unwrap_or(match family {
            AddressFamily::Ipv4 => Ipv4Addr::LOCALHOST.into(),
            AddressFamily::Ipv6 => Ipv6Addr::LOCALHOST.into(),
        })
    }

    /// How traffic from this node's pods is known in `family`.
    pub(crate) fn local_traffic(&self, family: AddressFamily, config: &NodeConfig) -> LocalTraffic {
        let first = |networks: &[IpNetwork]| {
            (networks.iter().copied())
                .find(|network| AddressFamily::of(network.ip()) == family)
                .map_or(LocalTraffic::Unknown, LocalTraffic::From)
        };
        match &config.detect_local {
            DetectLocal::ClusterCidr(networks) => first(networks),
            DetectLocal::NodeCidr => first(&self.pod_cidrs),
            DetectLocal::BridgeInterface(name) => LocalTraffic::Through(name.clone()),
            DetectLocal::InterfaceNamePrefix(prefix) => {
                LocalTraffic::Through(format!("{prefix}+").into())
            }
        }
    }

    /// What is odd about the node.
    pub(crate) fn findings(&self, cluster: &ClusterState, config: &NodeConfig) -> Vec<Finding> {
        let finding = |code, field: &str, problem: &str, consequence: &str| Finding {
            code,
            kind: "Node",
            object: ObjectName::new("", config.node_name.clone()),
            field: field.to_owned(),
            problem: problem.to_owned(),
            consequence: consequence.to_owned(),
        };
        let mut findings = Vec::new();
        if cluster.nodes().next().is_some() && cluster.node(&config.node_name).is_none() {
            findings.push(finding(
                Code::UnknownNode,
                "metadata.name",
                "no Node has this name",
                "no endpoint counts as on this node",
            ));
        }
        if config.detect_local == DetectLocal::NodeCidr && self.pod_cidrs.is_empty() {
            findings.push(finding(
                Code::NoLocalDetection,
                "spec.podCIDRs",
                "there is none, and detectLocalMode is NodeCIDR",
                "only traffic of the node itself to cluster IPs is masqueraded",
            ));
        }
        findings
    }

    fn choose_node_ports(&mut self, config: &NodeConfig) {
        let chosen = FAMILIES
            .into_iter()
            .flat_map(|family| self.node_ports_of(family, config));
        self.node_ports = chosen.collect();
    }

    /// Section 5.5 of kube-proxy's behaviour. The dummy device is no interface here (deviation D10).
    fn node_ports_of(&self, family: AddressFamily, config: &NodeConfig) -> BTreeSet<IpAddr> {
        let mut own: BTreeSet<IpAddr> = (self.on_interfaces.iter().copied())
            .filter(|at| AddressFamily::of(*at) == family && !at.is_loopback())
            .collect();
        match &config.node_port_addresses {
            NodePortAddresses::Primary => {
                let primary = self.primary(family, config);
                own.retain(|at| *at == primary);
            }
            NodePortAddresses::Within(networks) => {
                let networks: Vec<&IpNetwork> = (networks.iter())
                    .filter(|network| AddressFamily::of(network.ip()) == family)
                    .collect();
                let everywhere =
                    networks.is_empty() || networks.iter().any(|network| network.prefix() == 0);
                if everywhere {
                    own.retain(|at| !is_link_local(*at));
                } else {
                    own.retain(|at| networks.iter().any(|network| network.contains(*at)));
                }
            }
        }
        own
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
