//! Applies the rules of IPVS: the virtual server, real servers, address and set entries of a
//! frontend.

mod entries;
mod every_port;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipset::Entry;
use ipvs::{
    AddressFamily, Forwarding, Protocol, RealServer, RealServerKey, Scheduler, ServiceFlags,
    VirtualServer, VirtualServerKey,
};
use model::config::{NodeConfig, default_scheduler_flags};
use model::frontend::{Backend, Frontend, FrontendKind};
use model::names::ServicePortName;
use model::policy::{ConnectionLimits, ServicePolicy};
use model::sets::SetKind;
use model::tables::{RealServers, VirtualServerEntry};

pub(crate) use self::entries::{SetEntry, health_check, loop_back};
pub(crate) use self::every_port::{EveryPort, ScopeRequest, every_port};

/// Kernel entries that one frontend needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Service port of the frontend.
    pub(crate) owner: Arc<ServicePortName>,
    /// Kind of the frontend's address.
    pub(crate) kind: FrontendKind,
    /// Virtual server with its real servers.
    pub(crate) entry: Arc<VirtualServerEntry>,
    /// Endpoints that get no new flows and keep existing ones. `None` if there are none: an empty
    /// slice would be an allocation for each Service.
    pub(crate) finishing: Option<Arc<[RealServerKey]>>,
    /// True if the address of the virtual server is bound to the dummy device.
    pub(crate) is_bound: bool,
    /// Set entries by which the rules match the frontend.
    pub(crate) set_entries: Box<[SetEntry]>,
}

impl Claim {
    /// Returns the address to bind to the dummy device, if any.
    pub(crate) fn bound(&self) -> Option<IpAddr> {
        match self.entry.server.key {
            VirtualServerKey::Address { address, .. } => Some(address).filter(|_| self.is_bound),
            VirtualServerKey::Fwmark { .. } => None,
        }
    }

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
    let (weights, methods) = (frontend.weights.as_deref(), frontend.forwarding.as_deref());
    let limits = (frontend.service_policy.as_ref()).and_then(|policy| policy.connection_limits);
    let backends = frontend.backends.iter().enumerate();
    let real_servers = RealServers::from_iter(backends.map(|(index, backend)| {
        let weight = weights.map_or(1, |weights| weights[index]);
        let method = methods.map_or(Forwarding::Masquerade, |methods| methods[index]);
        real_server(*backend, method, weight, limits)
    }));
    let finishing: Vec<RealServerKey> = (frontend.finishing.iter())
        .filter(|backend| frontend.backends.binary_search(backend).is_err())
        .map(|backend| real_server_key(*backend))
        .collect();
    Claim {
        finishing: (!finishing.is_empty()).then(|| finishing.into()),
        kind: frontend.kind,
        entry: Arc::new(VirtualServerEntry {
            server: virtual_server(&frontend, config),
            real_servers,
        }),
        is_bound: frontend.bind,
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
    let policy = frontend.service_policy.as_deref();
    let (scheduler, mut flags) = scheduler(policy, config);
    let family = AddressFamily::of(frontend.address);
    let mut prefix = match family {
        AddressFamily::Ipv4 => 32,
        AddressFamily::Ipv6 => 128,
    };
    if frontend.affinity.is_some() {
        flags |= ServiceFlags::PERSISTENT;
        let asked = policy.and_then(|policy| policy.affinity_prefix);
        prefix = asked.map_or(prefix, |asked| asked.of(family));
    }
    let one_packet = policy.and_then(|policy| policy.one_packet);
    if one_packet == Some(true) && frontend.protocol == Protocol::Udp {
        flags |= ServiceFlags::ONE_PACKET;
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
        persistence_prefix: prefix,
        persistence_engine: None,
    }
}

/// Returns the scheduler and its flags. The configured flags apply to the configured scheduler
/// only. Flags of another scheduler than that of the policy have a finding and no effect.
fn scheduler(policy: Option<&ServicePolicy>, config: &NodeConfig) -> (Scheduler, ServiceFlags) {
    let Some(policy) = policy else {
        return (config.scheduler.clone(), config.scheduler_flags);
    };
    let (scheduler, default) = match &policy.scheduler {
        Some(name) if *name.0 != *config.scheduler.0 => {
            (Scheduler(name.0.clone()), default_scheduler_flags(&name.0))
        }
        _ => (config.scheduler.clone(), config.scheduler_flags),
    };
    let flags = policy.scheduler_flags.as_deref();
    let flags = flags.and_then(|flags| model::policy::scheduler_flags(&scheduler.0, flags).ok());
    (scheduler, flags.unwrap_or(default))
}

/// Converts a session affinity to whole seconds in 32 bits, as the kernel stores it. Zero would
/// disable it.
fn persistence_timeout(affinity: Duration) -> Duration {
    Duration::from_secs(affinity.as_secs().clamp(1, u64::from(u32::MAX)))
}

fn real_server(
    backend: Backend,
    forwarding: Forwarding,
    weight: u32,
    limits: Option<ConnectionLimits>,
) -> RealServer {
    RealServer {
        key: real_server_key(backend),
        forwarding,
        weight,
        upper_threshold: limits.map_or(0, |limits| limits.upper),
        lower_threshold: limits.map_or(0, |limits| limits.lower),
    }
}

/// Returns the key of the real server for `backend`.
pub(crate) fn real_server_key(backend: Backend) -> RealServerKey {
    RealServerKey {
        address: backend.address,
        port: backend.port.get(),
    }
}
