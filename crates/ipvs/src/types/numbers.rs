//! Numbers on the wire.

use super::{AddressFamily, Forwarding, Protocol, Tunnel, TunnelKind, VirtualServerKey};

impl Protocol {
    /// Returns the protocol number that IANA assigned.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
            Self::Other(number) => number,
        }
    }
}

impl Protocol {
    /// Returns TCP, UDP or SCTP by its name, in upper or lower case.
    ///
    /// ```
    /// # use ipvs::Protocol;
    /// assert_eq!(Protocol::named("sctp"), Some(Protocol::Sctp));
    /// assert_eq!(Protocol::named("icmp"), None);
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let named = [Self::Tcp, Self::Udp, Self::Sctp];
        (named.into_iter()).find(|protocol| protocol.to_string().eq_ignore_ascii_case(name))
    }
}

impl From<u8> for Protocol {
    fn from(number: u8) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            132 => Self::Sctp,
            other => Self::Other(other),
        }
    }
}

impl Forwarding {
    /// Returns the number of the method, `IP_VS_CONN_F_*`.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Masquerade => 0,
            Self::LocalNode => 1,
            Self::Tunnel(_) => 2,
            Self::DirectRoute => 3,
            Self::Bypass => 4,
            Self::Other(number) => number,
        }
    }

    /// Returns the method with this number. `tunnel` is used if the method is tunnelling.
    #[must_use]
    pub fn from_number(number: u8, tunnel: Tunnel) -> Self {
        match number {
            0 => Self::Masquerade,
            1 => Self::LocalNode,
            2 => Self::Tunnel(tunnel),
            3 => Self::DirectRoute,
            4 => Self::Bypass,
            other => Self::Other(other),
        }
    }
}

impl TunnelKind {
    /// Returns the number of the kind, `IP_VS_CONN_F_TUNNEL_TYPE_*`.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Ipip => 0,
            Self::Gue => 1,
            Self::Gre => 2,
            Self::Other(number) => number,
        }
    }
}

impl From<u8> for TunnelKind {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::Ipip,
            1 => Self::Gue,
            2 => Self::Gre,
            other => Self::Other(other),
        }
    }
}

impl VirtualServerKey {
    /// Returns the family of the traffic.
    #[must_use]
    pub fn family(&self) -> AddressFamily {
        match self {
            Self::Address { address, .. } => AddressFamily::of(*address),
            Self::Fwmark { family, .. } => *family,
        }
    }
}
