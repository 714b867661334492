//! The API server's addresses, which no Service gets (deviation D22).

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use kernel::{Fate, Kernel, ObserveError, carry_out};
use model::{NodeConfig, Scope, chain};
use planner::Ownership;
use sources::SourceConfig;
use sources::kube::ServerHost;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{error, info, warn};

/// Longest time to wait for a name's addresses. It delays the start.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the addresses of the API server that `source` asks, or without one of the server in `kubeconfig`, and those that the
/// environment of a pod names. What is not known is logged: it is not protected then.
pub(super) async fn addresses(
    source: &SourceConfig,
    kubeconfig: Option<&Path>,
) -> BTreeSet<SocketAddr> {
    let asked = match source {
        SourceConfig::Kube { connection, .. } => ServerHost::of_url(&connection.server),
        SourceConfig::Files { .. } => kubeconfig.and_then(of_kubeconfig),
    };
    let mut addresses = BTreeSet::new();
    for host in asked.into_iter().chain(ServerHost::of_pod()) {
        addresses.extend(resolve(host).await);
    }
    addresses
}

fn of_kubeconfig(path: &Path) -> Option<ServerHost> {
    let read = ServerHost::of_kubeconfig(path);
    let problem = match read {
        Ok(Some(host)) => return Some(host),
        Ok(None) => "its current context names no server".to_owned(),
        Err(error) => chain(&error),
    };
    warn!(
        "{}: {problem}; Services may take the API server's address: name its network in protectedCIDRs",
        path.display()
    );
    None
}

async fn resolve(host: ServerHost) -> Vec<SocketAddr> {
    let name = host.to_string();
    let addresses = timeout(RESOLVE_TIMEOUT, spawn_blocking(move || host.addresses())).await;
    let problem = match addresses {
        Ok(Ok(Ok(addresses))) => return addresses,
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", RESOLVE_TIMEOUT.as_secs()),
    };
    warn!(
        "the API server {name} has no known address: {problem}; Services may take it: name its network in protectedCIDRs"
    );
    Vec::new()
}

/// Takes addresses of the API server off the dummy device, where an older version bound them for a Service. This comes before the first
/// list: as long as they are bound, the node cannot reach the API server, and no list comes.
///
/// # Errors
///
/// The kernel cannot be read.
pub(super) fn release(kernel: &mut dyn Kernel, config: &NodeConfig) -> Result<(), ObserveError> {
    if config.api_server.is_empty() {
        return Ok(());
    }
    let live = kernel.observe(&planner::captured_scope(config))?;
    if planner::captured(&live, config).is_empty() {
        return Ok(());
    }
    let live = kernel.observe(&Scope::EVERYTHING)?;
    let plan = planner::release(&live, &Ownership::new(config), config);
    carry_out(kernel, &plan, |planned, fate| match fate {
        Fate::Done => info!(
            "{}: it kept the node from the API server at its address",
            planned.op
        ),
        Fate::Failed(problem) => error!("{}", chain(&problem)),
        Fate::LeftOut => error!(
            "skipped, since an operation before it failed: {}",
            planned.op
        ),
    });
    if plan.withheld > 0 {
        error!(
            "another program changes the IPVS table: the API server's addresses stay on kube-ipvs0; restart kube-ipvsd"
        );
    }
    Ok(())
}
