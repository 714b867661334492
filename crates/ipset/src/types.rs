//! Sets and their entries.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;

/// Maximum length of a set's name, bytes: `IPSET_MAXNAMELEN` (32) without its closing zero,
/// include/uapi/linux/netfilter/ipset/ip_set.h, Linux 6.1.
pub const NAME_MAX: usize = 31;

/// Name of a set: 1 to [`NAME_MAX`] bytes without a zero byte. A clone shares the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetName(Arc<str>);

/// Text that is not a valid name of a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name of a set: a name has 1 to {NAME_MAX} bytes and no zero byte")]
pub struct NameError(pub String);

impl SetName {
    /// Returns `name` as a set's name. A name with white space is valid for the kernel and for
    /// ipset, but lines with it do not parse back.
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

    /// Returns `name` cut to [`NAME_MAX`] bytes, for constants. An empty text becomes `_`.
    #[must_use]
    pub fn cut(name: &str) -> Self {
        let mut end = name.len().min(NAME_MAX);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        Self::new(&name[..end]).unwrap_or_else(|_| Self("_".into()))
    }

    /// Returns the name as text.
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

/// Family of the addresses in a hash set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4, `inet`, `NFPROTO_IPV4` (2).
    Inet,
    /// IPv6, `inet6`, `NFPROTO_IPV6` (10).
    Inet6,
}

impl Family {
    /// Returns the family of `address`.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Inet,
            IpAddr::V6(_) => Self::Inet6,
        }
    }
}

/// A transport protocol, identified by its number.
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

/// Types of hash sets.
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

/// Type and properties of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Header {
    /// A hash set.
    Hash {
        /// The type of the entries.
        hash_type: HashType,
        /// The family of the addresses.
        family: Family,
        /// `maxelem`: the maximum number of entries. The kernel refuses a further one with
        /// `IPSET_ERR_HASH_FULL`.
        max_elements: u32,
    },
    /// `bitmap:port`, whose entries are ports of any protocol.
    BitmapPort {
        /// The first port of the range.
        first: u16,
        /// The last port of the range.
        last: u16,
    },
    /// Another type, or one of these types with unsupported options. Such a set can be listed,
    /// destroyed and replaced, but not created or changed.
    Unsupported,
}

/// An entry that does not fit a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` does not fit a set of type {header}")]
pub struct UnfitError {
    /// The entry.
    pub entry: Entry,
    /// The header of the set.
    pub header: Header,
}

impl Header {
    /// Returns true if the two have the same type and family, whatever their sizes. Only then can
    /// one set replace the other while rules use it.
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

    /// Converts `entry` to the form that a set with this header stores.
    ///
    /// `ipset save` prints a network of one host without its length, so that `ip,proto:port,ip` may
    /// also be an entry of `hash:ip,port,net`. This method converts between the two if they mean
    /// the same.
    ///
    /// # Errors
    ///
    /// The entry has another type or family, or is outside the range.
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
    /// Returns `entry` as an entry of this type; `None` if it has another type.
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
    /// Returns the first address of the entry; `None` for a port.
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

    /// Returns true if every address of the entry is of `family`.
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

/// An entry of a set. The variant must match the type of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// Entry of `hash:ip`.
    Ip(IpAddr),
    /// Entry of `hash:ip,port`.
    IpPort(IpAddr, Protocol, u16),
    /// Entry of `hash:ip,port,ip`.
    IpPortIp(IpAddr, Protocol, u16, IpAddr),
    /// Entry of `hash:ip,port,net`. The network has no bits after its length, since the kernel
    /// clears them. The kernel refuses a network of length 0 (`cidr == 0` is
    /// `IPSET_ERR_INVALID_CIDR`, net/netfilter/ipset/ip_set_hash_ipportnet.c, Linux 6.1).
    IpPortNet(IpAddr, Protocol, u16, IpNetwork),
    /// Entry of `bitmap:port`.
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
    /// Type and properties of the set.
    pub header: Header,
    /// The entries.
    pub entries: BTreeSet<Entry>,
}
