//! Protects the API server's addresses: no Service may use them (deviation D22).

mod names;
#[cfg(test)]
mod tests;

use std::path::Path;

use kernel::{Kernel, ObserveError, OpStatus, apply_plan};
use model::{NodeConfig, Scope, chain};
use planner::Ownership;
use sources::SourceConfig;
use sources::kube::ServerHost;
use tracing::{error, info, warn};

pub(super) use self::names::{Names, resolve};

/// Returns the API servers to protect:
///
/// - the server of `source`; if the source is files, the server in `kubeconfig`
/// - the server that the environment of a pod names
///
/// An unknown server is logged. It is not protected.
pub(super) fn hosts(source: &SourceConfig, kubeconfig: Option<&Path>) -> Vec<ServerHost> {
    let asked = match source {
        SourceConfig::Kube { connection, .. } => ServerHost::of_url(&connection.server),
        SourceConfig::Files { .. } => kubeconfig.and_then(of_kubeconfig),
    };
    asked.into_iter().chain(ServerHost::of_pod()).collect()
}

fn of_kubeconfig(path: &Path) -> Option<ServerHost> {
    let read = ServerHost::of_kubeconfig(path);
    let problem = match read {
        Ok(Some(host)) => return Some(host),
        Ok(None) => "its current context names no server".to_owned(),
        Err(error) => chain(&error),
    };
    warn!(
        "{}: {problem}; the API server's address is not protected from Services: list its network in protectedCIDRs",
        path.display()
    );
    None
}

/// Deletes addresses of the API server from the dummy device, where an older version bound them for
/// a Service. This runs before the first list: as long as they are bound, the node cannot reach the
/// API server and receives no list.
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
    apply_plan(kernel, &plan, |planned, status| match status {
        OpStatus::Done => info!(
            "{}: the address belongs to the API server, which the node could not reach",
            planned.op
        ),
        OpStatus::Failed(problem) => error!("{}", chain(&problem)),
        OpStatus::Skipped => error!(
            "skipped, since an operation before it failed: {}",
            planned.op
        ),
    });
    if plan.withheld > 0 {
        error!(
            "another program changed the IPVS table during the reading: the API server's addresses stay on kube-ipvs0; \
             restart kube-ipvsd"
        );
    }
    Ok(())
}
