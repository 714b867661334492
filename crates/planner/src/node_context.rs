//! Properties of the node on which its tables depend.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use ipvs::AddressFamily;
use model::cluster::{ClusterState, Node, Service};
use model::config::{DetectLocal, NodeConfig, NodePortAddresses};
use model::finding::{Code, Finding};
use model::missing_family::MissingFamily;
use model::names::{Name, ObjectName};
use model::policy::FailedTargets;
use model::snapshot::NodeState;

use crate::protected::{ApiServers, NodeResource, Protected, api_servers};
use crate::rules::{LocalTraffic, NodePortPlaces};

/// Properties of this node on which its tables depend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeContext {
    /// Label `topology.kubernetes.io/zone` of the Node.
    pub(crate) zone: Option<Name>,
    /// `spec.podCIDRs` of the Node.
    pub(crate) pod_cidrs: Vec<IpNetwork>,
    /// The Node's InternalIPs, then its ExternalIPs.
    pub(crate) addresses: Vec<IpAddr>,
    /// Addresses of all interfaces of this node.
    pub(crate) on_interfaces: BTreeSet<IpAddr>,
    /// Addresses that are both on an interface and a cluster IP.
    pub(crate) cluster_ips: BTreeSet<IpAddr>,
    /// Addresses of other Nodes, with the name of the Node.
    pub(crate) other_nodes: BTreeMap<IpAddr, Name>,
    /// Addresses at which node ports are served.
    pub(crate) node_ports: BTreeSet<IpAddr>,
    /// Addresses and ports that no Service gets.
    pub(crate) protected: Protected,
    /// Addresses of the API server, as its Service states them.
    pub(crate) api_servers: ApiServers,
    /// IP family that cannot be served on this node.
    pub(crate) missing: Option<MissingFamily>,
    /// Targets of health checks that fail when this node probes them.
    pub(crate) failed: FailedTargets,
}

/// Changed parts of a [`NodeContext`], grouped by the Services that depend on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeChange {
    /// True if the zone or the addresses of the own Node changed. Every Service may depend on them.
    pub(crate) all_services: bool,
    /// True if node ports are served at other addresses. Services with node ports depend on them.
    pub(crate) node_ports: bool,
    /// Addresses that an interface or another Node gained or lost. Services with such an external
    /// or load-balancer address depend on them (deviation D8).
    pub(crate) addresses: BTreeSet<IpAddr>,
    /// Addresses and ports whose protection changed. Services that have or request one of them
    /// depend on them.
    pub(crate) protected: BTreeSet<NodeResource>,
}

impl NodeChange {
    /// Merges another change into this one.
    pub(crate) fn merge(&mut self, other: Self) {
        self.all_services |= other.all_services;
        self.node_ports |= other.node_ports;
        self.addresses.extend(other.addresses);
        self.protected.extend(other.protected);
    }
}

