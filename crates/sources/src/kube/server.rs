//! The API server's host and port, as the configuration and the environment name them.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;

use http::Uri;
use kube::config::{Kubeconfig, KubeconfigError};

use super::connect;

/// Host and port of a server. Prints as a URL has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHost {
    /// A name or an address, an IPv6 address without brackets.
    pub(super) host: String,
    /// The port, 443 or 80 where the URL names none.
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
    /// Reads the host and port of a URL. Returns none if it has no host.
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

    /// Reads the server of the current context of the kubeconfig at `path`, and no other part of that file. Returns none if there is
    /// no such context, or its cluster has no usable URL.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is no kubeconfig.
    pub fn of_kubeconfig(path: &Path) -> Result<Option<Self>, KubeconfigError> {
        let kubeconfig = Kubeconfig::read_from(path)?;
        let server = (connect::selected(&kubeconfig, None).ok())
            .and_then(|(_, cluster)| cluster.server.as_deref());
        Ok(server.and_then(Self::of_url))
    }

    /// Returns the server that the environment of a pod names: `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    #[must_use]
    pub fn of_pod() -> Option<Self> {
        let host = std::env::var("KUBERNETES_SERVICE_HOST").ok()?;
        let port = std::env::var("KUBERNETES_SERVICE_PORT").ok();
        Some(Self {
            host,
            port: port.and_then(|port| port.parse().ok()).unwrap_or(443),
        })
    }

    /// Returns true if the host is an address and no name.
    #[must_use]
    pub fn is_address(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_ok()
    }

    /// Returns its addresses now. A name is resolved, which blocks for as long as the resolver takes.
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
