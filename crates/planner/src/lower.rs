//! IPVS' rules: the virtual server, real servers and address that make a frontend.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use ipvs::{
    AddressFamily, Forwarding, RealServer, RealServerKey, ServiceFlags, VirtualServer,
    VirtualServerKey,
};
use model::config::NodeConfig;
use model::frontend::{Backend, Frontend, FrontendKind};
use model::names::ServicePortName;
use model::tables::VirtualServerEntry;

/// What one frontend needs in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The Service port behind it.
    pub(crate) owner: ServicePortName,
    /// The virtual server with its real servers.
    pub(crate) entry: Arc<VirtualServerEntry>,
    /// Whether its address must be on the dummy device.
    pub(crate) bind: bool,
}

/// What `frontend` needs in the kernel.
pub(crate) fn lower(frontend: Frontend, config: &NodeConfig) -> Claim {
    let real_servers = (frontend.backends.iter())
        .map(|backend| {
            let real = real_server(*backend);
            (real.key, real)
        })
        .collect();
    let bind = match frontend.kind {
        FrontendKind::ClusterIp => true,
    };
    let entry = Arc::new(VirtualServerEntry {
        server: virtual_server(&frontend, config),
        real_servers,
    });
    Claim {
        owner: frontend.owner,
        entry,
        bind,
    }
}

fn virtual_server(frontend: &Frontend, config: &NodeConfig) -> VirtualServer {
    let mut flags = ServiceFlags::empty();
    if frontend.affinity.is_some() {
        flags |= ServiceFlags::PERSISTENT;
    }
    if &*config.scheduler.0 == "mh" {
        // The source port is hashed too, or one client would never leave its first real server.
        flags |= ServiceFlags::SCHED_2;
    }
    VirtualServer {
        key: VirtualServerKey::Address {
            address: frontend.address,
            port: frontend.port.get(),
            protocol: frontend.protocol,
        },
        scheduler: config.scheduler.clone(),
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

/// The kernel counts whole seconds in 32 bits, and a persistence of none is none.
fn persistence_timeout(affinity: Duration) -> Duration {
    Duration::from_secs(affinity.as_secs().clamp(1, u64::from(u32::MAX)))
}

fn real_server(backend: Backend) -> RealServer {
    RealServer {
        key: RealServerKey {
            address: backend.address,
            port: backend.port.get(),
        },
        forwarding: Forwarding::Masquerade,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}
