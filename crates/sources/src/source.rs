//! One interface to both sources.

use std::path::PathBuf;

use crate::kube::{self, Connection, KubeSettings};
use crate::sink::EventSink;
use crate::watch_files;

/// Source of the cluster's objects.
#[derive(Clone)]
pub enum SourceConfig {
    /// Manifests, see [`crate::files`].
    Files {
        /// Files and directories, or `-` for standard input.
        paths: Vec<PathBuf>,
        /// True to watch the files for changes.
        watch: bool,
    },
    /// An API server, see [`crate::kube`].
    Kube {
        /// Connection to the server.
        connection: Connection,
        /// Settings of the requests.
        settings: Box<KubeSettings>,
    },
}

impl SourceConfig {
    /// Returns the names of the sources, for [`EventSink::new`].
    #[must_use]
    pub fn names(&self) -> &'static [&'static str] {
        match self {
            Self::Files { .. } => &[watch_files::SOURCE],
            Self::Kube { .. } => &kube::SOURCES,
        }
    }
}

/// Sends the events of `source` to `sink` until the receiver is dropped. Without `watch`, files are
/// read once and the function returns. Needs a tokio runtime with IO and time.
///
/// Problems do not end it; they are sent as [`SourceEvent::Trouble`](crate::SourceEvent::Trouble).
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
