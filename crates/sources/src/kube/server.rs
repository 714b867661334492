//! Host and port of the API server, from the configuration and the environment.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;

use http::Uri;
use kube::config::{Kubeconfig, KubeconfigError};

use super::connect;

/// Host and port of a server. Prints as in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHost {
    /// Name or address; an IPv6 address has no brackets.
    pub(super) host: String,
    /// Port; 443 or 80 if the URL has none.
    pub(super) port: u16,
}

impl std::fmt::Display for ServerHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

impl ServerHost {
    /// Reads host and port of a URL. Returns `None` if it has no host.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        Self::of(&url.parse().ok()?)
    }

    pub(super) fn of(url: &Uri) -> Option<Self> {
        let default = match url.scheme_str() {
            Some("http") => 80,
            _ => 443,
        };
        let host = url.host().filter(|host| !host.is_empty())?;
        Some(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port_u16().unwrap_or(default),
        })
    }

    /// Reads only the server of the current context of the kubeconfig at `path`. Returns `None` if
    /// there is no current context or its cluster has no valid URL.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not a kubeconfig.
    pub fn of_kubeconfig(path: &Path) -> Result<Option<Self>, KubeconfigError> {
        let kubeconfig = Kubeconfig::read_from(path)?;
        let server = (connect::selected(&kubeconfig, None).ok())
            .and_then(|(_, cluster)| cluster.server.as_deref());
        Ok(server.and_then(Self::of_url))
    }

    /// Returns the server in the environment of a pod: `KUBERNETES_SERVICE_HOST` and
    /// `KUBERNETES_SERVICE_PORT`.
    #[must_use]
    pub fn of_pod() -> Option<Self> {
        let host = std::env::var("KUBERNETES_SERVICE_HOST").ok()?;
        let port = std::env::var("KUBERNETES_SERVICE_PORT").ok();
        Some(Self {
            host,
            port: port.and_then(|port| port.parse().ok()).unwrap_or(443),
        })
    }

    /// Returns true if the host is an address, not a name.
    #[must_use]
    pub fn is_address(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_ok()
    }

    /// Returns the current addresses. Resolving a name blocks.
    ///
    /// # Errors
    ///
    /// The name has no addresses, or the resolver does not answer.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        Ok((self.host.as_str(), self.port).to_socket_addrs()?.collect())
    }
}

#[cfg(test)]
mod tests;
