//! Checks before sending: the kernel accepts many a contradiction silently, and refuses others with an error number that names
//! nothing.
//!
//! [`VirtualServer::validate`] and [`RealServer::validate`] find every problem at once. What each
//! [`Invalid`] says of the kernel was seen on Linux 6.1.

mod real_server;
#[cfg(test)]
mod tests;
mod virtual_server;

use std::time::Duration;

use crate::types::{AddressFamily, Protocol, RealServer, VirtualServer, VirtualServerKey};

/// The longest persistence timeout that every kernel counts right: the kernel multiplies the seconds
/// by its ticks (at most 1,000 each second) in 32 bits, and takes what is left of an overflow
/// (`ip_vs_add_service`, `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1).
pub const LONGEST_PERSISTENCE: Duration = Duration::from_secs(4_294_967);

/// The longest name of a scheduler or persistence engine, bytes: `IP_VS_SCHEDNAME_MAXLEN` and
/// `IP_VS_PENAME_MAXLEN` less the zero at the end.
pub const LONGEST_NAME: usize = 15;

/// A fault of a virtual server or real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Invalid {
    /// Empty it is no scheduler's (`ENOENT`), too long it is refused (`EINVAL`); of one that holds a
    /// zero byte the part before is taken.
    #[error("scheduler: the name {0}")]
    Scheduler(InvalidName),
    /// Empty it is taken for none; too long no engine has it (`ENOENT`) or it is refused (`EINVAL`); of
    /// one that holds a zero byte the part before is taken.
    #[error("persistence_engine: the name {0}")]
    PersistenceEngine(InvalidName),
    /// Bits that no kernel gives a meaning. Accepted, stored and without effect; `HASHED` (0x2) is
    /// the kernel's own.
    #[error("flags: no kernel knows the bits {unknown:#x}")]
    Flags {
        /// The bits.
        unknown: u32,
    },
    /// Accepted; without effect but for UDP.
    #[error("flags: ONE_PACKET does nothing for {protocol}")]
    OnePacket {
        /// The protocol.
        protocol: Protocol,
    },
    /// Accepted; such a virtual server takes no traffic.
    #[error("key: IPVS balances TCP, UDP and SCTP, not {protocol}")]
    Protocol {
        /// The protocol.
        protocol: Protocol,
    },
    /// Accepted; port 0 means every port only to a persistent virtual server, and one that is not
    /// takes no traffic.
    #[error("key: port 0 wants the flag PERSISTENT")]
    PortWithoutPersistence,
    /// Accepted; clients do not stay.
    #[error("persistence_timeout: PERSISTENT without time")]
    PersistenceWithoutTimeout,
    /// Accepted and stored, without effect.
    #[error("persistence_timeout: {0:?} without the flag PERSISTENT")]
    TimeoutWithoutPersistence(Duration),
    /// The fraction would be cut off.
    #[error("persistence_timeout: {0:?} is not whole seconds")]
    TimeoutFraction(Duration),
    /// Accepted, and another time is stored. See [`LONGEST_PERSISTENCE`].
    #[error("persistence_timeout: {0:?} is more than the kernel can count")]
    TimeoutTooLong(Duration),
    /// For IPv4 this cannot be sent as it is; for IPv6 the kernel refuses it (`EINVAL`).
    #[error("persistence_prefix: {prefix} is no prefix length of {family} clients")]
    Prefix {
        /// The prefix length.
        prefix: u8,
        /// The family.
        family: AddressFamily,
    },
    /// Accepted and stored, without effect.
    #[error("persistence_prefix: {prefix} without the flag PERSISTENT")]
    PrefixWithoutPersistence {
        /// The prefix length.
        prefix: u8,
    },
    /// Accepted and stored, without effect.
    #[error("persistence_engine: an engine without the flag PERSISTENT")]
    EngineWithoutPersistence,
    /// Refused (`EINVAL`).
    #[error("key: no packet can be sent to {0} alone")]
    Address(std::net::IpAddr),
    /// Refused (`EINVAL`): only a tunnel joins two families.
    #[error("key: a real server of {real} wants a tunnel for {virtual_server} traffic")]
    Family {
        /// The real server's family.
        real: AddressFamily,
        /// The virtual server's family.
        virtual_server: AddressFamily,
    },
    /// Accepted; packets keep the virtual port, for only masquerading changes it.
    #[error("key: without masquerading the port stays {virtual_port} and cannot become {port}")]
    Port {
        /// The real server's port.
        port: u16,
        /// The virtual server's port.
        virtual_port: u16,
    },
    /// Accepted; packets are dropped. Numbers above 7 are cut to three bits.
    #[error("forwarding: no kernel knows method {0}")]
    Forwarding(u8),
    /// Accepted; packets are dropped.
    #[error("forwarding: no kernel knows tunnel type {0}")]
    TunnelKind(u8),
    /// Refused (`EINVAL`).
    #[error("forwarding: a GUE tunnel wants a port")]
    TunnelPort,
    /// Bits that no kernel gives a meaning: accepted and stored.
    #[error("forwarding: no kernel knows the tunnel flags {unknown:#x}")]
    TunnelFlags {
        /// The bits.
        unknown: u16,
    },
    /// Refused (`ERANGE`).
    #[error("weight: {0} is above 2147483647")]
    Weight(u32),
    /// Refused (`ERANGE`), with an upper threshold of 0 (none) too.
    #[error("lower_threshold: {lower} is above the upper threshold {upper}")]
    Thresholds {
        /// The lower threshold.
        lower: u32,
        /// The upper threshold.
        upper: u32,
    },
}

/// A fault of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum InvalidName {
    /// It has no bytes.
    #[error("is empty")]
    Empty,
    /// It has more than [`LONGEST_NAME`] bytes.
    #[error("has {bytes} bytes, of {LONGEST_NAME} at most")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The kernel takes a zero byte for the end.
    #[error("holds a zero byte")]
    HoldsZero,
}

impl VirtualServer {
    /// Checks that the kernel can do what this says.
    ///
    /// # Errors
    ///
    /// Every problem, in the order of the fields.
    pub fn validate(&self) -> Result<(), Vec<Invalid>> {
        all_or_none(virtual_server::problems(self))
    }
}

impl RealServer {
    /// Checks that the kernel can do what this says in the virtual server `key`.
    ///
    /// # Errors
    ///
    /// Every problem, in the order of the fields.
    pub fn validate(&self, key: &VirtualServerKey) -> Result<(), Vec<Invalid>> {
        all_or_none(real_server::problems(self, key))
    }
}

fn all_or_none(problems: Vec<Invalid>) -> Result<(), Vec<Invalid>> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}
