//! Reads the cluster from files or from an API server.

use std::path::{Path, PathBuf};
use std::time::Instant;

use model::{ClusterEvent, ClusterState, Object};
use sources::files::{self, FileErrorKind};
use sources::kube::{self, ConnectError, KubeSettings};

use crate::cli::Source;
use crate::error::Error;
use crate::style;

use super::node::Node;

/// Objects of a cluster.
#[derive(Debug)]
pub struct Cluster {
    /// Objects that could be read.
    pub state: ClusterState,
    /// True if all of the input was read.
    pub whole: bool,
}

impl Cluster {
    /// Returns the cluster, unless the input has mistakes and nothing that is served could be read.
    ///
    /// # Errors
    ///
    /// [`Error::NothingRead`].
    pub fn unless_unread(self) -> Result<Self, Error> {
        let state = &self.state;
        let is_empty =
            state.service_names().next().is_none() && state.virtual_servers().next().is_none();
        match is_empty && !self.whole {
            true => Err(Error::NothingRead),
            false => Ok(self),
        }
    }
}

/// Reads files, directories and standard input. Reports mistakes on standard error and returns the
/// readable objects. With `strict`, warnings are mistakes.
#[must_use]
pub fn from_files(paths: &[PathBuf], strict: bool) -> Cluster {
    let start = Instant::now();
    let found = files::read(paths);
    tracing::debug!("read the files in {:?}", start.elapsed());
    tracing::info!("{} objects in {}", found.objects.len(), names(paths));
    let mut whole = !found.incomplete;
    for error in &found.errors {
        if matches!(error.kind, FileErrorKind::Twice { .. }) {
            style::warning(&error.to_string());
        } else {
            whole = false;
            style::error(&error.to_string());
        }
    }
    for warning in &found.warnings {
        if strict {
            whole = false;
            style::error(&warning.to_string());
        } else {
            style::warning(&warning.to_string());
        }
    }
    for (kind, count) in &found.other_kinds {
        tracing::info!("skipped {count} objects of kind {kind}, which kube-ipvs does not use");
    }
    let is_served =
        |object: &Object| matches!(object, Object::Service(_) | Object::VirtualServer(_));
    if !found.objects.iter().any(is_served) && whole {
        style::warning(&format!(
            "{}: no Services or VirtualServers found",
            names(paths)
        ));
    }
    Cluster {
        state: state_of(found.into_events()),
        whole,
    }
}

fn names(paths: &[PathBuf]) -> String {
    let names: Vec<String> = (paths.iter())
        .map(|path| path.display().to_string())
        .collect();
    names.join(", ")
}

/// Reads the files of `source`, or all lists of its cluster.
///
/// # Errors
///
/// The connection to the cluster cannot be set up, or a list fails.
pub fn from_source(source: &Source, node: &Node) -> Result<Cluster, Error> {
    let Source {
        paths,
        strict,
        kubeconfig,
        context,
    } = source;
    if !paths.is_empty() {
        return from_files(paths, *strict).unless_unread();
    }
    let kubeconfig = (kubeconfig.as_deref()).or(node.config.kubeconfig.as_deref());
    from_api_server(kubeconfig, context.as_deref(), node)
}

fn from_api_server(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
    node: &Node,
) -> Result<Cluster, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let events = runtime.block_on(async {
        let connection = kube::connect(kubeconfig, context)
            .await
            .map_err(|error| match error {
                ConnectError::NotConfigured { .. } => Error::NoCluster(error),
                error => Error::Connect(error),
            })?;
        tracing::info!("the cluster is {}", connection.server);
        let settings = KubeSettings {
            nodes: node.config.settings.watched_nodes,
            ..KubeSettings::new(node.config.node.node_name.clone())
        };
        kube::list_once(&connection, &settings)
            .await
            .map_err(Error::Source)
    })?;
    Ok(Cluster {
        state: state_of(events),
        whole: true,
    })
}

pub(super) fn state_of(events: Vec<ClusterEvent>) -> ClusterState {
    let mut state = ClusterState::default();
    for event in events {
        state.absorb(event);
    }
    state
}
