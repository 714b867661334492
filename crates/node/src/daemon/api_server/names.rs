//! Resolves the API server's host names again and again, since their addresses may change.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sources::config::Resolved;
use sources::kube::ServerHost;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

/// Maximum time to wait for the resolver. It delays the start.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time between two resolutions.
const AGAIN: Duration = Duration::from_secs(60);

/// Time until the next resolution after a failure. It doubles with each further failure.
const RETRY: Duration = Duration::from_secs(10);

/// Maximum time until the next resolution after failures.
const LONGEST_RETRY: Duration = Duration::from_secs(600);

/// Time for which an address stays protected after the resolver last returned it. Connections to it
/// may be open, and a resolver may return the addresses of a name in turns.
const KEPT: Duration = Duration::from_secs(3600);

/// The API server's hosts and their addresses.
#[derive(Debug)]
pub(in super::super) struct Names(Vec<Name>);

#[derive(Debug)]
struct Name {
    host: ServerHost,
    /// Addresses with the time at which the resolver last returned them.
    known: BTreeMap<SocketAddr, Instant>,
    /// The last resolution failed, and the failure was logged.
    failed: bool,
}

impl Names {
    /// Resolves `hosts` with `resolve` for the first time.
    pub(in super::super) async fn of<F>(
        hosts: Vec<ServerHost>,
        resolve: impl Fn(ServerHost) -> F,
    ) -> Self
    where
        F: Future<Output = Result<Vec<SocketAddr>, String>>,
    {
        let name = |host| Name {
            host,
            known: BTreeMap::new(),
            failed: false,
        };
        let mut names = Self(hosts.into_iter().map(name).collect());
        names.ask(&resolve).await;
        names
    }

    /// Returns the addresses to protect.
    pub(in super::super) fn addresses(&self) -> BTreeSet<SocketAddr> {
        let known = self.0.iter().flat_map(|name| name.known.keys());
        known.copied().collect()
    }

    /// Resolves the names periodically and writes their addresses into the configuration, until
    /// `config` has no receiver.
    pub(in super::super) async fn follow<F>(
        mut self,
        config: watch::Sender<Arc<Resolved>>,
        resolve: impl Fn(ServerHost) -> F,
    ) where
        F: Future<Output = Result<Vec<SocketAddr>, String>>,
    {
        // Literal addresses need no resolution.
        if self.0.iter().all(|name| name.host.is_address()) {
            return;
        }
        let mut retry = RETRY;
        loop {
            let wait = if self.0.iter().any(|name| name.failed) {
                let wait = retry;
                retry = (retry * 2).min(LONGEST_RETRY);
                wait
            } else {
                retry = RETRY;
                AGAIN
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = config.closed() => return,
            }
            self.ask(&resolve).await;
            let addresses = self.addresses();
            config.send_if_modified(|config| {
                let changed = config.node.api_server != addresses;
                if changed {
                    Arc::make_mut(config).node.api_server = addresses;
                }
                changed
            });
        }
    }

    async fn ask<F>(&mut self, resolve: &impl Fn(ServerHost) -> F)
    where
        F: Future<Output = Result<Vec<SocketAddr>, String>>,
    {
        for name in &mut self.0 {
            let answer = resolve(name.host.clone()).await;
            name.take(answer, Instant::now());
        }
    }
}

impl Name {
    /// Handles an answer of the resolver. After a failure the known addresses stay protected.
    fn take(&mut self, answer: Result<Vec<SocketAddr>, String>, now: Instant) {
        let host = &self.host;
        let problem = match answer {
            Ok(addresses) if addresses.is_empty() => "the resolver returned no address".to_owned(),
            Ok(addresses) => {
                let first = self.known.is_empty();
                for address in addresses {
                    if self.known.insert(address, now).is_none() && (!first || self.failed) {
                        info!(
                            "the API server {host} has the new address {address}; it is protected from Services"
                        );
                    }
                }
                self.known.retain(|address, seen| {
                    let stays = now.duration_since(*seen) < KEPT;
                    if !stays {
                        info!(
                            "the API server {host} no longer has the address {address}; it is not protected any more"
                        );
                    }
                    stays
                });
                self.failed = false;
                return;
            }
            Err(problem) => problem,
        };
        if std::mem::replace(&mut self.failed, true) {
            return;
        }
        if self.known.is_empty() {
            warn!(
                "failed to resolve the API server {host}: {problem}; its addresses are not protected from Services: \
                 list its network in protectedCIDRs"
            );
        } else {
            warn!(
                "failed to resolve the API server {host} again: {problem}; its known addresses stay protected"
            );
        }
    }
}

/// Resolves `host` on a separate thread.
pub(in super::super) async fn resolve(host: ServerHost) -> Result<Vec<SocketAddr>, String> {
    match timeout(RESOLVE_TIMEOUT, spawn_blocking(move || host.addresses())).await {
        Ok(Ok(Ok(addresses))) => Ok(addresses),
        Ok(Ok(Err(error))) => Err(error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", RESOLVE_TIMEOUT.as_secs())),
    }
}
