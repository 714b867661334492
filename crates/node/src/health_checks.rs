//! Health-check node ports: load balancers query them to find nodes with endpoints of a Service.
//!
//! One listener for each port serves both families (deviation D18).
//!
//! Source: `pkg/proxy/healthcheck/service_health.go`, Kubernetes 1.34.

mod listener;
mod page;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

use model::frontend::HealthCheck;
use model::names::ObjectName;
use tokio::sync::{mpsc, watch};

use self::listener::{Count, Listener};
use crate::http::{ConnectionPool, Limits};

/// Returns true if the proxy is healthy at the moment.
pub type ProxyHealthy = Arc<dyn Fn() -> bool + Send + Sync>;

/// Addresses at which health checks are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListenOn {
    /// Every address of the node, in both families.
    #[default]
    Everywhere,
    /// Addresses that `nodePortAddresses` selects. An empty set disables the listeners.
    Addresses(BTreeSet<IpAddr>),
}

/// The desired health checks and the addresses at which they are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Addresses to listen at.
    pub listen_on: ListenOn,
    /// Health checks by Service.
    pub checks: BTreeMap<ObjectName, HealthCheck>,
}

/// A port that could not be opened. The next update tries again.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen at {address} for the health check of Service {service}")]
pub struct ListenFailure {
    /// Service of the health check.
    pub service: ObjectName,
    /// Address of the listener; `[::]` stands for every address of both families.
    pub address: SocketAddr,
    /// Reason of the failure.
    pub source: io::Error,
}

/// Returns the maximum number of listeners for a process that may have `descriptors` open files.
/// The limit keeps users who create Services from exhausting the descriptors of the daemon.
#[must_use]
pub fn max_listeners(descriptors: u64) -> usize {
    usize::try_from(descriptors / 4).unwrap_or(usize::MAX)
}

/// The open health-check node ports.
pub struct HealthChecks {
    proxy_healthy: ProxyHealthy,
    limits: Limits,
    pool: ConnectionPool,
    max_listeners: usize,
    open: BTreeMap<ObjectName, Open>,
}

struct Open {
    port: NonZeroU16,
    listen_on: ListenOn,
    count: Count,
    listeners: Vec<Listener>,
}

/// Opens and closes health-check node ports as `wanted` changes. Closes all of them and returns
/// when the sender of `wanted` is dropped. Ports that cannot be opened are sent to `failures` and
/// tried again with every new value. Connections count in `pool`.
pub async fn run(
    mut wanted: watch::Receiver<Arc<Wanted>>,
    proxy_healthy: ProxyHealthy,
    pool: ConnectionPool,
    max_listeners: usize,
    failures: mpsc::Sender<ListenFailure>,
) {
    let mut checks = HealthChecks::new(proxy_healthy, Limits::default(), pool, max_listeners);
    loop {
        let now = Arc::clone(&wanted.borrow_and_update());
        for failure in checks.update(&now).await {
            // A failure that does not fit is dropped: the next attempt reports it again.
            let _ = failures.try_send(failure);
        }
        if wanted.changed().await.is_err() {
            return checks.close().await;
        }
    }
}

impl HealthChecks {
    /// Returns a value without open ports. It opens at most `max_listeners` listeners. A port has
    /// one for each address.
    #[must_use]
    pub fn new(
        proxy_healthy: ProxyHealthy,
        limits: Limits,
        pool: ConnectionPool,
        max_listeners: usize,
    ) -> Self {
        Self {
            proxy_healthy,
            limits,
            pool,
            max_listeners,
            open: BTreeMap::new(),
        }
    }

    /// Returns the number of Services with an open port.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Returns true if no port is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Opens and closes ports and updates the counts of endpoints as in `wanted`. Returns the ports
    /// that could not be opened. An unchanged port keeps its listener. Needs a tokio runtime.
    pub async fn update(&mut self, wanted: &Wanted) -> Vec<ListenFailure> {
        let Wanted { listen_on, checks } = wanted;
        // Close before opening: a new health check may use a port that another one had.
        let gone = self.open.extract_if(.., |service, open| {
            let check = checks.get(service);
            check.is_none_or(|check| check.port != open.port || *listen_on != open.listen_on)
        });
        for (_, open) in gone.collect::<Vec<_>>() {
            open.close().await;
        }
        let mut failures = Vec::new();
        for (service, check) in checks {
            if let Some(open) = self.open.get(service) {
                open.count.set(Some(check.local_endpoints));
                continue;
            }
            match self.open(service, check, listen_on).await {
                Ok(open) => {
                    self.open.insert(service.clone(), open);
                }
                Err(failure) => failures.push(failure),
            }
        }
        failures
    }

    /// Closes all ports.
    pub async fn close(self) {
        for open in self.open.into_values() {
            open.close().await;
        }
    }

    /// Opens the port at all addresses or at none: a load balancer cannot detect that some are
    /// missing.
    async fn open(
        &self,
        service: &ObjectName,
        check: &HealthCheck,
        listen_on: &ListenOn,
    ) -> Result<Open, ListenFailure> {
        let mut open = Open {
            port: check.port,
            listen_on: listen_on.clone(),
            count: Count::new(check.local_endpoints),
            listeners: Vec::new(),
        };
        let handler = page::handler(
            service.clone(),
            open.count.clone(),
            Arc::clone(&self.proxy_healthy),
        );
        let others: usize = self.open.values().map(|open| open.listeners.len()).sum();
        for address in listen_on.addresses() {
            let address = SocketAddr::new(address, check.port.get());
            let listener = if others + open.listeners.len() < self.max_listeners {
                Listener::open(address, handler.clone(), self.limits, self.pool.clone())
            } else {
                Err(io::Error::other(format!(
                    "the daemon may have {} listeners for health checks, a quarter of its limit of open files",
                    self.max_listeners
                )))
            };
            match listener {
                Ok(listener) => open.listeners.push(listener),
                Err(source) => {
                    open.close().await;
                    return Err(ListenFailure {
                        service: service.clone(),
                        address,
                        source,
                    });
                }
            }
        }
        Ok(open)
    }
}

impl ListenOn {
    fn addresses(&self) -> Vec<IpAddr> {
        match self {
            Self::Everywhere => vec![Ipv6Addr::UNSPECIFIED.into()],
            Self::Addresses(addresses) => addresses.iter().copied().collect(),
        }
    }
}

impl Open {
    async fn close(self) {
        self.count.set(None);
        for listener in self.listeners {
            listener.close().await;
        }
    }
}
