//! One way to run either source.

use std::path::PathBuf;

use tokio::sync::mpsc::Sender;

use crate::event::SourceEvent;
use crate::kube::{Connection, KubeSettings};

/// Where the cluster's objects come from.
#[derive(Clone)]
pub enum SourceConfig {
    /// Manifests, see [`crate::files`].
    Files {
        /// Files and directories, or `-` for standard input.
        paths: Vec<PathBuf>,
        /// Whether to read them again whenever they change.
        watch: bool,
    },
    /// An API server, see [`crate::kube`].
    Kube {
        /// How to reach it.
        connection: Connection,
        /// What to ask it for, and how patiently.
        settings: Box<KubeSettings>,
    },
}

/// Delivers what `source` says into `events` until the receiver is gone; needs a tokio runtime with
/// IO and time. Without `watch`, files are read once and the function returns, which does not mean
/// that the cluster is empty now.
///
/// Nothing ends it but the receiver: troubles are told as [`SourceEvent::Trouble`]. The channel may be
/// small; a slow receiver slows the source down and loses nothing.
pub async fn run(source: SourceConfig, events: Sender<SourceEvent>) {
    match source {
        SourceConfig::Files { paths, watch: true } => crate::watch_files::run(paths, events).await,
        SourceConfig::Files {
            paths,
            watch: false,
        } => crate::watch_files::run_once(paths, events).await,
        SourceConfig::Kube {
            connection,
            settings,
        } => {
            crate::kube::run(connection, *settings, events).await;
        }
    }
}
