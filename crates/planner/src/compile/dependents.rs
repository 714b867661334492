//! Services whose tables depend on addresses or ports of nodes.

use std::collections::{BTreeMap, BTreeSet};

use model::cluster::Service;
use model::compact::{pack_map, pack_set};
use model::config::ServiceLimits;
use model::names::ObjectName;

use crate::protected::NodeResource;
use crate::resolve::outside_addresses;

/// Index of Services by the node addresses and ports on which they depend.
///
/// A Service depends on them if it has node ports, external or load-balancer addresses, or if it is
/// not served at a requested address or port. Other Services use no memory here.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    node_ports: BTreeSet<ObjectName>,
    /// Resources of each Service that depends on any.
    resources: BTreeMap<ObjectName, Box<[NodeResource]>>,
    /// Services by resource, the inverse of `resources`.
    services: BTreeSet<(NodeResource, ObjectName)>,
}

impl Dependents {
    /// Replaces the entries of the Service `name`, which depends on `resources`. `service` is
    /// `None` if it was deleted.
    pub(super) fn set(
        &mut self,
        name: &ObjectName,
        service: Option<&Service>,
        resources: BTreeSet<NodeResource>,
    ) {
        let has_node_ports = service
            .is_some_and(|service| service.ports.iter().any(|port| port.node_port.is_some()));
        if has_node_ports {
            self.node_ports.insert(name.clone());
        } else {
            self.node_ports.remove(name);
        }
        let resources: Box<[NodeResource]> = resources.into_iter().collect();
        let before = if resources.is_empty() {
            self.resources.remove(name)
        } else if self.resources.get(name) == Some(&resources) {
            return;
        } else {
            self.resources.insert(name.clone(), resources.clone())
        };
        for resource in before.into_iter().flatten() {
            self.services.remove(&(resource, name.clone()));
        }
        let added = resources.iter().map(|resource| (*resource, name.clone()));
        self.services.extend(added);
    }

    /// Returns the Services with node ports.
    pub(super) fn with_node_ports(&self) -> impl Iterator<Item = &ObjectName> {
        self.node_ports.iter()
    }

    /// Returns the Services that depend on `resource`: they request it as an address from outside
    /// the cluster, or they are not served at it.
    pub(super) fn on(&self, resource: NodeResource) -> impl Iterator<Item = &ObjectName> {
        let first = (resource, ObjectName::default());
        (self.services.range(first..))
            .take_while(move |(other, _)| *other == resource)
            .map(|(_, name)| name)
    }

    /// Releases unused memory of the maps after they were filled.
    pub(super) fn pack(&mut self) {
        pack_set(&mut self.node_ports);
        pack_map(&mut self.resources);
        pack_set(&mut self.services);
    }
}

/// Returns the requested external and load-balancer addresses of `service` within the limits,
/// including those that are refused.
pub(super) fn asked_for(
    service: &Service,
    limits: ServiceLimits,
) -> impl Iterator<Item = NodeResource> {
    (outside_addresses(service, limits).into_iter().flatten())
        .filter_map(|address| address.as_result().ok().copied())
        .map(NodeResource::Address)
}
