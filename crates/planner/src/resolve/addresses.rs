//! Resolves the addresses of a Service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipvs::AddressFamily;
use model::cluster::{Parsed, Service};
use model::config::{ExternalIpPolicy, NodeConfig};
use model::finding::{Code, Finding};
use model::frontend::FrontendKind;

use super::limits::outside_addresses;
use crate::explain::RefusedAddress;
use crate::node_context::NodeContext;
use crate::protected::NodeResource;

/// Addresses at which a Service is served, except those of node ports.
#[derive(Debug)]
pub(super) struct Addresses {
    families: BTreeSet<AddressFamily>,
    /// Address by kind. The value is true if the address is bound to the dummy device.
    sites: BTreeMap<(FrontendKind, IpAddr), bool>,
    /// Requested addresses that belong to the API server.
    refused: BTreeSet<NodeResource>,
    /// Requested addresses that are not served, with the reason.
    refused_addresses: Vec<RefusedAddress>,
}

impl Addresses {
    /// Returns the addresses of `service`, each once per kind.
    pub(super) fn of(
        service: &Service,
        node: &NodeContext,
        config: &NodeConfig,
        findings: &mut Vec<Finding>,
    ) -> Self {
        let mut collector = AddressCollector {
            service,
            node,
            config,
            findings,
            families: families(service),
            sites: BTreeMap::new(),
            refused: BTreeSet::new(),
            refused_addresses: Vec::new(),
        };
        let [external_ips, load_balancer_ips] = outside_addresses(service, config.service_limits);
        collector.cluster_ips();
        collector.external_ips(external_ips);
        collector.load_balancer_ips(load_balancer_ips);
        Self {
            families: collector.families,
            sites: collector.sites,
            refused: collector.refused,
            refused_addresses: collector.refused_addresses,
        }
    }

    /// Returns the families of the cluster IPs. The Service has no addresses of another family, as
    /// in `newBaseServiceInfo` (pkg/proxy/serviceport.go, 1.34).
    pub(super) fn families(&self) -> impl Iterator<Item = AddressFamily> {
        self.families.iter().copied()
    }

    /// Returns the requested addresses that are refused because they belong to the API server.
    pub(super) fn refused(&self) -> &BTreeSet<NodeResource> {
        &self.refused
    }

    /// Returns the requested addresses that are not served, with the reason.
    pub(super) fn refused_addresses(&self) -> &[RefusedAddress] {
        &self.refused_addresses
    }

    /// Returns the cluster IPs that are served.
    pub(super) fn cluster_ips(&self) -> impl Iterator<Item = IpAddr> {
        let cluster_ips = self.sites.keys();
        cluster_ips
            .filter(|(kind, _)| *kind == FrontendKind::ClusterIp)
            .map(|(_, address)| *address)
    }

    /// Returns the kind of each address of `family`, the address, and true if it is bound.
    pub(super) fn all(
        &self,
        family: AddressFamily,
    ) -> impl Iterator<Item = (FrontendKind, IpAddr, bool)> {
        (self.sites.iter())
            .map(|((kind, address), bind)| (*kind, *address, *bind))
            .filter(move |(_, address, _)| AddressFamily::of(*address) == family)
    }

    /// Adds a finding for each family in which a Service with node ports has no address for them.
    pub(super) fn check_node_ports(
        &self,
        service: &Service,
        node: &NodeContext,
        findings: &mut Vec<Finding>,
    ) {
        let served = |family| (node.node_ports.iter()).any(|at| AddressFamily::of(*at) == family);
        for family in self.families().filter(|family| !served(*family)) {
            findings.push(Finding {
                code: Code::NoNodePortAddress,
                kind: "Service",
                object: service.name.clone(),
                field: "spec.ports".to_owned(),
                problem: format!("this node has no {} address for node ports", text(family)),
                consequence: format!("its node ports are not served by {}", text(family)),
            });
        }
    }
}

/// Returns the display name of `family`.
pub(super) fn text(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Ipv4 => "IPv4",
        AddressFamily::Ipv6 => "IPv6",
    }
}

fn families(service: &Service) -> BTreeSet<AddressFamily> {
    let valid = (service.cluster_ips.iter()).filter_map(|address| address.as_result().ok());
    valid.map(|address| AddressFamily::of(*address)).collect()
}

struct AddressCollector<'a> {
    service: &'a Service,
    node: &'a NodeContext,
    config: &'a NodeConfig,
    findings: &'a mut Vec<Finding>,
    families: BTreeSet<AddressFamily>,
    sites: BTreeMap<(FrontendKind, IpAddr), bool>,
    refused: BTreeSet<NodeResource>,
    refused_addresses: Vec<RefusedAddress>,
}

/// Field of a Service with a requested address.
#[derive(Clone, Copy)]
enum Field {
    /// Entry of `spec.clusterIPs`.
    ClusterIps(usize),
    /// Entry of `spec.externalIPs`.
    ExternalIps(usize),
    /// Entry of `status.loadBalancer.ingress`. Its index is not known, because entries without an
    /// address or with another ipMode are not in the list.
    LoadBalancerIngress,
}

impl Field {
    fn kind(self) -> FrontendKind {
        match self {
            Self::ClusterIps(_) => FrontendKind::ClusterIp,
            Self::ExternalIps(_) => FrontendKind::ExternalIp,
            Self::LoadBalancerIngress => FrontendKind::LoadBalancerIp,
        }
    }

