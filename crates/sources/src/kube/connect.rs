//! The connection to the API server.

mod http_proxy;
mod in_cluster;
mod kubeconfig;

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use model::SafeText;

use crate::environment::Environment;

pub(super) use self::kubeconfig::selected;
use super::requests::RequestStats;

/// A client and its server.
#[derive(Clone)]
pub struct Connection {
    /// Client that requests JSON and does not retry.
    pub client: Client,
    /// URL of the server, for messages.
    pub server: String,
    /// Counts of the client's requests.
    pub requests: RequestStats,
}

/// Origin of a connection's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigOrigin {
    /// The given kubeconfig.
    Asked(PathBuf),
    /// The environment variable KUBECONFIG, with its value.
    Environment(PathBuf),
    /// The environment and the service account of a pod.
    InCluster,
    /// `.kube/config` in the home directory.
    Home(PathBuf),
    /// A URL without further configuration.
    Url,
}

impl std::fmt::Display for ConfigOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Asked(path) => write!(f, "the kubeconfig {}", path.display()),
            Self::Environment(path) => {
                write!(f, "the kubeconfig {} (from KUBECONFIG)", path.display())
            }
            Self::InCluster => f.write_str("the pod's service account"),
            Self::Home(path) => write!(f, "the kubeconfig {}", path.display()),
            Self::Url => f.write_str("its URL"),
        }
    }
}

/// Reason why no client could be created.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No API server is configured.
    #[error(
        "no API server is configured: no kubeconfig was given, KUBECONFIG is not set, this is not a pod \
         (KUBERNETES_SERVICE_HOST is not set), and {} does not exist",
        home.display()
    )]
    NotConfigured {
        /// Default path of the kubeconfig.
        home: PathBuf,
    },
    /// A kubeconfig cannot be used.
    #[error("failed to use {origin}")]
    Kubeconfig {
        /// Origin of the kubeconfig.
        origin: ConfigOrigin,
        /// Reason of the failure.
        #[source]
        cause: Box<KubeconfigError>,
    },
    /// The URL of the proxy for the server is invalid.
    #[error(
        "failed to use the proxy `{proxy}` for {server}: check HTTPS_PROXY, or proxy-url of the kubeconfig"
    )]
    Proxy {
        /// URL of the server.
        server: String,
        /// URL of the proxy.
        proxy: SafeText,
        /// Reason of the failure.
        #[source]
        cause: http::uri::InvalidUri,
    },
    /// The service account of the pod cannot be used.
    #[error("failed to use {}", ConfigOrigin::InCluster)]
    InCluster(#[source] Box<kube::config::InClusterError>),
    /// A file of the pod's service account cannot be read.
    #[error("failed to read {} of {}", path.display(), ConfigOrigin::InCluster)]
    ServiceAccount {
        /// Path of the file in the pod.
        path: PathBuf,
        /// Reason of the failure.
        #[source]
        cause: std::io::Error,
    },
    /// The kubeconfig of another process runs a program of that process's file system.
    #[error(
        "{origin} runs a program for its credentials, which this process cannot run: give a kubeconfig by --kubeconfig"
    )]
    Program {
        /// Origin of the kubeconfig.
        origin: ConfigOrigin,
    },
    /// The credentials or certificates cannot be used.
    #[error("failed to prepare the connection to {server} by {origin}")]
    Client {
        /// URL of the server.
        server: String,
        /// Origin of the configuration.
        origin: ConfigOrigin,
        /// Reason of the failure.
        #[source]
        cause: Box<kube::Error>,
    },
}

