//! The words of IPVS.

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

    /// The family of `address`.
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

/// The key of a virtual server: the kernel holds at most one for each key.
///
/// Source: `ip_vs_genl_parse_service`, `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VirtualServerKey {
    /// Traffic to one address and port. Port 0 with persistence means every port.
    Address {
        /// The virtual address.
        address: IpAddr,
        /// The virtual port, 0 for any.
        port: u16,
        /// The transport protocol.
        protocol: Protocol,
    },
    /// Traffic that carries a firewall mark.
    Fwmark {
        /// The family of the traffic.
        family: AddressFamily,
        /// The mark.
        mark: NonZeroU32,
    },
}

/// The name of a scheduler, for example `rr`. At most 15 bytes (`IP_VS_SCHEDNAME_MAXLEN` 16).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scheduler(pub std::sync::Arc<str>);

bitflags::bitflags! {
    /// Flags of a virtual server, `IP_VS_SVC_F_*` of `include/uapi/linux/ip_vs.h`.
    ///
    /// The kernel's own bit `HASHED` (0x2) is removed when decoding and never sent.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct ServiceFlags: u32 {
        /// Clients stay with one real server.
        const PERSISTENT = 0x1;
        /// One-packet scheduling: every UDP datagram is balanced alone.
        const ONE_PACKET = 0x4;
        /// First flag of the scheduler: `sh-fallback`, `mh-fallback`.
        const SCHED_1 = 0x8;
        /// Second flag of the scheduler: `sh-port`, `mh-port`.
        const SCHED_2 = 0x10;
        /// Third flag of the scheduler.
        const SCHED_3 = 0x20;
        // Bits that no kernel names survive a round trip.
        const _ = !0;
    }
}

/// A virtual server as it is configured: its key and its settings, without its real servers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualServer {
    /// Its key.
    pub key: VirtualServerKey,
    /// The scheduler that chooses a real server.
    pub scheduler: Scheduler,
    /// Flags, without the kernel's own.
    pub flags: ServiceFlags,
    /// The time for which a client stays with its real server, whole seconds; zero without `PERSISTENT`.
    pub persistence_timeout: Duration,
    /// The clients that count as one for persistence: a prefix length, 32 or 128 for each alone.
    pub persistence_prefix: u8,
    /// The persistence engine, for example `sip`.
    pub persistence_engine: Option<std::sync::Arc<str>>,
}

/// The key of a real server within its virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealServerKey {
    /// The server's address.
    pub address: IpAddr,
    /// The server's port; with direct routing or tunnelling the kernel wants the virtual one.
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

/// The way packets reach a real server, `IP_VS_CONN_F_FWD_MASK` of `include/uapi/linux/ip_vs.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forwarding {
    /// Network address translation (0).
    Masquerade,
    /// Delivered on this host (1).
    LocalNode,
    /// Encapsulated (2).
    Tunnel(Tunnel),
    /// Sent to the server's link-layer address, unchanged (3).
    DirectRoute,
    /// To a cache server, unchanged (4).
    Bypass,
    /// Any other value that the kernel reports.
    Other(u8),
}

/// Encapsulation towards a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tunnel {
    /// The encapsulation.
    pub kind: TunnelKind,
    /// Destination port of the outer UDP header, GUE alone.
    pub port: u16,
    /// Checksums of the outer header.
    pub flags: TunnelFlags,
}

/// An encapsulation, `IP_VS_CONN_F_TUNNEL_TYPE_*`.
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
        // Bits that no kernel names survive a round trip.
        const _ = !0;
    }
}

/// A real server as it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealServer {
    /// Its key.
    pub key: RealServerKey,
    /// The way packets reach it.
    pub forwarding: Forwarding,
    /// Its share, 0 to 2^31-1. Weight 0 takes no new connections and keeps the old ones.
    pub weight: u32,
    /// Connections above which it gets no new ones; 0 for no limit.
    pub upper_threshold: u32,
    /// Connections below which it gets new ones again; 0 for three quarters of the upper one.
    pub lower_threshold: u32,
}

/// Connections of a real server as the kernel counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connections {
    /// In a state that carries data.
    pub active: u32,
    /// In any other state; UDP counts here.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
}

/// Idle times after which the kernel forgets a connection, whole seconds. Zero in a request keeps
/// the present value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeouts {
    /// An established TCP connection; the kernel starts with 900 s.
    pub tcp: Duration,
    /// A TCP connection after a FIN; the kernel starts with 120 s.
    pub tcp_fin: Duration,
    /// A UDP flow; the kernel starts with 300 s.
    pub udp: Duration,
}
