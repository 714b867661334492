//! The store behind its rules: every write is admitted, allocated, versioned and announced.

mod write;

use crate::admission::allocations::Allocations;
use crate::config::ServerConfig;
use crate::object::{Key, Object};
use crate::resource::Resource;
use crate::store::{Compacted, Event, Page, Range, Store};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

pub(crate) use write::{DeleteOptions, WriteOptions, stamp};

/// Namespaces that exist from the start and cannot be deleted.
const SYSTEM_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// All objects of a cluster and the rules for changing them.
#[derive(Debug)]
pub(crate) struct Cluster {
    state: Mutex<State>,
    changed: [watch::Sender<u64>; Resource::ALL.len()],
    config: ServerConfig,
}

#[derive(Debug)]
struct State {
    store: Store,
    taken: Allocations,
}

impl Cluster {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        Self {
            state: Mutex::new(State::new(config)),
            changed: std::array::from_fn(|_| watch::Sender::new(0)),
            config: config.clone(),
        }
    }

    /// A new, empty cluster in place of this one: revisions start again.
    pub(crate) fn reset(&self) {
        *self.lock() = State::new(&self.config);
    }

    pub(crate) fn revision(&self) -> u64 {
        self.lock().store.revision()
    }

    pub(crate) fn get(&self, resource: Resource, key: &Key) -> Option<Arc<Object>> {
        self.lock().store.get(resource, key).cloned()
    }

    pub(crate) fn len(&self, resource: Resource) -> usize {
        self.lock().store.len(resource)
    }

    pub(crate) fn list(
        &self,
        resource: Resource,
        range: &Range<'_>,
        select: impl Fn(&Object) -> bool,
    ) -> Result<Page, Compacted> {
        self.lock().store.list(resource, range, select)
    }

    /// The changes of a kind after `revision`, and the revision up to which they are complete.
    pub(crate) fn events_after(
        &self,
        resource: Resource,
        revision: u64,
        most: usize,
    ) -> Result<(Vec<Arc<Event>>, u64), Compacted> {
        let state = self.lock();
        let events = state.store.events_after(resource, revision, most)?;
        let complete = match events.last() {
            Some(last) if events.len() == most => last.revision,
            _ => state.store.revision().max(revision),
        };
        Ok((events, complete))
    }

    /// Wakes at every change of a kind.
    pub(crate) fn subscribe(&self, resource: Resource) -> watch::Receiver<u64> {
        self.changed[resource.index()].subscribe()
    }

    /// Forgets all history; returns the revision compacted to.
    pub(crate) fn compact(&self) -> u64 {
        let mut state = self.lock();
        let now = state.store.revision();
        state.store.compact(now);
        now
    }

    pub(crate) fn restart(&self) {
        self.lock().store.restart();
    }

    pub(crate) fn advance(&self, by: u64) -> u64 {
        let mut state = self.lock();
        state.store.advance(by);
        state.store.revision()
    }

    /// Stores an object as it is, beside all rules.
    pub(crate) fn insert_unchecked(&self, resource: Resource, value: Value) -> Arc<Object> {
        let mut state = self.lock();
        let object = state.put(resource, value);
        drop(state);
        self.announce(resource, object.revision);
        object
    }

    fn announce(&self, resource: Resource, revision: u64) {
        self.changed[resource.index()].send_replace(revision);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(config: &ServerConfig) -> Self {
        let taken = Allocations::new(config.service_cidrs.clone(), config.node_ports.clone());
        let mut state = Self {
            store: Store::new(config.history_limit, config.first_revision),
            taken,
        };
        for name in SYSTEM_NAMESPACES {
            let namespace = json!({"metadata": {"name": name}});
            state.seed(Resource::Namespaces, namespace);
        }
        if let Some(address) = config.advertise {
            state.seed_own_service(config, address);
        }
        state
    }

    /// The Service `default/kubernetes`, which every API server keeps for itself.
    fn seed_own_service(&mut self, config: &ServerConfig, address: SocketAddr) {
        let Some(range) = config.service_cidrs.first() else {
            return;
        };
        let Some(ip) = range.iter().nth(1) else {
            return;
        };
        let metadata = json!({"name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"}});
        let port = |key: &str| json!({"name": "https", key: address.port(), "protocol": "TCP"});
        let mut service_port = port("targetPort");
        service_port["port"] = json!(443);
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        self.seed(
            Resource::Services,
            json!({"metadata": metadata, "spec": {"clusterIP": ip.to_string(), "ports": [service_port]}}),
        );
        self.seed(
            Resource::Endpoints,
            json!({"metadata": {"name": "kubernetes", "namespace": "default",
                    "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
                "subsets": [{"addresses": [{"ip": address.ip().to_string()}], "ports": [port("port")]}]}),
        );
        self.seed(
            Resource::EndpointSlices,
            json!({"metadata": {"name": "kubernetes", "namespace": "default",
                    "labels": {"kubernetes.io/service-name": "kubernetes"}},
                "addressType": family,
                "endpoints": [{"addresses": [address.ip().to_string()], "conditions": {"ready": true}}],
                "ports": [port("port")]}),
        );
    }

    fn seed(&mut self, resource: Resource, mut value: Value) {
        write::stamp(&mut value);
        if let Err(errors) = crate::admission::admit_new(resource, &mut value, &self.taken) {
            tracing::warn!(
                ?resource,
                ?errors,
                "an object of the server's own is refused by its rules"
            );
            return;
        }
        self.put(resource, value);
    }

    fn put(&mut self, resource: Resource, value: Value) -> Arc<Object> {
        let before = self.store.get(resource, &Key::of(&value)).cloned();
        let object = self.store.put(resource, value);
        if resource == Resource::Services {
            self.taken
                .follow(before.as_ref().map(|o| &o.value), Some(&object.value));
        }
        object
    }

    fn remove(&mut self, resource: Resource, key: &Key) -> Option<Arc<Object>> {
        let object = self.store.remove(resource, key)?;
        if resource == Resource::Services {
            self.taken.follow(Some(&object.value), None);
        }
        Some(object)
    }
}
