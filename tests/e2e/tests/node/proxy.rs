//! Programs that write the node's tables: the daemon in one of its forms, or the operator's own tools.

use std::path::Path;
use std::time::Duration;

use e2e::{ApiServer, Failure, Outcome, Process, Rendered, World};

/// Time limit of the first synchronisation.
const FIRST: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proxy {
    /// Output of `ipvsctl render`, loaded by tools.
    Loaded,
    /// `kube-ipvsd`.
    Daemon,
}

/// From where the daemon has its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Files.
    Files,
    /// An API server.
    Server,
}

/// Files that say what the node is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) objects: &'a Path,
    pub(crate) config: &'a Path,
    /// The node as [`Proxy::Loaded`] takes it to be.
    pub(crate) node_state: &'a Path,
}

/// The processes that keep the node as it is to be, until this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    _daemon: Option<Process>,
    _server: Option<ApiServer>,
}

impl Proxy {
    /// The one that `E2E_PROXY` names; the daemon, if it names none.
    pub(crate) fn chosen() -> Outcome<Self> {
        match std::env::var("E2E_PROXY").as_deref() {
            Ok("loaded") => Ok(Self::Loaded),
            Ok("daemon" | "") | Err(_) => Ok(Self::Daemon),
            Ok(other) => Err(Failure::new(format!("E2E_PROXY={other} is no proxy"))),
        }
    }

    /// Brings the node to what is wanted; it is by the end.
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
    Ok(Running {
        _daemon: Some(daemon),
        _server: server,
    })
}

/// Waits until the daemon has synchronised all for the first time.
pub(crate) fn has_synced(daemon: &Process) -> Outcome {
    daemon.wait_for_log(FIRST, &["synced. "]).map(drop)
}
