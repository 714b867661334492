//! The version of Kubernetes of the cluster: alerts compare it among the components.

use std::sync::Arc;
use std::time::Duration;

use sources::kube::Connection;
use tracing::debug;

use crate::metrics::Metrics;

/// A cluster is upgraded now and then.
const KNOWN: Duration = Duration::from_secs(3600);
const UNKNOWN: Duration = Duration::from_secs(30);

/// Asks the API server for its version, for as long as the daemon runs. Whoever is authenticated may ask (ClusterRole
/// `system:public-info-viewer`).
pub(super) async fn follow(connection: Connection, metrics: Arc<Metrics>) {
    loop {
        let answer = connection.client.apiserver_version().await;
        let pause = match answer {
            Ok(version) => {
                metrics.stands_for(&version.major, &version.minor, &version.git_version);
                KNOWN
            }
            Err(error) => {
                debug!(%error, "the API server does not say its version");
                UNKNOWN
            }
        };
        tokio::time::sleep(pause).await;
    }
}
