//! Applies the rules of IPVS: the virtual server, real servers, address and set entries of a
//! frontend.

mod entries;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipset::Entry;
use ipvs::{
    AddressFamily, Forwarding, RealServer, RealServerKey, Scheduler, ServiceFlags, VirtualServer,
    VirtualServerKey,
};
use model::config::{NodeConfig, default_scheduler_flags};
use model::frontend::{Backend, Frontend, FrontendKind};
use model::names::ServicePortName;
use model::sets::SetKind;
use model::tables::{VirtualServerEntry, collect_real_servers};

pub(crate) use self::entries::{SetEntry, health_check, loop_back};

/// Kernel entries that one frontend needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Service port of the frontend.
    pub(crate) owner: Arc<ServicePortName>,
    /// Kind of the frontend's address.
    pub(crate) kind: FrontendKind,
    /// Virtual server with its real servers.
    pub(crate) entry: Arc<VirtualServerEntry>,
    /// Endpoints that get no new flows and keep existing ones.
    pub(crate) finishing: Arc<[RealServerKey]>,
    /// Address to bind to the dummy device, if any.
    pub(crate) bound: Option<IpAddr>,
    /// Set entries by which the rules match the frontend.
    pub(crate) set_entries: Box<[SetEntry]>,
}

impl Claim {
    /// Returns the address if the virtual server gets the packets to every port of it.
    pub(crate) fn address_with_every_port(&self) -> Option<IpAddr> {
        match self.entry.server.key {
            VirtualServerKey::Address {
                address, port: 0, ..
            } => Some(address),
            _ => None,
        }
    }
}

/// Returns the kernel entries that `frontend` needs.
pub(crate) fn lower(frontend: Frontend, config: &NodeConfig) -> Claim {
    let backends = frontend.backends.iter();
    let real_servers = collect_real_servers(backends.map(|backend| real_server(*backend)));
    let finishing = (frontend.finishing.iter())
        .filter(|backend| frontend.backends.binary_search(backend).is_err())
        .map(|backend| real_server_key(*backend));
    Claim {
        finishing: finishing.collect(),
        kind: frontend.kind,
        entry: Arc::new(VirtualServerEntry {
            server: virtual_server(&frontend, config),
            real_servers,
        }),
        bound: frontend.bind.then_some(frontend.address),
        set_entries: entries::of(&frontend).into(),
        owner: frontend.owner,
    }
}

/// Returns the entry of [`SetKind::IpvsIps`] for an address on the dummy device.
pub(crate) fn bound(address: IpAddr) -> SetEntry {
    SetEntry {
        kind: SetKind::IpvsIps,
        family: AddressFamily::of(address),
        entry: Entry::Ip(address),
    }
}

fn virtual_server(frontend: &Frontend, config: &NodeConfig) -> VirtualServer {
    let (scheduler, mut flags) = scheduler(frontend, config);
    if frontend.affinity.is_some() {
        flags |= ServiceFlags::PERSISTENT;
    }
    VirtualServer {
        key: VirtualServerKey::Address {
            address: frontend.address,
            port: frontend.port.get(),
            protocol: frontend.protocol,
        },
        scheduler,
        flags,
        persistence_timeout: frontend
            .affinity
            .map_or(Duration::ZERO, persistence_timeout),
        persistence_prefix: match AddressFamily::of(frontend.address) {
            AddressFamily::Ipv4 => 32,
            AddressFamily::Ipv6 => 128,
        },
        persistence_engine: None,
    }
}

/// Returns the scheduler and its flags. The configured flags apply to the configured scheduler
/// only.
fn scheduler(frontend: &Frontend, config: &NodeConfig) -> (Scheduler, ServiceFlags) {
    match &frontend.scheduler {
        Some(name) if **name != *config.scheduler.0 => {
            (Scheduler(name.clone()), default_scheduler_flags(name))
        }
        _ => (config.scheduler.clone(), config.scheduler_flags),
    }
}

/// Converts a session affinity to whole seconds in 32 bits, as the kernel stores it. Zero would
/// disable it.
fn persistence_timeout(affinity: Duration) -> Duration {
    Duration::from_secs(affinity.as_secs().clamp(1, u64::from(u32::MAX)))
}

fn real_server(backend: Backend) -> RealServer {
    RealServer {
        key: real_server_key(backend),
        forwarding: Forwarding::Masquerade,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

/// Returns the key of the real server for `backend`.
pub(crate) fn real_server_key(backend: Backend) -> RealServerKey {
    RealServerKey {
        address: backend.address,
        port: backend.port.get(),
    }
}
