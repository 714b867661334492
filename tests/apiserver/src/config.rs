//! The configuration of a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Settings of a [`Server`](crate::Server).
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Address to listen at. Default `127.0.0.1:0`, a free port.
    pub listen: SocketAddr,
    /// Bearer token that a client must send. Default `None`: every client is accepted.
    pub token: Option<String>,
    /// True to serve HTTPS, with a certificate authority created at the start. Default off.
    pub tls: bool,
    /// Interval of bookmarks in a quiet watch. Default one minute, as the real server.
    pub bookmark_interval: Duration,
    /// First revision. A server that replaces another one must start at a later revision, as an
    /// etcd does that is restored with `etcdutl snapshot restore --bump-revision --mark-compacted`:
    /// repeated revisions hide changes.
    pub first_revision: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            token: None,
            tls: false,
            bookmark_interval: Duration::from_secs(60),
            first_revision: 1,
        }
    }
}
