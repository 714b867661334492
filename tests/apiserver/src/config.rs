//! The configuration of a server.

use ipnetwork::IpNetwork;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Settings of a [`Server`](crate::Server). The defaults are those of a plain dual-stack cluster.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen. Default `127.0.0.1:0`, a free port.
    pub listen: SocketAddr,
    /// The bearer token a client must send. Default `None`: anybody is let in.
    pub token: Option<String>,
    /// True to serve HTTPS, with a certificate authority made at the start. Default off.
    pub tls: bool,
    /// The name of the client in refusals. Default `kube-ipvs`.
    pub user: String,
    /// The ranges of cluster IPs, at most one for each family, the primary one first.
    /// Default `10.96.0.0/16, fd00:10:96::/112`.
    pub service_cidrs: Vec<IpNetwork>,
    /// The range of node ports. Default 30000-32767.
    pub node_ports: RangeInclusive<u16>,
    /// Interval of bookmarks in a quiet watch. Default one minute, as the real server.
    pub bookmark_interval: Duration,
    /// Number of events of each kind that are kept before the oldest are forgotten. Default 100,000.
    pub history_limit: usize,
    /// The revision to begin at. One that takes the place of another must begin later, as an etcd does that is restored
    /// with `etcdutl snapshot restore --bump-revision --mark-compacted`: revisions that come twice hide changes.
    pub first_revision: u64,
    /// The address in the endpoints of `default/kubernetes`, a Service which every API server creates
    /// for itself. `None` leaves the Service out. Default `192.0.2.1:6443`.
    pub advertise: Option<SocketAddr>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let v4 = IpNetwork::new(IpAddr::V4(Ipv4Addr::new(10, 96, 0, 0)), 16);
        let v6 = IpNetwork::new(
            IpAddr::V6(Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0)),
            112,
        );
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            token: None,
            tls: false,
            user: "kube-ipvs".to_owned(),
            service_cidrs: [v4, v6].into_iter().flatten().collect(),
            node_ports: 30000..=32767,
            bookmark_interval: Duration::from_secs(60),
            history_limit: 100_000,
            first_revision: 1,
            advertise: Some(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 6443))),
        }
    }
}
