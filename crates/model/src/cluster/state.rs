//! The state of the cluster, built from the events of the sources.

use std::collections::{BTreeMap, BTreeSet};

use super::encoded::Encoded;
use super::interner::Interner;
use super::{
    ClusterEvent, EndpointSlice, Node, Object, ObjectKind, Service, StaticServer, Undecodable,
};
use crate::compact::{pack_map, pack_set};
use crate::names::{Name, ObjectName};

/// All known Services, EndpointSlices, Nodes and VirtualServers.
///
/// Two states are equal if they have the same objects, whatever the order in which the objects
/// arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterState {
    services: BTreeMap<ObjectName, Encoded<Service>>,
    /// EndpointSlices by their own names, which deletions use.
    slices: BTreeMap<ObjectName, Encoded<EndpointSlice>>,
    /// Pairs of a Service and one of its slices. A map of sets would need more memory, since most
    /// Services have one slice.
    slices_of: BTreeSet<(ObjectName, Name)>,
    nodes: BTreeMap<Name, Node>,
    virtual_servers: BTreeMap<ObjectName, StaticServer>,
    names: Interner,
    /// Names that the list in progress has had so far.
    listing: BTreeMap<ObjectKind, BTreeSet<ObjectName>>,
    listed: BTreeSet<ObjectKind>,
    /// Objects whose current version cannot be decoded.
    undecodable: BTreeMap<(ObjectKind, ObjectName), Undecodable>,
}

/// Objects that an event changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Services that changed, or whose slices changed, and VirtualServers that changed.
    pub services: BTreeSet<ObjectName>,
    /// Nodes that changed.
    pub nodes: BTreeSet<Name>,
    /// Objects that have become undecodable, or decodable again, or undecodable for another reason.
    pub undecodable: BTreeSet<(ObjectKind, ObjectName)>,
}

impl Changed {
    /// Returns true if no object changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.nodes.is_empty() && self.undecodable.is_empty()
    }

    /// Adds the changes of `other`.
    pub fn merge(&mut self, other: Self) {
        self.services.extend(other.services);
        self.nodes.extend(other.nodes);
        self.undecodable.extend(other.undecodable);
    }
}

impl ClusterState {
    /// Applies `event` and returns the objects that it changed. An object that equals the known one
    /// is not a change.
    pub fn absorb(&mut self, event: ClusterEvent) -> Changed {
        match event {
            ClusterEvent::ListStarted(kind) => {
                self.listing.insert(kind, BTreeSet::new());
                Changed::default()
            }
            ClusterEvent::Upsert(object) => {
                let key = (object.kind(), object.name());
                if let Some(named) = self.listing.get_mut(&key.0) {
                    named.insert(key.1.clone());
                }
                let mut changed = self.upsert(object);
                self.forget_undecodable(key, &mut changed);
                changed
            }
            ClusterEvent::Undecodable(kind, name, problem) => {
                if let Some(named) = self.listing.get_mut(&kind) {
                    named.insert(name.clone());
                }
                let mut changed = Changed::default();
                let key = (kind, name);
                if self.undecodable.get(&key) != Some(&problem) {
                    self.undecodable.insert(key.clone(), problem);
                    changed.undecodable.insert(key);
                }
                changed
            }
            ClusterEvent::Delete(kind, name) => {
                if let Some(named) = self.listing.get_mut(&kind) {
                    named.remove(&name);
                }
                let mut changed = self.delete(kind, &name);
                self.forget_undecodable((kind, name), &mut changed);
                changed
            }
            ClusterEvent::ListDone(kind) => self.finish_list(kind),
        }
    }

