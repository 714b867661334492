//! Finds the running kube-ipvsd, and reads its configuration and its objects as it does.
//!
//! Its command line, its files and its environment are those of its process, which may run in a
//! container. Everything is read through `/proc`; nothing is asked of the process.

mod command_line;
mod process;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Name;
use planner::EndpointStates;
use sources::config::{self, NodeOverrides, Resolved};
use sources::kube::{self, ConnectError, Connection, KubeSettings, ServerHost};
use sources::objects::LabelKeys;
use sources::{ConfigErrors, Environment, SourceProblem, node_state};

use self::command_line::CommandLine;
pub use self::process::{Manager, ProcessFacts, State};
use super::cluster::{self, Cluster, from_files};
use super::node::Node;
use crate::cli::NodeArgs;
use crate::error::Error;

/// Where the kernel shows the processes.
pub const PROC: &str = "/proc";

/// Maximum time for the connection to the API server and all lists.
const DEADLINE: Duration = Duration::from_secs(15);

/// Maximum length of a configuration file.
const CONFIG_LENGTH: u64 = 16 << 20;

/// Reason why the input of the running kube-ipvsd cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RunningError {
    /// The command line cannot be parsed.
    #[error(
        "the command line of kube-ipvsd (process {0}) has flags that this version of ipvsctl does not know"
    )]
    CommandLine(u32),
    /// A file cannot be read.
    #[error("failed to read {} of kube-ipvsd (process {pid})", path.display())]
    File {
        /// Process id.
        pid: u32,
        /// Path of the file in the process's file system.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The configuration file has mistakes, which kube-ipvsd would refuse too.
    #[error("failed to read the configuration of kube-ipvsd (process {pid})")]
    Config {
        /// Process id.
        pid: u32,
        /// All mistakes.
        source: ConfigErrors,
    },
    /// The objects came from standard input, which cannot be read again.
    #[error("kube-ipvsd (process {0}) read its objects from standard input")]
    StandardInput(u32),
    /// The connection to the API server cannot be set up.
    #[error("failed to use the connection of kube-ipvsd to the API server")]
    Connect(#[source] ConnectError),
    /// The API server refuses a list, or cannot be reached.
    #[error(transparent)]
    Source(SourceProblem),
    /// The API server does not answer in time.
    #[error("the API server {server} did not deliver all lists within {} s", DEADLINE.as_secs())]
    Late {
        /// URL of the server.
        server: String,
    },
    /// The network runtime did not start.
    #[error("failed to start the network runtime")]
    Runtime(#[source] std::io::Error),
}

/// A running kube-ipvsd with its command line.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// The process.
    pub process: ProcessFacts,
    /// `None` if this version does not understand it.
    command: Option<CommandLine>,
    environment: Environment,
}

/// Service proxies among the processes of this network namespace.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Every kube-ipvsd that keeps the tables. One-shot runs such as `--cleanup` are left out.
    pub daemons: Vec<Daemon>,
    /// Every kube-proxy.
    pub kube_proxies: Vec<ProcessFacts>,
}

/// Returns the service proxies among the processes that `proc` shows: those of root or of this user
/// in this network namespace. Processes of another PID namespace are not visible.
#[must_use]
pub fn find(proc: &Path) -> Proxies {
    let mut found = Proxies::default();
    for process in process::all(proc) {
        match &*process.name {
            process::KUBE_PROXY => found.kube_proxies.push(process),
            _ => found.daemons.extend(Daemon::of(proc, process)),
        }
    }
    found
}

impl Daemon {
    /// Returns `None` for a process that has ended or does not keep the tables.
    fn of(proc: &Path, process: ProcessFacts) -> Option<Self> {
        let command = CommandLine::parse(process::arguments(proc, process.pid)?);
        let keeps = !command.as_ref().is_some_and(CommandLine::is_one_shot);
        keeps.then(|| Self {
            environment: process::environment(proc, process.pid),
            process,
            command,
        })
    }

    /// Returns the path by which this process reaches the configuration file; `None` if the process
    /// has none.
    #[must_use]
    pub fn config_file(&self) -> Option<PathBuf> {
        let path = self.command.as_ref()?.config.as_deref()?;
        self.path(path).ok()
    }

    fn command(&self) -> Result<&CommandLine, RunningError> {
        let unknown = RunningError::CommandLine(self.process.pid);
        self.command.as_ref().ok_or(unknown)
    }

