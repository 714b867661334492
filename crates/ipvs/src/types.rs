//! The types of IPVS.

mod numbers;
mod status;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

pub use status::{Info, RealServerStatus, Statistics, SyncDaemon, SyncRole};

/// The family of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AddressFamily {
    /// IPv4, `AF_INET` (2).
    Ipv4,
    /// IPv6, `AF_INET6` (10).
    Ipv6,
}

impl AddressFamily {
    /// Every family.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// Returns the family of `address`.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }
}

/// A transport protocol that IPVS balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Protocol {
    /// TCP, protocol number 6.
    Tcp,
    /// UDP, protocol number 17.
    Udp,
    /// SCTP, protocol number 132.
    Sctp,
    /// Any other protocol number that the kernel reports.
    Other(u8),
}

/// Key of a virtual server. The kernel has at most one virtual server for each key.
///
/// Source: `ip_vs_genl_parse_service`, `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VirtualServerKey {
    /// Traffic to one address and port. With persistence, port 0 means every port.
    Address {
        /// The virtual address.
        address: IpAddr,
        /// The virtual port; 0 for every port.
        port: u16,
        /// The transport protocol.
        protocol: Protocol,
    },
    /// Traffic with a firewall mark.
    Fwmark {
        /// The family of the traffic.
        family: AddressFamily,
        /// The mark.
        mark: NonZeroU32,
    },
}

/// Name of a scheduler, for example `rr`. At most 15 bytes (`IP_VS_SCHEDNAME_MAXLEN` 16).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scheduler(pub std::sync::Arc<str>);

bitflags::bitflags! {
    /// Flags of a virtual server, `IP_VS_SVC_F_*` of `include/uapi/linux/ip_vs.h`.
    ///
    /// The kernel's own bit `HASHED` (0x2) is removed when decoding, and never sent.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct ServiceFlags: u32 {
        /// Clients stay with one real server.
        const PERSISTENT = 0x1;
        /// One-packet scheduling: every UDP datagram is balanced separately.
        const ONE_PACKET = 0x4;
        /// First flag of the scheduler: `sh-fallback`, `mh-fallback`.
        const SCHED_1 = 0x8;
        /// Second flag of the scheduler: `sh-port`, `mh-port`.
        const SCHED_2 = 0x10;
        /// Third flag of the scheduler.
        const SCHED_3 = 0x20;
        // Unknown bits survive a round trip.
        const _ = !0;
    }
}

/// Configuration of a virtual server: its key and settings, without its real servers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualServer {
    /// The key.
    pub key: VirtualServerKey,
    /// The scheduler that chooses a real server.
    pub scheduler: Scheduler,
    /// Flags, without the kernel's own.
    pub flags: ServiceFlags,
    /// Time for which a client stays with its real server, whole seconds; zero without
    /// `PERSISTENT`.
    pub persistence_timeout: Duration,
    /// Prefix length of the clients that count as one for persistence; 32 or 128 keeps every client
    /// separate.
    pub persistence_prefix: u8,
    /// The persistence engine, for example `sip`.
    pub persistence_engine: Option<std::sync::Arc<str>>,
}

/// Key of a real server within its virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealServerKey {
    /// The server's address.
    pub address: IpAddr,
    /// The server's port. With direct routing or tunnelling the kernel expects the virtual port.
    pub port: u16,
}

impl From<SocketAddr> for RealServerKey {
    fn from(socket: SocketAddr) -> Self {
        Self {
            address: socket.ip(),
            port: socket.port(),
        }
    }
}

/// Forwarding method, `IP_VS_CONN_F_FWD_MASK` of `include/uapi/linux/ip_vs.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forwarding {
    /// Network address translation (0).
    Masquerade,
    /// Delivery on this host (1).
    LocalNode,
    /// Encapsulation (2).
    Tunnel(Tunnel),
    /// Direct routing: the unchanged packet is sent to the server's link-layer address (3).
    DirectRoute,
    /// Bypass: the unchanged packet is sent to its destination, for cache clusters (4).
    Bypass,
    /// Any other value that the kernel reports.
    Other(u8),
}

/// Encapsulation of packets to a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tunnel {
    /// The kind of encapsulation.
    pub kind: TunnelKind,
    /// Destination port of the outer UDP header; only for GUE.
    pub port: u16,
    /// Checksum options of the outer header.
    pub flags: TunnelFlags,
}

/// Kind of encapsulation, `IP_VS_CONN_F_TUNNEL_TYPE_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelKind {
    /// IP in IP (0).
    Ipip,
    /// Generic UDP encapsulation (1), since Linux 5.3.
    Gue,
    /// Generic routing encapsulation (2), since Linux 5.4.
    Gre,
    /// Any other value that the kernel reports.
    Other(u8),
}

bitflags::bitflags! {
    /// Checksum flags of a tunnel, `IP_VS_TUNNEL_ENCAP_FLAG_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct TunnelFlags: u16 {
        /// Outer checksum.
        const CSUM = 0x1;
        /// Remote checksum offload.
        const REMCSUM = 0x2;
        // Unknown bits survive a round trip.
        const _ = !0;
    }
}

/// Configuration of a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealServer {
    /// The key.
    pub key: RealServerKey,
    /// The forwarding method.
    pub forwarding: Forwarding,
    /// Share of new connections, 0 to 2^31-1. A server with weight 0 gets no new connections and
    /// keeps the old ones.
    pub weight: u32,
    /// Number of connections above which the server gets no new ones; 0 sets no limit.
    pub upper_threshold: u32,
    /// Number of connections below which the server gets new ones again; 0 means three quarters of
    /// the upper threshold.
    pub lower_threshold: u32,
}

/// Number of connections of a real server, as the kernel counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connections {
    /// Connections in a state that carries data.
    pub active: u32,
    /// Connections in any other state, and all UDP flows.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
}

/// Idle times after which the kernel drops a connection, whole seconds. In a request, zero leaves
/// the kernel's value unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeouts {
    /// Timeout of an established TCP connection; the kernel's default is 900 s.
    pub tcp: Duration,
    /// Timeout of a TCP connection after a FIN; the kernel's default is 120 s.
    pub tcp_fin: Duration,
    /// Timeout of a UDP flow; the kernel's default is 300 s.
    pub udp: Duration,
}