    /// Returns true if every kind has been listed at least once. Before that, a missing object may
    /// exist.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        ObjectKind::ALL
            .iter()
            .all(|kind| self.listed.contains(kind))
    }

    /// Returns the objects whose current version cannot be decoded. The other methods return their
    /// last decoded version, if there was one.
    #[must_use]
    pub fn undecodable(&self) -> &BTreeMap<(ObjectKind, ObjectName), Undecodable> {
        &self.undecodable
    }

    /// Returns the names of all Services, in order. Names that only have slices are not among them.
    pub fn service_names(&self) -> impl Iterator<Item = &ObjectName> {
        self.services.keys()
    }

    /// Returns the Service `name`.
    #[must_use]
    pub fn service(&self, name: &ObjectName) -> Option<Service> {
        let (name, packed) = self.services.get_key_value(name)?;
        let mut service = packed.unpack();
        service.name = name.clone();
        for port in &mut service.ports {
            port.name = self.names.get(&port.name);
        }
        Some(service)
    }

    /// Returns true if load balancers may send new connections to the node `name`: the Node is
    /// known, is not being deleted, and is not about to be removed by the cluster autoscaler
    /// (KEP-3836). An unknown Node is not eligible, as in kube-proxy.
    #[must_use]
    pub fn node_eligible(&self, name: &str) -> bool {
        (self.nodes.get(name)).is_some_and(|node| !node.deleting && !node.leaving)
    }

    /// Returns the slices of the Service `name`, ordered by name. An empty name selects the slices
    /// of the namespace that belong to no Service.
    pub fn slices(&self, name: &ObjectName) -> impl Iterator<Item = EndpointSlice> {
        self.slice_names(name).filter_map(|(service, slice)| {
            let name = ObjectName::new(service.namespace.clone(), slice.clone());
            let mut slice = self.slice(&name)?;
            slice.service = service.name.clone();
            Some(slice)
        })
    }

    /// Returns the names under which [`Self::slices`] returns slices without Service: a namespace
    /// with an empty name. A name may be repeated.
    pub fn without_service(&self) -> impl Iterator<Item = &ObjectName> {
        (self.slices_of.iter())
            .map(|(service, _)| service)
            .filter(|service| service.name.is_empty())
    }

    /// Returns the number of bytes that the slices of the Service `name` use in this state.
    #[must_use]
    pub fn slice_bytes(&self, name: &ObjectName) -> usize {
        self.slice_names(name)
            .filter_map(|(service, slice)| {
                let name = ObjectName::new(service.namespace.clone(), slice.clone());
                self.slices.get(&name).map(Encoded::len)
            })
            .sum()
    }

    /// Returns the slice `name`.
    #[must_use]
    pub fn slice(&self, name: &ObjectName) -> Option<EndpointSlice> {
        let (name, packed) = self.slices.get_key_value(name)?;
        let mut slice = packed.unpack();
        slice.name = name.clone();
        Some(slice)
    }

    fn slice_names(&self, name: &ObjectName) -> impl Iterator<Item = &(ObjectName, Name)> {
        let first = (name.clone(), Name::default());
        (self.slices_of.range(first.clone()..)).take_while(move |(service, _)| *service == first.0)
    }

    /// Returns the Node `name`.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// Returns all Nodes, ordered by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// Returns the VirtualServer `name`.
    #[must_use]
    pub fn virtual_server(&self, name: &ObjectName) -> Option<&StaticServer> {
        self.virtual_servers.get(name)
    }

    /// Returns all VirtualServers, ordered by name.
    pub fn virtual_servers(&self) -> impl Iterator<Item = &StaticServer> {
        self.virtual_servers.values()
    }

    fn upsert(&mut self, object: Object) -> Changed {
        match object {
            Object::Service(service) => {
                let packed = Encoded::new(&service);
                if self.services.get(&service.name) == Some(&packed) {
                    return Changed::default();
                }
                for mut port in service.ports {
                    self.names.share(&mut port.name);
                }
                let name = self.stored_name(service.name);
                self.services.insert(name.clone(), packed);
                changed_service(name)
            }
            Object::EndpointSlice(slice) => self.upsert_slice(slice),
            Object::Node(node) => {
                let name = node.name.clone();
                if self.nodes.get(&name) == Some(&node) {
                    return Changed::default();
                }
                self.nodes.insert(name.clone(), node);
                changed_node(name)
            }
            Object::VirtualServer(server) => {
                let name = server.name.clone();
                if self.virtual_servers.get(&name) == Some(&server) {
                    return Changed::default();
                }
                self.virtual_servers.insert(name.clone(), server);
                changed_service(name)
            }
        }
    }

    fn upsert_slice(&mut self, slice: EndpointSlice) -> Changed {
        let packed = Encoded::new(&slice);
        let mut changed = match self.slices.get(&slice.name) {
            Some(before) if *before == packed => return Changed::default(),
            Some(before) if before.unpack().service != slice.service => {
                self.delete_slice(&slice.name)
            }
            _ => Changed::default(),
        };
        let service = self.stored_name(service_of(&slice.name, slice.service));
        let name = ObjectName::new(service.namespace.clone(), slice.name.name);
        self.slices_of.insert((service.clone(), name.name.clone()));
        self.slices.insert(name, packed);
        changed.services.insert(service);
        changed
    }

    /// Returns the stored copy of a Service's name, so that equal names share their text.
    fn stored_name(&mut self, mut name: ObjectName) -> ObjectName {
        let service = self.services.get_key_value(&name).map(|(name, _)| name);
        let of_slice = || self.slice_names(&name).map(|(name, _)| name).next();
        if let Some(known) = service.or_else(of_slice) {
            return known.clone();
        }
        self.names.share(&mut name.namespace);
        name
    }

    fn delete(&mut self, kind: ObjectKind, name: &ObjectName) -> Changed {
        match kind {
            ObjectKind::Service => match self.services.remove(name) {
                Some(_) => changed_service(name.clone()),
                None => Changed::default(),
            },
            ObjectKind::EndpointSlice => self.delete_slice(name),
            ObjectKind::VirtualServer => match self.virtual_servers.remove(name) {
                Some(server) => changed_service(server.name),
                None => Changed::default(),
            },
            ObjectKind::Node => match self.nodes.remove(&name.name) {
                Some(node) => changed_node(node.name),
                None => Changed::default(),
            },
        }
    }

    fn delete_slice(&mut self, name: &ObjectName) -> Changed {
        let Some(slice) = self.slices.remove(name) else {
            return Changed::default();
        };
        let place = (service_of(name, slice.unpack().service), name.name.clone());
        self.slices_of.remove(&place);
        changed_service(place.0)
    }

    fn forget_undecodable(&mut self, key: (ObjectKind, ObjectName), changed: &mut Changed) {
        if self.undecodable.remove(&key).is_some() {
            changed.undecodable.insert(key);
        }
    }

    fn finish_list(&mut self, kind: ObjectKind) -> Changed {
        self.listed.insert(kind);
        let Some(named) = self.listing.remove(&kind) else {
            return Changed::default();
        };
        let known: Vec<ObjectName> = match kind {
            ObjectKind::Service => self.services.keys().cloned().collect(),
            ObjectKind::EndpointSlice => self.slices.keys().cloned().collect(),
            ObjectKind::VirtualServer => self.virtual_servers.keys().cloned().collect(),
            ObjectKind::Node => (self.nodes.keys())
                .map(|name| ObjectName::new("", name.clone()))
                .collect(),
        };
        let mut changed = Changed::default();
        for name in known.iter().filter(|name| !named.contains(name)) {
            changed.merge(self.delete(kind, name));
        }
        let unlisted: Vec<_> = (self.undecodable.keys())
            .filter(|(of, name)| *of == kind && !named.contains(name))
            .cloned()
            .collect();
        for key in unlisted {
            self.forget_undecodable(key, &mut changed);
        }
        match kind {
            ObjectKind::Service => pack_map(&mut self.services),
            ObjectKind::EndpointSlice => {
                pack_map(&mut self.slices);
                pack_set(&mut self.slices_of);
            }
            ObjectKind::Node => pack_map(&mut self.nodes),
            ObjectKind::VirtualServer => pack_map(&mut self.virtual_servers),
        }
        changed
    }
}

fn service_of(slice: &ObjectName, service: Name) -> ObjectName {
    ObjectName::new(slice.namespace.clone(), service)
}

fn changed_service(name: ObjectName) -> Changed {
    Changed {
        services: [name].into(),
        ..Changed::default()
    }
}

fn changed_node(name: Name) -> Changed {
    Changed {
        nodes: [name].into(),
        ..Changed::default()
    }
}
