//! The configuration of a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Settings of a [`Server`](crate::Server).
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen. Default `127.0.0.1:0`, a free port.
    pub listen: SocketAddr,
    /// The bearer token a client must send. Default `None`: anybody is let in.
    pub token: Option<String>,
    /// True to serve HTTPS, with a certificate authority made at the start. Default off.
    pub tls: bool,
    /// Interval of bookmarks in a quiet watch. Default one minute, as the real server.
    pub bookmark_interval: Duration,
    /// The revision to begin at. One that takes the place of another must begin later, as an etcd does that is restored
    /// with `etcdutl snapshot restore --bump-revision --mark-compacted`: revisions that come twice hide changes.
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
