//! Programs that write the node's tables: the daemon, or command line tools.

use std::path::Path;
use std::time::Duration;

use e2e::{ApiServer, Failure, Outcome, Process, Rendered, World};

/// Time limit of the first synchronisation.
const FIRST: Duration = Duration::from_secs(30);

/// A program that writes the node's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proxy {
    /// Tools that load the output of `ipvsctl render`.
    Loaded,
    /// `kube-ipvsd`.
    Daemon,
}

/// The source of the daemon's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Manifest files.
    Files,
    /// An API server.
    Server,
}

/// Files that define the state of the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) objects: &'a Path,
    pub(crate) config: &'a Path,
    /// The state of the node that [`Proxy::Loaded`] assumes.
    pub(crate) node_state: &'a Path,
}

/// The processes that maintain the state of the node. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    _daemon: Option<Process>,
    _server: Option<ApiServer>,
}

impl Proxy {
    /// Returns the program that `E2E_PROXY` selects; by default the daemon.
    pub(crate) fn chosen() -> Outcome<Self> {
        match std::env::var("E2E_PROXY").as_deref() {
            Ok("loaded") => Ok(Self::Loaded),
            Ok("daemon" | "") | Err(_) => Ok(Self::Daemon),
            Ok(other) => Err(Failure::new(format!(
                "invalid value {other:?} of E2E_PROXY: use \"daemon\" or \"loaded\""
            ))),
        }
    }

    /// Brings the node into the wanted state. Returns when it has that state.
    pub(crate) fn run(self, world: &World, wanted: Wanted<'_>, source: Source) -> Outcome<Running> {
        match self {
            Self::Loaded => {
                let Wanted {
                    objects,
                    config,
                    node_state,
                } = wanted;
                Rendered::of(world, objects, node_state, config)?.load(world)?;
                Ok(Running {
                    _daemon: None,
                    _server: None,
                })
            }
            Self::Daemon => daemon(world, wanted, source),
        }
    }
}

fn daemon(world: &World, wanted: Wanted<'_>, source: Source) -> Outcome<Running> {
    let Wanted {
        objects, config, ..
    } = wanted;
    let server = match source {
        Source::Files => None,
        Source::Server => Some(ApiServer::start(world, &[objects])?),
    };
    let daemon = match &server {
        None => world.daemon(&[&"--manifests", &objects, &"--config", &config])?,
        Some(api) => world.daemon(&[&"--kubeconfig", &api.kubeconfig, &"--config", &config])?,
    };
    has_synced(&daemon)?;
    world.accepts_its_addresses()?;
    Ok(Running {
        _daemon: Some(daemon),
        _server: server,
    })
}

/// Waits until the daemon has synchronised for the first time.
pub(crate) fn has_synced(daemon: &Process) -> Outcome {
    daemon.wait_for_log(FIRST, &["synced: "]).map(drop)
}
