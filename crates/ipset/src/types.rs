//! Sets and what they hold.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;

/// The longest name of a set in bytes: `IPSET_MAXNAMELEN` (32) with its closing zero,
/// include/uapi/linux/netfilter/ipset/ip_set.h, Linux 6.1.
pub const NAME_MAX: usize = 31;

/// The name of a set: 1 to [`NAME_MAX`] bytes without a zero byte. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetName(Arc<str>);

/// A text that cannot name a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name of a set: 1 to {NAME_MAX} bytes are wanted, and no zero byte")]
pub struct NameError(pub String);

impl SetName {
    /// The set called `name`. Where it is to be printed as text it must be free of white space too:
    /// ipset takes such a name and prints it as it is.
    ///
    /// # Errors
    ///
    /// `name` is empty, longer than [`NAME_MAX`] bytes, or has a zero byte.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() || name.len() > NAME_MAX || name.contains('\0') {
            return Err(NameError(name.to_owned()));
        }
        Ok(Self(name.into()))
    }

    /// The name, cut to [`NAME_MAX`] bytes. Meant for constants; of an empty text it makes `_`.
    #[must_use]
    pub fn cut(name: &str) -> Self {
        let mut end = name.len().min(NAME_MAX);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        Self::new(&name[..end]).unwrap_or_else(|_| Self("_".into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The family of the addresses that a hash set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4, `inet`, `NFPROTO_IPV4` (2).
    Inet,
    /// IPv6, `inet6`, `NFPROTO_IPV6` (10).
    Inet6,
}

impl Family {
    /// The family of `address`.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Inet,
            IpAddr::V6(_) => Self::Inet6,
        }
    }
}

/// A transport protocol by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// TCP, protocol number 6.
    pub const TCP: Self = Self(6);
    /// UDP, protocol number 17.
    pub const UDP: Self = Self(17);
    /// SCTP, protocol number 132.
    pub const SCTP: Self = Self(132);
}

/// The kinds of hash sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashType {
    /// `hash:ip`.
    Ip,
    /// `hash:ip,port`.
    IpPort,
    /// `hash:ip,port,ip`.
    IpPortIp,
    /// `hash:ip,port,net`.
    IpPortNet,
}

/// The properties that a set is created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Header {
    /// A hash set.
    Hash {
        /// The type of its entries.
        hash_type: HashType,
        /// The family of their addresses.
        family: Family,
        /// `maxelem`: how many entries it takes; the next one is refused with
        /// `IPSET_ERR_HASH_FULL`.
        max_elements: u32,
    },
    /// `bitmap:port`, whose entries are ports of any protocol.
    BitmapPort {
        /// The first port that it can hold.
        first: u16,
        /// The last one.
        last: u16,
    },
    /// Another type, or one of these with options that are not known here. Such a set can be listed,
    /// destroyed and replaced, not created or changed.
    Unsupported,
}

/// An entry that a set cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` is no entry of a set of type {header}")]
pub struct UnfitError {
    /// The entry.
    pub entry: Entry,
    /// The header that the set was created with.
    pub header: Header,
}

impl Header {
    /// Returns true if the two are of one type and family, whatever their sizes: only then can a set take the other's place while
    /// rules look into it.
    #[must_use]
    pub fn is_like(self, other: Self) -> bool {
        let shape = |header| match header {
            Self::Hash {
                hash_type, family, ..
            } => Some((Some(hash_type), Some(family))),
            Self::BitmapPort { .. } => Some((None, None)),
            Self::Unsupported => None,
        };
        shape(self).is_some() && shape(self) == shape(other)
    }

    /// `entry` as a set of this kind holds it. `ipset save` prints a network of one host without its
    /// length, so that `ip,proto:port,ip` may be an entry of `hash:ip,port,net`; here each becomes
    /// the other where it means the same.
    ///
    /// # Errors
    ///
    /// The entry is of another kind or family, or outside the range.
    pub fn fit(self, entry: Entry) -> Result<Entry, UnfitError> {
        let unfit = UnfitError {
            entry,
            header: self,
        };
        match self {
            Self::Unsupported => Err(unfit),
            Self::BitmapPort { first, last } => match entry {
                Entry::Port(port) if (first..=last).contains(&port) => Ok(entry),
                _ => Err(unfit),
            },
            Self::Hash {
                hash_type, family, ..
            } => hash_type
                .shape(entry)
                .filter(|entry| entry.is_of(family))
                .ok_or(unfit),
        }
    }
}

impl HashType {
    /// `entry` as an entry of this type; none where it is of another one.
    fn shape(self, entry: Entry) -> Option<Entry> {
        match (self, entry) {
            (Self::Ip, Entry::Ip(..))
            | (Self::IpPort, Entry::IpPort(..))
            | (Self::IpPortIp, Entry::IpPortIp(..))
            | (Self::IpPortNet, Entry::IpPortNet(..)) => Some(entry),
            (Self::IpPortNet, Entry::IpPortIp(address, protocol, port, host)) => {
                Some(Entry::IpPortNet(address, protocol, port, host.into()))
            }
            (Self::IpPortIp, Entry::IpPortNet(address, protocol, port, network)) => {
                let host = network.ip();
                (IpNetwork::from(host) == network)
                    .then_some(Entry::IpPortIp(address, protocol, port, host))
            }
            _ => None,
        }
    }
}

impl Entry {
    /// The address that comes first in it; none of a port.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match *self {
            Self::Port(_) => None,
            Self::Ip(address)
            | Self::IpPort(address, ..)
            | Self::IpPortIp(address, ..)
            | Self::IpPortNet(address, ..) => Some(address),
        }
    }

    /// Returns true if every address of it is of `family`.
    fn is_of(self, family: Family) -> bool {
        let (address, other) = match self {
            Self::Port(_) => return true,
            Self::Ip(address) | Self::IpPort(address, ..) => (address, address),
            Self::IpPortIp(address, _, _, other) => (address, other),
            Self::IpPortNet(address, _, _, network) => (address, network.ip()),
        };
        Family::of(address) == family && Family::of(other) == family
    }
}

/// An entry of a set. Its kind is that of the set's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// Of `hash:ip`.
    Ip(IpAddr),
    /// Of `hash:ip,port`.
    IpPort(IpAddr, Protocol, u16),
    /// Of `hash:ip,port,ip`.
    IpPortIp(IpAddr, Protocol, u16, IpAddr),
    /// Of `hash:ip,port,net`, without bits behind the network's length: the kernel clears them. It
    /// takes no network of length 0 here (`cidr == 0` is `IPSET_ERR_INVALID_CIDR`,
    /// net/netfilter/ipset/ip_set_hash_ipportnet.c, Linux 6.1).
    IpPortNet(IpAddr, Protocol, u16, IpNetwork),
    /// Of `bitmap:port`.
    Port(u16),
}

/// The end of a packet that a dimension of a set is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// The source.
    Src,
    /// The destination.
    Dst,
}

/// A set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// The properties that it was created with.
    pub header: Header,
    /// Its entries.
    pub entries: BTreeSet<Entry>,
}
