//! Codec of ipset's netlink messages: subsystem 6 of nfnetlink, protocol versions 6 and 7
//! (`include/uapi/linux/netfilter/ipset/ip_set.h` and `net/netfilter/ipset/ip_set_core.c`, Linux
//! 6.1).
//!
//! A [`Message`] is the part after the netlink header: `struct nfgenmsg` and attributes.
//! [`Message::encode`] and [`Message::decode`] are inverse to each other.

mod attributes;
pub mod convert;
#[cfg(test)]
mod tests;

use netlink_packet_core::{
    DecodeError, Emitable as _, ErrorContext as _, NetlinkSerializable, NlaBuffer, NlasIterator,
    ParseableParametrized as _,
};

pub use attributes::{Attribute, EntryAttribute, HeaderAttribute};

/// Number of the subsystem, `NFNL_SUBSYS_IPSET` (`include/uapi/linux/netfilter/nfnetlink.h`).
pub const SUBSYSTEM: u8 = 6;

/// Newest supported protocol version, of Linux 4.20 and later.
pub const PROTOCOL: u8 = 7;

/// Oldest supported protocol version, of Linux 2.6.39 and later.
pub const PROTOCOL_MIN: u8 = 6;

/// Value of [`Message::family`].
const AF_INET: u8 = 2;

/// Length of `struct nfgenmsg`: family, version, resource.
const HEADER_BYTES: usize = 4;

/// Value of [`Attribute::Flags`] that lists only names (`IPSET_FLAG_LIST_SETNAME`).
pub const LIST_NAMES: u32 = 1 << 1;

/// Value of [`Attribute::Flags`] that lists sets without entries (`IPSET_FLAG_LIST_HEADER`).
pub const LIST_HEADERS: u32 = 1 << 2;

/// Command of a request or answer, `IPSET_CMD_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Command {
    /// Read the kernel's protocol versions (1).
    Protocol = 1,
    /// Create a set (2).
    Create = 2,
    /// Destroy a set, or all (3).
    Destroy = 3,
    /// Delete the entries of a set, or of all (4).
    Flush = 4,
    /// Rename a set (5).
    Rename = 5,
    /// Exchange the contents of two sets (6).
    Swap = 6,
    /// List sets (7).
    List = 7,
    /// Save sets (8).
    Save = 8,
    /// Add entries to a set (9).
    Add = 9,
    /// Delete entries from a set (10).
    Del = 10,
    /// Query an entry of a set (11).
    Test = 11,
    /// Read the header of a set (12).
    Header = 12,
    /// Read the revisions of a type (13).
    Type = 13,
    /// Find a set by its name (14, protocol 7).
    ByName = 14,
    /// Find a set by its index (15, protocol 7).
    ByIndex = 15,
}

impl Command {
    /// Every command, ordered by number.
    pub const ALL: [Self; 15] = [
        Self::Protocol,
        Self::Create,
        Self::Destroy,
        Self::Flush,
        Self::Rename,
        Self::Swap,
        Self::List,
        Self::Save,
        Self::Add,
        Self::Del,
        Self::Test,
        Self::Header,
        Self::Type,
        Self::ByName,
        Self::ByIndex,
    ];

    /// Returns the number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Returns true if the attribute `IPSET_ATTR_DATA` of this command is an entry, not the header
    /// of a set.
    fn is_about_entries(self) -> bool {
        matches!(self, Self::Add | Self::Del | Self::Test)
    }
}

impl TryFrom<u8> for Command {
    type Error = DecodeError;

    fn try_from(number: u8) -> Result<Self, DecodeError> {
        let mut all = Self::ALL.into_iter();
        all.find(|command| command.number() == number)
            .ok_or_else(|| format!("{number} is not a command of ipset").into())
    }
}

/// A message without its netlink header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The command.
    pub command: Command,
    /// `nfgen_family`. The ipset program and the kernel send 2 (`AF_INET`) whatever the set's
    /// family, and ignore it.
    pub family: u8,
    /// The attributes in order.
    pub attributes: Vec<Attribute>,
}

impl Message {
    /// Returns a message of `command` with `attributes`.
    #[must_use]
    pub fn new(command: Command, attributes: Vec<Attribute>) -> Self {
        Self {
            command,
            family: AF_INET,
            attributes,
        }
    }

    /// Returns the bytes after the netlink header.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.buffer_len()];
        self.serialize(&mut bytes);
        bytes
    }

    /// Parses the bytes after the netlink header of a message of `command`.
    ///
    /// # Errors
    ///
    /// The message or an attribute is truncated, or the length of an attribute does not match its
    /// type.
    pub fn decode(command: Command, bytes: &[u8]) -> Result<Self, DecodeError> {
        let family = *bytes
            .first()
            .ok_or("an ipset message has a header of 4 bytes")?;
        let rest = bytes
            .get(HEADER_BYTES..)
            .ok_or("an ipset message has a header of 4 bytes")?;
        let of_entry = command.is_about_entries();
        let attributes = NlasIterator::new(rest)
            .map(|attribute| {
                let buffer: NlaBuffer<&[u8]> = attribute?;
                Attribute::parse_with_param(&buffer, of_entry)
            })
            .collect::<Result<_, DecodeError>>()
            .with_context(|| format!("in a message of command {command:?}"))?;
        Ok(Self {
            command,
            family,
            attributes,
        })
    }
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        u16::from(SUBSYSTEM) << 8 | u16::from(self.command.number())
    }

    fn buffer_len(&self) -> usize {
        HEADER_BYTES + self.attributes.as_slice().buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, rest) = buffer.split_at_mut(HEADER_BYTES);
        header.copy_from_slice(&[self.family, 0, 0, 0]);
        self.attributes.as_slice().emit(rest);
    }
}