    fn path(self) -> String {
        match self {
            Self::ClusterIps(index) => format!("spec.clusterIPs[{index}]"),
            Self::ExternalIps(index) => format!("spec.externalIPs[{index}]"),
            Self::LoadBalancerIngress => "status.loadBalancer.ingress[].ip".to_owned(),
        }
    }
}

impl AddressCollector<'_> {
    fn cluster_ips(&mut self) {
        for (field, address) in self.usable(Field::ClusterIps, &self.service.cluster_ips) {
            self.bind(field, address);
        }
    }

    fn external_ips(&mut self, addresses: &[Parsed<IpAddr>]) {
        for (field, address) in self.usable(Field::ExternalIps, addresses) {
            let refused = match &self.config.external_ips {
                ExternalIpPolicy::Allow => None,
                ExternalIpPolicy::AllowList(networks) => {
                    let allowed = networks.iter().any(|network| network.contains(address));
                    (!allowed).then_some("in no network of allowedExternalCIDRs")
                }
                ExternalIpPolicy::Deny => Some("refused, since externalIPPolicy is Deny"),
            };
            if let Some(why) = refused {
                let problem = format!("{address} is {why}");
                let address = Parsed::Valid(address);
                self.refuse(field, address, Code::ExternalIpNotAllowed, problem);
            } else {
                self.add_outside_address(field, address);
            }
        }
    }

    fn load_balancer_ips(&mut self, addresses: &[Parsed<IpAddr>]) {
        for (field, address) in self.usable(|_| Field::LoadBalancerIngress, addresses) {
            self.add_outside_address(field, address);
        }
    }

    /// Adds an address from outside the cluster, unless it belongs to a node (deviation D8).
    fn add_outside_address(&mut self, field: Field, address: IpAddr) {
        let family = AddressFamily::of(address);
        if !self.families.contains(&family) {
            let family = text(family);
            let problem =
                format!("{address} is {family}, and the Service has no {family} cluster IP");
            let code = Code::OtherFamilyAddress;
            self.refuse(field, Parsed::Valid(address), code, problem);
        } else if self.node.is_own(address) {
            let problem = format!("{address} is an address of this node");
            let consequence = "it is served, and not bound to kube-ipvs0";
            self.report(field, Code::OwnAddress, problem, consequence);
            self.sites.insert((field.kind(), address), false);
        } else if let Some(name) = self.node.other_nodes.get(&address) {
            let problem = format!("{address} is an address of Node {name}");
            let code = match field {
                // A load balancer that publishes node addresses publishes those of all nodes.
                Field::LoadBalancerIngress => Code::OtherNodesBalancer,
                _ => Code::OtherNodesAddress,
            };
            self.refuse(field, Parsed::Valid(address), code, problem);
        } else if let Some(network) =
            (self.config.protected_cidrs.iter()).find(|network| network.contains(address))
        {
            let problem = format!("{address} is in the protected network {network}");
            let code = Code::ProtectedAddress;
            self.refuse(field, Parsed::Valid(address), code, problem);
        } else {
            self.bind(field, address);
        }
    }

    /// Serves `address` on the dummy device, unless it belongs to the API server (deviation D22).
    /// Every bound address passes through this function.
    fn bind(&mut self, field: Field, address: IpAddr) {
        let protected = &self.node.protected.addresses;
        if protected.contains(&address) && !self.service.name.is_api_server() {
            let problem = format!("{address} is an address of the API server");
            let code = Code::ApiServerAddress;
            self.refuse(field, Parsed::Valid(address), code, problem);
            self.refused.insert(NodeResource::Address(address));
        } else {
            self.sites.insert((field.kind(), address), true);
        }
    }

    /// Returns the addresses that can be served, each with its field.
    fn usable(
        &mut self,
        field: impl Fn(usize) -> Field,
        addresses: &[Parsed<IpAddr>],
    ) -> Vec<(Field, IpAddr)> {
        let mut usable = Vec::new();
        for (index, address) in addresses.iter().enumerate() {
            let field = field(index);
            let problem = match address.as_result() {
                Ok(address) => match reserved_kind(*address) {
                    None => {
                        usable.push((field, *address));
                        continue;
                    }
                    Some(what) => format!("{address} is {what}"),
                },
                Err(text) => format!("`{text}` is not an IP address"),
            };
            self.refuse(field, address.clone(), Code::InvalidServiceAddress, problem);
        }
        usable
    }

    /// Adds a finding about an address that is not served.
    fn refuse(&mut self, field: Field, address: Parsed<IpAddr>, code: Code, problem: String) {
        let consequence = match code {
            Code::ApiServerAddress => "this address is not served; choose another one",
            _ => "this address is not served",
        };
        self.refused_addresses.push(RefusedAddress {
            kind: field.kind(),
            address,
            code,
            problem: problem.clone(),
        });
        self.report(field, code, problem, consequence);
    }

    fn report(&mut self, field: Field, code: Code, problem: String, consequence: &str) {
        self.findings.push(Finding {
            code,
            kind: "Service",
            object: self.service.name.clone(),
            field: field.path(),
            problem,
            consequence: consequence.to_owned(),
        });
    }
}

/// Returns the reason why no Service or VirtualServer can have an address. On the dummy device it would break the
/// node's networking.
pub(crate) fn reserved_kind(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("the unspecified address")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST) {
        Some("the broadcast address")
    } else {
        None
    }
}