impl NodeContext {
    /// Returns true if an interface or the Node object of this node has `address`.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        self.on_interfaces.contains(&address) || self.addresses.contains(&address)
    }

    /// Returns true if Services of `family` are served on this node.
    pub(crate) fn serves(&self, family: AddressFamily) -> bool {
        (self.missing.as_ref()).is_none_or(|missing| missing.family != family)
    }

    /// Returns `service` without its addresses of a family that cannot be served on this node.
    /// Source ranges are kept, since the ranges of one family alone must not open the other family.
    pub(crate) fn in_served_families<'a>(&self, service: &'a Service) -> Cow<'a, Service> {
        if self.missing.is_none() {
            return Cow::Borrowed(service);
        }
        let mut service = service.clone();
        for addresses in [
            &mut service.cluster_ips,
            &mut service.external_ips,
            &mut service.load_balancer_ips,
        ] {
            addresses.retain(|address| match address.as_result() {
                Ok(address) => self.serves(AddressFamily::of(*address)),
                Err(_) => true,
            });
        }
        Cow::Owned(service)
    }

    /// Returns all addresses for which [`Self::is_own`] is true.
    pub(crate) fn own_addresses(&self) -> BTreeSet<IpAddr> {
        let of_node = self.addresses.iter().copied();
        of_node.chain(self.on_interfaces.iter().copied()).collect()
    }

    /// Updates the context from the API server's Service and its slices, and returns what changed.
    pub(crate) fn update_api_servers(
        &mut self,
        cluster: &ClusterState,
        config: &NodeConfig,
    ) -> NodeChange {
        self.api_servers = api_servers(cluster);
        NodeChange {
            protected: self.protect(config),
            ..NodeChange::default()
        }
    }

    /// Recomputes the protected addresses and ports, and returns the changes.
    fn protect(&mut self, config: &NodeConfig) -> BTreeSet<NodeResource> {
        let protected = Protected::new(config, &self.api_servers, |at| self.is_own(at));
        let before = std::mem::replace(&mut self.protected, protected);
        before.changes(&self.protected)
    }

    /// Updates the context from the Nodes of the cluster, and returns the changes.
    ///
    /// The properties of a deleted Node are kept, as in kube-proxy. The object may be deleted while
    /// the node still serves.
    pub(crate) fn update_nodes(
        &mut self,
        cluster: &ClusterState,
        config: &NodeConfig,
    ) -> NodeChange {
        let mut change = NodeChange::default();
        if let Some(node) = cluster.node(&config.node_name) {
            let Node {
                name: _,
                zone,
                addresses,
                pod_cidrs,
                deleting: _,
                leaving: _,
            } = node.clone();
            change.all_services = (&self.zone, &self.addresses) != (&zone, &addresses);
            (self.zone, self.addresses, self.pod_cidrs) = (zone, addresses, pod_cidrs);
        }
        let others: BTreeMap<IpAddr, Name> = (cluster.nodes())
            .filter(|node| node.name != config.node_name)
            .flat_map(|node| node.addresses.iter().map(|at| (*at, node.name.clone())))
            .collect();
        let before = std::mem::replace(&mut self.other_nodes, others);
        let either = before.keys().chain(self.other_nodes.keys());
        change.addresses = either
            .filter(|at| before.get(*at) != self.other_nodes.get(*at))
            .copied()
            .collect();
        change.node_ports = self.choose_node_ports(config);
        change.protected = self.protect(config);
        change
    }

    /// Updates the context from the interfaces and families of the node, and returns the changes.
    pub(crate) fn update_node(&mut self, state: &NodeState, config: &NodeConfig) -> NodeChange {
        let addresses = state.addresses().collect();
        let before = std::mem::replace(&mut self.on_interfaces, addresses);
        let addresses = before.symmetric_difference(&self.on_interfaces).copied();
        let all_services = self.missing != state.missing;
        self.missing.clone_from(&state.missing);
        NodeChange {
            all_services,
            addresses: addresses.collect(),
            node_ports: self.choose_node_ports(config),
            protected: self.protect(config),
        }
    }

    /// Updates the set of interface addresses that are cluster IPs, and returns the changes.
    pub(crate) fn update_cluster_ips(
        &mut self,
        cluster_ips: BTreeSet<IpAddr>,
        config: &NodeConfig,
    ) -> NodeChange {
        self.cluster_ips = cluster_ips;
        NodeChange {
            node_ports: self.choose_node_ports(config),
            ..NodeChange::default()
        }
    }

    /// Returns the node's own address in `family`: the configured bind address, or the first
    /// address of the Node.
    ///
    /// Returns the loopback address while neither is known, as `getNodeIPs` does
    /// (cmd/kube-proxy/app/server.go, 1.34).
    pub(crate) fn primary(&self, family: AddressFamily, config: &NodeConfig) -> IpAddr {
        let of_family = |address: &IpAddr| AddressFamily::of(*address) == family;
        let named = config.bind_address.filter(of_family);
        let known = self.addresses.iter().copied().find(of_family);
        named.or(known).unwrap_or(match family {
            AddressFamily::Ipv4 => Ipv4Addr::LOCALHOST.into(),
            AddressFamily::Ipv6 => Ipv6Addr::LOCALHOST.into(),
        })
    }

    /// Returns how traffic from this node's pods is recognised in `family`.
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

    /// Returns the addresses at which packets to node ports of `family` are accepted, or `None` if
    /// the configuration does not accept served traffic. The result includes every address of
    /// [`Self::node_ports_of`].
    pub(crate) fn accepted(
        &self,
        family: AddressFamily,
        config: &NodeConfig,
    ) -> Option<NodePortPlaces> {
        if !config.accept_served_traffic {
            return None;
        }
        let (networks, primary) = match &config.node_port_addresses {
            NodePortAddresses::Within(networks) => (networks, None),
            NodePortAddresses::PrimaryAnd(networks) => {
                (networks, Some(self.primary(family, config)))
            }
        };
        let mut networks: Vec<IpNetwork> = (networks.iter())
            .filter(|network| AddressFamily::of(network.ip()) == family)
            .filter_map(|network| IpNetwork::new(network.network(), network.prefix()).ok())
            .collect();
        let unlimited = networks.is_empty() && primary.is_none();
        if unlimited || networks.iter().any(|network| network.prefix() == 0) {
            return Some(NodePortPlaces::Everywhere);
        }
        let primary = primary.filter(|address| !address.is_loopback());
        networks.extend(primary.map(IpNetwork::from));
        networks.sort_unstable();
        networks.dedup();
        Some(NodePortPlaces::Within(networks))
    }

    /// Returns the findings about the node.
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
        let missing = self.missing.as_ref();
        findings.extend(missing.map(|missing| missing.finding(&config.node_name)));
        findings
    }

    /// Recomputes the addresses of node ports. Returns true if they changed.
    fn choose_node_ports(&mut self, config: &NodeConfig) -> bool {
        let chosen = AddressFamily::ALL
            .into_iter()
            .flat_map(|family| self.node_ports_of(family, config))
            .collect();
        let before = std::mem::replace(&mut self.node_ports, chosen);
        before != self.node_ports
    }

    /// Returns the addresses at which node ports of `family` are served, as section 5.5 of
    /// kube-proxy's behaviour defines them.
    ///
    /// - The dummy device does not count as an interface.
    /// - A cluster IP on another device is excluded (deviation D10).
    /// - An external or load-balancer address on an interface is included, since it is the node's
    ///   own (deviation D8). A Service with such an address must not disable the node ports of the
    ///   node.
    fn node_ports_of(&self, family: AddressFamily, config: &NodeConfig) -> BTreeSet<IpAddr> {
        let mut own: BTreeSet<IpAddr> = (self.on_interfaces.iter().copied())
            .filter(|at| AddressFamily::of(*at) == family && !at.is_loopback())
            .filter(|at| !self.cluster_ips.contains(at))
            .collect();
        let (networks, primary) = match &config.node_port_addresses {
            NodePortAddresses::Within(networks) => (networks, None),
            NodePortAddresses::PrimaryAnd(networks) => {
                (networks, Some(self.primary(family, config)))
            }
        };
        let networks: Vec<&IpNetwork> = (networks.iter())
            .filter(|network| AddressFamily::of(network.ip()) == family)
            .collect();
        let unlimited = networks.is_empty() && primary.is_none();
        let everywhere = unlimited || networks.iter().any(|network| network.prefix() == 0);
        own.retain(|at| match everywhere {
            _ if primary == Some(*at) => true,
            true => !is_link_local(*at),
            false => networks.iter().any(|network| network.contains(*at)),
        });
        own
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
