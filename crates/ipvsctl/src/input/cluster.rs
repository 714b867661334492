//! Reads the cluster from files or from an API server.

use std::path::{Path, PathBuf};

use model::{ClusterEvent, ClusterState, Name, Object};
use sources::files::{self, FileErrorKind};
use sources::kube::{self, ConnectError, Connection, KubeSettings};
use sources::{PodAddresses, SourceProblem};

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
    /// Addresses of pods, if they were asked for.
    pub pods: PodAddresses,
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
/// readable objects. With `strict`, warnings are mistakes. With `pods`, a namespace, it collects the
/// addresses of pods: those of all namespaces.
#[must_use]
pub fn from_files(paths: &[PathBuf], strict: bool, pods: Option<&Name>) -> Cluster {
    let mut found = match pods {
        Some(_) => files::read_with_pods(paths),
        None => files::read(paths),
    };
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
        let paths: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        style::warning(&format!(
            "{}: no Services or VirtualServers found",
            paths.join(", ")
        ));
    }
    Cluster {
        pods: std::mem::take(&mut found.pods),
        state: state_of(found.into_events()),
        whole,
    }
}

/// Reads the files of `source`, or all lists of its cluster, and the addresses of the pods in the
/// namespace `pods`.
///
/// # Errors
///
/// The connection to the cluster cannot be set up, or a list fails.
pub fn from_source(source: &Source, node: &Node, pods: Option<&Name>) -> Result<Cluster, Error> {
    let Source {
        paths,
        strict,
        kubeconfig,
        context,
    } = source;
    if !paths.is_empty() {
        return from_files(paths, *strict, pods).unless_unread();
    }
    let kubeconfig = (kubeconfig.as_deref()).or(node.config.kubeconfig.as_deref());
    from_api_server(kubeconfig, context.as_deref(), node, pods)
}

fn from_api_server(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
    node: &Node,
    pods: Option<&Name>,
) -> Result<Cluster, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    runtime.block_on(async {
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
        list(&connection, &settings, pods)
            .await
            .map_err(Error::Source)
    })
}

/// Reads all lists of a cluster, and the addresses of the pods in the namespace `pods`.
///
/// # Errors
///
/// A list fails.
pub(super) async fn list(
    connection: &Connection,
    settings: &KubeSettings,
    pods: Option<&Name>,
) -> Result<Cluster, SourceProblem> {
    let events = kube::list_once(connection, settings).await?;
    Ok(Cluster {
        state: state_of(events),
        whole: true,
        pods: match pods {
            Some(namespace) => kube::list_pods(connection, settings, namespace).await?,
            None => PodAddresses::default(),
        },
    })
}

fn state_of(events: Vec<ClusterEvent>) -> ClusterState {
    let mut state = ClusterState::default();
    for event in events {
        state.absorb(event);
    }
    state
}