    /// Returns the node with the configuration of the process. `args` win over it.
    ///
    /// # Errors
    ///
    /// A file cannot be read or has mistakes.
    pub fn node(&self, args: &NodeArgs) -> Result<Node, Error> {
        let state = args.node_state.as_deref().map(node_state::read);
        let state = state.transpose().map_err(Error::NodeState)?;
        let command = self.command().map_err(Error::Running)?;
        let overrides = self.overrides(command, args);
        let config = match (&args.config, &command.config) {
            (Some(path), _) => {
                let hostname = node_state::hostname();
                config::load(Some(path), &overrides, &hostname).map_err(Error::Config)?
            }
            (None, path) => self
                .config(path.as_deref(), &overrides)
                .map_err(Error::Running)?,
        };
        Ok(Node {
            config,
            state: state.map(|state| state.state),
            endpoints: EndpointStates::default(),
        })
    }

    fn overrides(&self, command: &CommandLine, args: &NodeArgs) -> NodeOverrides {
        let named = args.node.clone().or_else(|| command.node_name.clone());
        NodeOverrides {
            node_name: named.or_else(|| self.environment.variable("NODE_NAME")),
            kubeconfig: command.kubeconfig.clone(),
            flags: command.flags.clone(),
            strict: match args.config {
                Some(_) => args.strict_config,
                None => command.strict_config,
            },
        }
    }

    fn config(
        &self,
        path: Option<&Path>,
        overrides: &NodeOverrides,
    ) -> Result<Resolved, RunningError> {
        let pid = self.process.pid;
        let hostname = node_state::hostname();
        let resolved = match path {
            None => config::load(None, overrides, &hostname),
            Some(path) => {
                let found = self.path(path)?;
                let read = process::read_file(&found, CONFIG_LENGTH);
                let text = read.map_err(|source| self.unreadable(path, source))?;
                config::parse(&path.display().to_string(), &text)
                    .and_then(|document| document.resolve(overrides, &hostname))
            }
        };
        resolved.map_err(|source| RunningError::Config { pid, source })
    }

    fn path(&self, path: &Path) -> Result<PathBuf, RunningError> {
        let found = self.environment.path(path);
        found.map_err(|source| self.unreadable(path, source))
    }

    fn unreadable(&self, path: &Path, source: std::io::Error) -> RunningError {
        RunningError::File {
            pid: self.process.pid,
            path: path.to_owned(),
            source,
        }
    }

    /// Reads the objects from where the process has them, its manifests or its API server, and the
    /// addresses of the pods in the namespace `pods`. Stores the addresses of the API server in
    /// `node`.
    ///
    /// # Errors
    ///
    /// The files or the API server cannot be read, or the answer takes too long.
    pub fn cluster(&self, node: &mut Node, pods: Option<&Name>) -> Result<Cluster, RunningError> {
        let manifests = &self.command()?.manifests;
        if manifests.is_empty() {
            return self.of_api_server(node, pods);
        }
        let mut paths = Vec::new();
        for path in manifests {
            if path == Path::new("-") {
                return Err(RunningError::StandardInput(self.process.pid));
            }
            paths.push(self.path(path)?);
        }
        Ok(from_files(&paths, false, pods))
    }

    fn of_api_server(&self, node: &mut Node, pods: Option<&Name>) -> Result<Cluster, RunningError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(RunningError::Runtime)?;
        let settings = KubeSettings {
            nodes: node.config.settings.watched_nodes,
            labels: LabelKeys::fixed(node.config.node.label_keys()),
            ..KubeSettings::new(node.config.node.node_name.clone())
        };
        let kubeconfig = node.config.kubeconfig.clone();
        let listed = runtime.block_on(async {
            let connection = kube::connect_in(&self.environment, kubeconfig.as_deref(), None)
                .map_err(RunningError::Connect)?;
            let all = async {
                let addresses = addresses(&connection).await;
                let cluster = cluster::list(&connection, &settings, pods).await;
                cluster.map(|cluster| (addresses, cluster))
            };
            match tokio::time::timeout(DEADLINE, all).await {
                Ok(listed) => listed.map_err(RunningError::Source),
                Err(_) => Err(RunningError::Late {
                    server: connection.server,
                }),
            }
        });
        // The resolution of a name may still block a thread.
        runtime.shutdown_background();
        let (addresses, cluster) = listed?;
        node.config.node.api_server = addresses.into_iter().collect();
        Ok(cluster)
    }
}

/// Returns the addresses of the server; none if its name cannot be resolved, which the lists report.
async fn addresses(connection: &Connection) -> Vec<std::net::SocketAddr> {
    let Some(host) = ServerHost::of_url(&connection.server) else {
        return Vec::new();
    };
    let found = tokio::net::lookup_host(host.to_string()).await;
    found.map(Iterator::collect).unwrap_or_default()
}
