//! The cluster's Kubernetes version, for the metric that alerts compare between components.

use std::sync::Arc;
use std::time::Duration;

use sources::kube::Connection;
use tracing::debug;

use crate::metrics::Metrics;

/// Time between two requests while the version is known. Upgrades are rare.
const KNOWN: Duration = Duration::from_secs(3600);
/// Time between two requests while the version is unknown.
const UNKNOWN: Duration = Duration::from_secs(30);

/// Requests the API server's version as long as the daemon runs. Every authenticated client may do
/// so (ClusterRole `system:public-info-viewer`).
pub(super) async fn follow(connection: Connection, metrics: Arc<Metrics>) {
    loop {
        let answer = connection.client.apiserver_version().await;
        let pause = match answer {
            Ok(version) => {
                metrics.set_kubernetes_version(
                    &version.major,
                    &version.minor,
                    &version.git_version,
                );
                KNOWN
            }
            Err(error) => {
                debug!(%error, "failed to get the version of the API server; trying again");
                UNKNOWN
            }
        };
        tokio::time::sleep(pause).await;
    }
}