/// Creates a client without sending a request. The configuration is the first of:
///
/// 1. `kubeconfig`
/// 2. the files in the environment variable KUBECONFIG
/// 3. in a pod, its service account
/// 4. `~/.kube/config`
///
/// `context` replaces the current context of a kubeconfig. Call it inside a tokio runtime.
///
/// # Errors
///
/// No server is configured, or the first configuration found cannot be used.
pub async fn connect(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<Connection, ConnectError> {
    connect_in(&Environment::own(), kubeconfig, context)
}

/// Same as [`connect`] with the variables and files of `environment`. Call it inside a tokio
/// runtime.
///
/// # Errors
///
/// As [`connect`], or the kubeconfig runs a program and has files of another root.
pub fn connect_in(
    environment: &Environment,
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<Connection, ConnectError> {
    let (origin, paths) = if let Some(path) = kubeconfig {
        (ConfigOrigin::Asked(path.to_owned()), vec![path.to_owned()])
    } else if let Some(paths) = environment.variable("KUBECONFIG") {
        let files = std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty());
        let files = files.collect();
        (ConfigOrigin::Environment(paths.into()), files)
    } else if environment.variable("KUBERNETES_SERVICE_HOST").is_some() {
        let config = in_cluster::config(environment)?;
        return prepare(ConfigOrigin::InCluster, config, environment);
    } else {
        let home = environment.home().join(".kube/config");
        if !environment.path(&home).is_ok_and(|path| path.exists()) {
            return Err(ConnectError::NotConfigured { home });
        }
        (ConfigOrigin::Home(home.clone()), vec![home])
    };
    let read = kubeconfig::read(environment, &paths);
    let config = from_kubeconfig(environment, &origin, read, context)?;
    prepare(origin, config, environment)
}

impl Connection {
    /// Returns a connection to `server` without credentials, for `kubectl proxy` and tests. Call it
    /// inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// The client cannot be built.
    pub fn without_credentials(server: http::Uri) -> Result<Self, ConnectError> {
        prepare(ConfigOrigin::Url, Config::new(server), &Environment::own())
    }
}

fn from_kubeconfig(
    environment: &Environment,
    origin: &ConfigOrigin,
    read: Result<Kubeconfig, KubeconfigError>,
    context: Option<&str>,
) -> Result<Config, ConnectError> {
    let refused = |cause| ConnectError::Kubeconfig {
        origin: origin.clone(),
        cause: Box::new(cause),
    };
    let kubeconfig = read.map_err(refused)?;
    let (_, cluster) = selected(&kubeconfig, context).map_err(refused)?;
    let mut config = kubeconfig::config(&kubeconfig, context).map_err(refused)?;
    if config.auth_info.exec.is_some() && !environment.has_own_files() {
        return Err(ConnectError::Program {
            origin: origin.clone(),
        });
    }
    let proxy = cluster.proxy_url.clone();
    if let Some(proxy) = proxy.filter(|proxy| !proxy.is_empty()) {
        use_proxy(&mut config, proxy)?;
    }
    Ok(config)
}

fn use_proxy(config: &mut Config, proxy: String) -> Result<(), ConnectError> {
    let url = proxy.parse();
    config.proxy_url = Some(url.map_err(|cause| ConnectError::Proxy {
        server: config.cluster_url.to_string(),
        proxy: proxy.into(),
        cause,
    })?);
    Ok(())
}

fn prepare(
    origin: ConfigOrigin,
    mut config: Config,
    environment: &Environment,
) -> Result<Connection, ConnectError> {
    // The sources implement retries and timeouts themselves, and report them.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = None;
    if config.cluster_url.scheme_str() == Some("http") || config.accept_invalid_certs {
        // Without verification no certificates are needed. The default would load the host's
        // certificates, which may not exist.
        config.root_cert.get_or_insert_default();
    }
    if config.proxy_url.is_none()
        && let Some(proxy) =
            http_proxy::of_environment(&config.cluster_url, |name| environment.variable(name))
    {
        use_proxy(&mut config, proxy)?;
    }
    let requests = RequestStats::new(&config.cluster_url);
    let server = config.cluster_url.to_string();
    let server = server.trim_end_matches('/').to_owned();
    match Client::try_from(config) {
        Ok(client) => Ok(Connection {
            client: requests.watch(client),
            server,
            requests,
        }),
        Err(cause) => Err(ConnectError::Client {
            server,
            origin,
            cause: Box::new(cause),
        }),
    }
}

#[cfg(test)]
mod tests;
