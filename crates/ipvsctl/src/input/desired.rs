//! Origin of the desired tables of a node: the command line, or the running kube-ipvsd.

#[cfg(test)]
mod tests;

use std::path::Path;

use model::{Name, ObjectName};

use super::cluster::{self, Cluster};
use super::node::{self, Fallback, Node};
use super::running::{self, Daemon};
use crate::cli::{NodeArgs, Source};
use crate::error::Error;

/// Origin of the objects and of the configuration.
#[derive(Debug)]
pub struct Origin<'a> {
    source: &'a Source,
    args: &'a NodeArgs,
    daemon: Option<Daemon>,
    /// Namespace whose pods' addresses are read.
    pods: Option<Name>,
}

impl<'a> Origin<'a> {
    /// Returns the origin for a command on a node whose kernel is read. Files and kubeconfig of the
    /// command line win; without them the input is that of the kube-ipvsd among the processes of
    /// `proc`; without one it is the cluster of the environment.
    #[must_use]
    pub fn find(source: &'a Source, args: &'a NodeArgs, proc: &Path) -> Self {
        let mut daemons = match is_given(source) {
            true => Vec::new(),
            false => running::find(proc).daemons,
        };
        Self {
            source,
            args,
            daemon: (daemons.len() == 1).then(|| daemons.remove(0)),
            pods: None,
        }
    }

    /// Returns the origin that the command line names.
    #[must_use]
    pub fn of_arguments(source: &'a Source, args: &'a NodeArgs) -> Self {
        Self {
            source,
            args,
            daemon: None,
            pods: None,
        }
    }

    /// Returns the origin with the addresses of the pods in the namespace of `pod`.
    #[must_use]
    pub fn with_pods_near(self, pod: Option<&ObjectName>) -> Self {
        Self {
            pods: pod.map(|pod| pod.namespace.clone()),
            ..self
        }
    }

    /// Reads the node and its configuration.
    ///
    /// # Errors
    ///
    /// A file cannot be read or has mistakes.
    pub fn node(&self) -> Result<Node, Error> {
        match &self.daemon {
            Some(daemon) => daemon.node(self.args),
            None => node::read(self.args, Fallback::Host),
        }
    }

    /// Reads the objects for `node`.
    ///
    /// # Errors
    ///
    /// The connection to the cluster cannot be set up, a list fails, or kube-ipvsd's input cannot be
    /// read.
    pub fn cluster(&self, node: &mut Node) -> Result<Cluster, Error> {
        match &self.daemon {
            Some(daemon) if !names_cluster(self.args, node) => {
                let pid = daemon.process.pid;
                tracing::info!("the objects are those of kube-ipvsd, process {pid}");
                daemon
                    .cluster(node, self.pods.as_ref())
                    .map_err(Error::Running)
            }
            _ => cluster::from_source(self.source, node, self.pods.as_ref()),
        }
    }
}

fn is_given(source: &Source) -> bool {
    !source.paths.is_empty() || source.kubeconfig.is_some() || source.context.is_some()
}

/// Returns true if the file of `--config` names the cluster.
fn names_cluster(args: &NodeArgs, node: &Node) -> bool {
    args.config.is_some() && node.config.kubeconfig.is_some()
}
