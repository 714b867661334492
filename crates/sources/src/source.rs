//! One way to run either source.

use std::path::PathBuf;

use crate::kube::{self, Connection, KubeSettings};
use crate::sink::EventSink;
use crate::watch_files;

/// Where the cluster's objects come from.
#[derive(Clone)]
pub enum SourceConfig {
    /// Manifests, see [`crate::files`].
    Files {
        /// Files and directories, or `-` for standard input.
        paths: Vec<PathBuf>,
        /// True to read them again whenever they change.
        watch: bool,
    },
    /// An API server, see [`crate::kube`].
    Kube {
        /// The connection to it.
        connection: Connection,
        /// The settings of its requests.
        settings: Box<KubeSettings>,
    },
}

impl SourceConfig {
    /// The names of the sources, for [`EventSink::new`].
    #[must_use]
    pub fn names(&self) -> &'static [&'static str] {
        match self {
            Self::Files { .. } => &[watch_files::SOURCE],
            Self::Kube { .. } => &kube::SOURCES,
        }
    }
}

/// Delivers the events of `source` into `sink` until the receiver is gone; needs a tokio runtime with IO and
/// time. Without `watch`, files are read once and the function returns, which does not mean that the cluster
/// is empty now.
///
/// Only the receiver ends it: problems are sent as [`SourceEvent::Trouble`](crate::SourceEvent::Trouble).
pub async fn run(source: SourceConfig, sink: EventSink) {
    match source {
        SourceConfig::Files { paths, watch: true } => watch_files::run(paths, sink).await,
        SourceConfig::Files {
            paths,
            watch: false,
        } => watch_files::run_once(paths, sink).await,
        SourceConfig::Kube {
            connection,
            settings,
        } => kube::run(connection, *settings, sink).await,
    }
}
