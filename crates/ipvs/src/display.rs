//! Display of the types.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::types::{
    AddressFamily, Forwarding, Protocol, RealServerKey, Scheduler, SyncDaemon, SyncRole,
    TunnelKind, VirtualServerKey,
};

impl fmt::Display for AddressFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("TCP"),
            Self::Udp => f.write_str("UDP"),
            Self::Sctp => f.write_str("SCTP"),
            Self::Other(number) => write!(f, "protocol {number}"),
        }
    }
}

/// Prints as `10.96.0.10:80/TCP`, `[fd00::1]:80/UDP` or `fwmark 7 (IPv4)`.
impl fmt::Display for VirtualServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address {
                address,
                port,
                protocol,
            } => write!(f, "{}/{protocol}", socket(*address, *port)),
            Self::Fwmark { family, mark } => write!(f, "fwmark {mark} ({family})"),
        }
    }
}

/// Prints as `10.1.2.3:8080` or `[fd00::1]:8080`.
impl fmt::Display for RealServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        socket(self.address, self.port).fmt(f)
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Prints as in `ipvsadm -L`: `Masq`, `Local`, `Tunnel`, `Route`, `Bypass`.
impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Masquerade => f.write_str("Masq"),
            Self::LocalNode => f.write_str("Local"),
            Self::Tunnel(tunnel) => write!(f, "Tunnel ({})", tunnel.kind),
            Self::DirectRoute => f.write_str("Route"),
            Self::Bypass => f.write_str("Bypass"),
            Self::Other(number) => write!(f, "forwarding method {number}"),
        }
    }
}

impl fmt::Display for TunnelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipip => f.write_str("ipip"),
            Self::Gue => f.write_str("gue"),
            Self::Gre => f.write_str("gre"),
            Self::Other(number) => write!(f, "tunnel type {number}"),
        }
    }
}

fn socket(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

/// Prints as `ipvsadm` names it: `master` or `backup`.
impl fmt::Display for SyncRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Master => f.write_str("master"),
            Self::Backup => f.write_str("backup"),
            Self::Other(number) => write!(f, "state {number}"),
        }
    }
}

/// Prints as `master synchronisation daemon 7 on eth0`.
impl fmt::Display for SyncDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            role,
            interface,
            sync_id,
            ..
        } = self;
        write!(f, "{role} synchronisation daemon {sync_id} on {interface}")
    }
}
