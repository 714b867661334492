//! Checks of settings before they are sent. The kernel accepts many contradictions silently, and
//! refuses others with an error number that does not name the setting.
//!
//! [`VirtualServer::validate`] and [`RealServer::validate`] return every problem at once. The
//! documentation of each [`Invalid`] describes the behaviour of Linux 6.1.

mod real_server;
#[cfg(test)]
mod tests;
mod virtual_server;

use std::time::Duration;

use crate::types::{AddressFamily, Protocol, RealServer, VirtualServer, VirtualServerKey};

/// Longest persistence timeout that every kernel handles correctly. The kernel multiplies the
/// seconds by its ticks (at most 1,000 per second) in 32 bits and ignores an overflow
/// (`ip_vs_add_service`, `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1).
pub const LONGEST_PERSISTENCE: Duration = Duration::from_secs(4_294_967);

/// Maximum length of the name of a scheduler or persistence engine, bytes: `IP_VS_SCHEDNAME_MAXLEN`
/// and `IP_VS_PENAME_MAXLEN` without the zero at the end.
pub const LONGEST_NAME: usize = 15;

/// An invalid setting of a virtual server or real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Invalid {
    /// The scheduler's name is invalid:
    ///
    /// - empty: no scheduler has this name (`ENOENT`),
    /// - too long: refused (`EINVAL`),
    /// - with a zero byte: the part before it is used.
    #[error("scheduler: the name {0}")]
    Scheduler(InvalidName),
    /// The persistence engine's name is invalid:
    ///
    /// - empty: means no engine,
    /// - too long: no engine has this name (`ENOENT`), or it is refused (`EINVAL`),
    /// - with a zero byte: the part before it is used.
    #[error("persistence_engine: the name {0}")]
    PersistenceEngine(InvalidName),
    /// Bits without a meaning in any kernel, or `HASHED` (0x2), which is the kernel's own. They are
    /// accepted and stored, without effect.
    #[error("flags: no kernel knows the bits {unknown:#x}")]
    Flags {
        /// The bits.
        unknown: u32,
    },
    /// Accepted; has an effect only for UDP.
    #[error("flags: ONE_PACKET does nothing for {protocol}")]
    OnePacket {
        /// The protocol.
        protocol: Protocol,
    },
    /// Accepted; such a virtual server gets no traffic.
    #[error("key: IPVS balances TCP, UDP and SCTP, not {protocol}")]
    Protocol {
        /// The protocol.
        protocol: Protocol,
    },
    /// Accepted. Port 0 means every port only for a persistent virtual server; any other virtual
    /// server with port 0 gets no traffic.
    #[error("key: port 0 needs the flag PERSISTENT")]
    PortWithoutPersistence,
    /// Accepted; clients do not stay with their real server.
    #[error("persistence_timeout: PERSISTENT without a timeout")]
    PersistenceWithoutTimeout,
    /// Accepted and stored, without effect.
    #[error("persistence_timeout: {0:?} without the flag PERSISTENT")]
    TimeoutWithoutPersistence(Duration),
    /// The encoding drops the fraction.
    #[error("persistence_timeout: {0:?} is not whole seconds")]
    TimeoutFraction(Duration),
    /// Accepted; the kernel stores another time. See [`LONGEST_PERSISTENCE`].
    #[error("persistence_timeout: {0:?} exceeds the maximum of the kernel")]
    TimeoutTooLong(Duration),
    /// For IPv4 the length cannot be encoded; for IPv6 the kernel refuses it (`EINVAL`).
    #[error("persistence_prefix: {prefix} is not a prefix length of {family} clients")]
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
    #[error("key: {0} is not the address of a single host")]
    Address(std::net::IpAddr),
    /// Refused (`EINVAL`): only a tunnel connects two families.
    #[error("key: a real server of {real} needs a tunnel for {virtual_server} traffic")]
    Family {
        /// The real server's family.
        real: AddressFamily,
        /// The virtual server's family.
        virtual_server: AddressFamily,
    },
    /// Accepted; packets keep the virtual port, since only masquerading changes it.
    #[error("key: the port stays {virtual_port} instead of {port}: only masquerading changes it")]
    Port {
        /// The real server's port.
        port: u16,
        /// The virtual server's port.
        virtual_port: u16,
    },
    /// Accepted; packets are dropped. The kernel cuts numbers above 7 to three bits.
    #[error("forwarding: no kernel knows method {0}")]
    Forwarding(u8),
    /// Accepted; packets are dropped.
    #[error("forwarding: no kernel knows tunnel type {0}")]
    TunnelKind(u8),
    /// Refused (`EINVAL`).
    #[error("forwarding: a GUE tunnel needs a port")]
    TunnelPort,
    /// Bits without a meaning in any kernel: accepted and stored.
    #[error("forwarding: no kernel knows the tunnel flags {unknown:#x}")]
    TunnelFlags {
        /// The bits.
        unknown: u16,
    },
    /// Refused (`ERANGE`).
    #[error("weight: {0} is above 2147483647")]
    Weight(u32),
    /// Refused (`ERANGE`), also with an upper threshold of 0 (none).
    #[error("lower_threshold: {lower} is above the upper threshold {upper}")]
    Thresholds {
        /// The lower threshold.
        lower: u32,
        /// The upper threshold.
        upper: u32,
    },
}

/// Problem of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum InvalidName {
    /// The name is empty.
    #[error("is empty")]
    Empty,
    /// The name has more than [`LONGEST_NAME`] bytes.
    #[error("has {bytes} bytes, the maximum is {LONGEST_NAME}")]
    TooLong {
        /// Length of the name, bytes.
        bytes: usize,
    },
    /// The name contains a zero byte, which ends it for the kernel.
    #[error("contains a zero byte")]
    HoldsZero,
}

impl VirtualServer {
    /// Checks that the kernel applies these settings as they are.
    ///
    /// # Errors
    ///
    /// Every problem, in the order of the fields.
    pub fn validate(&self) -> Result<(), Vec<Invalid>> {
        all_or_none(virtual_server::problems(self))
    }
}

impl RealServer {
    /// Checks that the kernel applies these settings as they are, in the virtual server `key`.
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
