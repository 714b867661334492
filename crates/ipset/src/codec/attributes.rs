//! Attributes. Names, numbers and types are those of `include/uapi/linux/netfilter/ipset/ip_set.h`,
//! Linux 6.1.
//!
//! Numbers of more than one byte are in network order and have the flag `NLA_F_NET_BYTEORDER`.
//! Addresses from the kernel are in network order too, but lack the flag; the codec writes them
//! with it, as the ipset program does. Apart from that flag, decoding and encoding a message
//! preserves its bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable as _, ErrorContext as _, NLA_F_NESTED, NLA_F_NET_BYTEORDER,
    Nla, NlaBuffer, NlasIterator, Parseable, ParseableParametrized,
};

/// Attributes of a message, `IPSET_ATTR_*` at the level of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// The protocol of this message (1).
    Protocol(u8),
    /// The set's name (2).
    SetName(String),
    /// The set's type; for `Rename` and `Swap` the name of the other set (3).
    TypeName(String),
    /// The type's revision (4).
    Revision(u8),
    /// The family of the set's addresses, `NFPROTO_*` (5).
    Family(u8),
    /// Flags of the command (6).
    Flags(u32),
    /// The properties of a set (7).
    Header(Vec<HeaderAttribute>),
    /// One entry (7).
    Entry(Vec<EntryAttribute>),
    /// Many entries (8).
    Entries(Vec<Vec<EntryAttribute>>),
    /// The number of a line, which the kernel returns with an error (9).
    Line(u32),
    /// The oldest supported protocol or revision (10).
    Minimum(u8),
    /// The index by which rules refer to a set (11).
    Index(u16),
    /// Any other attribute.
    Other(DefaultNla),
}

/// Attributes of a set's header, `IPSET_ATTR_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderAttribute {
    /// The first port (4).
    Port(u16),
    /// The last port (5).
    PortTo(u16),
    /// `hashsize` (18).
    HashSize(u32),
    /// `maxelem` (19).
    MaxElements(u32),
    /// The number of entries (24).
    Elements(u32),
    /// The number of rules and sets that use it (25).
    References(u32),
    /// The memory use of the set, bytes (26).
    MemorySize(u32),
    /// The number of entries in a bucket of the hash (21).
    BucketSize(u8),
    /// `initval`: the initial value of the hash function (17).
    InitialValue(u32),
    /// Any other attribute: the set has options that this crate does not support.
    Other(DefaultNla),
}

/// Attributes of an entry, `IPSET_ATTR_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryAttribute {
    /// The first address (1).
    Ip(IpAddr),
    /// The port (4).
    Port(u16),
    /// The protocol (7).
    Protocol(u8),
    /// The second address (20).
    Ip2(IpAddr),
    /// The prefix length of the second address (21).
    Cidr2(u8),
    /// The number of the entry in its message, by which the kernel names a refused one (9).
    Line(u32),
    /// Any other attribute: a timeout, a counter, a comment, `nomatch`.
    Other(DefaultNla),
}

const SET_NAME: u16 = 2;
const TYPE_NAME: u16 = 3;
const DATA: u16 = 7;
const ENTRIES: u16 = 8;
const LINE: u16 = 9;

/// `IPSET_ATTR_IPADDR_IPV4` and `_IPV6`.
const IPV4: u16 = 1;
const IPV6: u16 = 2;

impl Nla for Attribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Protocol(_) | Self::Revision(_) | Self::Family(_) | Self::Minimum(_) => 1,
            Self::Index(_) => 2,
            Self::SetName(name) | Self::TypeName(name) => name.len() + 1,
            Self::Flags(_) | Self::Line(_) => 4,
            Self::Header(header) => header.as_slice().buffer_len(),
            Self::Entry(entry) => entry.as_slice().buffer_len(),
            Self::Entries(entries) => entries
                .iter()
                .map(|entry| 4 + entry.as_slice().buffer_len())
                .sum(),
            Self::Other(attribute) => attribute.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Protocol(_) => 1,
            Self::SetName(_) => SET_NAME,
            Self::TypeName(_) => TYPE_NAME,
            Self::Revision(_) => 4,
            Self::Family(_) => 5,
            Self::Flags(_) => 6 | NLA_F_NET_BYTEORDER,
            Self::Header(_) | Self::Entry(_) => DATA | NLA_F_NESTED,
            Self::Entries(_) => ENTRIES | NLA_F_NESTED,
            Self::Line(_) => LINE | NLA_F_NET_BYTEORDER,
            Self::Minimum(_) => 10,
            Self::Index(_) => 11 | NLA_F_NET_BYTEORDER,
            Self::Other(attribute) => attribute.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Protocol(value)
            | Self::Revision(value)
            | Self::Family(value)
            | Self::Minimum(value) => buffer[0] = *value,
            Self::SetName(name) | Self::TypeName(name) => {
                let (text, end) = buffer.split_at_mut(name.len());
                text.copy_from_slice(name.as_bytes());
                end.fill(0);
            }
            Self::Index(index) => buffer.copy_from_slice(&index.to_be_bytes()),
            Self::Flags(flags) => buffer.copy_from_slice(&flags.to_be_bytes()),
            Self::Line(line) => buffer.copy_from_slice(&line.to_be_bytes()),
            Self::Header(header) => header.as_slice().emit(buffer),
            Self::Entry(entry) => entry.as_slice().emit(buffer),
            Self::Entries(entries) => emit_entries(entries, buffer),
            Self::Other(attribute) => attribute.emit_value(buffer),
        }
    }
}

/// Writes each entry as a nested attribute `IPSET_ATTR_DATA`.
fn emit_entries(entries: &[Vec<EntryAttribute>], buffer: &mut [u8]) {
    let mut rest = buffer;
    for entry in entries {
        let length = 4 + entry.as_slice().buffer_len();
        let (this, others) = rest.split_at_mut(length);
        let (head, value) = this.split_at_mut(4);
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        head[..2].copy_from_slice(&length.to_ne_bytes());
        head[2..].copy_from_slice(&(DATA | NLA_F_NESTED).to_ne_bytes());
        entry.as_slice().emit(value);
        rest = others;
    }
}

/// Parses an attribute. If the parameter is true, `IPSET_ATTR_DATA` is an entry, otherwise the
/// header of a set.
impl<'a, T: AsRef<[u8]> + ?Sized> ParseableParametrized<NlaBuffer<&'a T>, bool> for Attribute {
    fn parse_with_param(buffer: &NlaBuffer<&'a T>, of_entry: bool) -> Result<Self, DecodeError> {
        let value = buffer.value();
        Ok(match buffer.kind() {
            1 => Self::Protocol(byte(value)?),
            SET_NAME => Self::SetName(text(value)?),
            TYPE_NAME => Self::TypeName(text(value)?),
            4 => Self::Revision(byte(value)?),
            5 => Self::Family(byte(value)?),
            6 => Self::Flags(u32::from_be_bytes(array(value)?)),
            DATA if of_entry => Self::Entry(nested(value).context("in an entry")?),
            DATA => Self::Header(nested(value).context("in a set's header")?),
            ENTRIES => Self::Entries(entries(value)?),
            LINE => Self::Line(u32::from_be_bytes(array(value)?)),
            10 => Self::Minimum(byte(value)?),
            11 => Self::Index(u16::from_be_bytes(array(value)?)),
            _ => Self::Other(DefaultNla::parse(buffer)?),
        })
    }
}

fn nested<'a, T: Parseable<NlaBuffer<&'a [u8]>>>(value: &'a [u8]) -> Result<Vec<T>, DecodeError> {
    NlasIterator::new(value)
        .map(|attribute| T::parse(&attribute?))
        .collect()
}

fn entries(value: &[u8]) -> Result<Vec<Vec<EntryAttribute>>, DecodeError> {
    NlasIterator::new(value)
        .map(|attribute| nested(attribute?.value()).context("in an entry"))
        .collect()
}

impl Nla for HeaderAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Port(_) | Self::PortTo(_) => 2,
            Self::BucketSize(_) => 1,
            Self::HashSize(_)
            | Self::MaxElements(_)
            | Self::Elements(_)
            | Self::References(_)
            | Self::MemorySize(_)
            | Self::InitialValue(_) => 4,
            Self::Other(attribute) => attribute.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        let number = match self {
            Self::Port(_) => 4,
            Self::PortTo(_) => 5,
            Self::InitialValue(_) => 17,
            Self::HashSize(_) => 18,
            Self::MaxElements(_) => 19,
            Self::BucketSize(_) => return 21,
            Self::Elements(_) => 24,
            Self::References(_) => 25,
            Self::MemorySize(_) => 26,
            Self::Other(attribute) => return attribute.kind(),
        };
        number | NLA_F_NET_BYTEORDER
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Port(port) | Self::PortTo(port) => buffer.copy_from_slice(&port.to_be_bytes()),
            Self::BucketSize(size) => buffer[0] = *size,
            Self::HashSize(number)
            | Self::MaxElements(number)
            | Self::Elements(number)
            | Self::References(number)
            | Self::MemorySize(number)
            | Self::InitialValue(number) => buffer.copy_from_slice(&number.to_be_bytes()),
            Self::Other(attribute) => attribute.emit_value(buffer),
        }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Parseable<NlaBuffer<&'a T>> for HeaderAttribute {
    fn parse(buffer: &NlaBuffer<&'a T>) -> Result<Self, DecodeError> {
        let value = buffer.value();
        let number = || array(value).map(u32::from_be_bytes);
        Ok(match buffer.kind() {
            4 => Self::Port(u16::from_be_bytes(array(value)?)),
            5 => Self::PortTo(u16::from_be_bytes(array(value)?)),
            17 => Self::InitialValue(number()?),
            18 => Self::HashSize(number()?),
            19 => Self::MaxElements(number()?),
            21 => Self::BucketSize(byte(value)?),
            24 => Self::Elements(number()?),
            25 => Self::References(number()?),
            26 => Self::MemorySize(number()?),
            _ => Self::Other(DefaultNla::parse(buffer)?),
        })
    }
}

impl Nla for EntryAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Ip(IpAddr::V4(_)) | Self::Ip2(IpAddr::V4(_)) => 8,
            Self::Ip(IpAddr::V6(_)) | Self::Ip2(IpAddr::V6(_)) => 20,
            Self::Port(_) => 2,
            Self::Protocol(_) | Self::Cidr2(_) => 1,
            Self::Line(_) => 4,
            Self::Other(attribute) => attribute.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Ip(_) => 1 | NLA_F_NESTED,
            Self::Port(_) => 4 | NLA_F_NET_BYTEORDER,
            Self::Protocol(_) => 7,
            Self::Ip2(_) => 20 | NLA_F_NESTED,
            Self::Cidr2(_) => 21,
            Self::Line(_) => LINE | NLA_F_NET_BYTEORDER,
            Self::Other(attribute) => attribute.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Ip(address) | Self::Ip2(address) => emit_address(*address, buffer),
            Self::Port(port) => buffer.copy_from_slice(&port.to_be_bytes()),
            Self::Protocol(value) | Self::Cidr2(value) => buffer[0] = *value,
            Self::Line(line) => buffer.copy_from_slice(&line.to_be_bytes()),
            Self::Other(attribute) => attribute.emit_value(buffer),
        }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Parseable<NlaBuffer<&'a T>> for EntryAttribute {
    fn parse(buffer: &NlaBuffer<&'a T>) -> Result<Self, DecodeError> {
        let value = buffer.value();
        Ok(match buffer.kind() {
            1 => Self::Ip(address(value)?),
            4 => Self::Port(u16::from_be_bytes(array(value)?)),
            7 => Self::Protocol(byte(value)?),
            20 => Self::Ip2(address(value)?),
            21 => Self::Cidr2(byte(value)?),
            LINE => Self::Line(u32::from_be_bytes(array(value)?)),
            _ => Self::Other(DefaultNla::parse(buffer)?),
        })
    }
}

/// Writes the address as a nested attribute, whose type is the family.
fn emit_address(address: IpAddr, buffer: &mut [u8]) {
    let (head, value) = buffer.split_at_mut(4);
    let kind = match address {
        IpAddr::V4(address) => {
            value.copy_from_slice(&address.octets());
            IPV4
        }
        IpAddr::V6(address) => {
            value.copy_from_slice(&address.octets());
            IPV6
        }
    };
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    head[..2].copy_from_slice(&length.to_ne_bytes());
    head[2..].copy_from_slice(&(kind | NLA_F_NET_BYTEORDER).to_ne_bytes());
}

fn address(value: &[u8]) -> Result<IpAddr, DecodeError> {
    let inner = NlasIterator::new(value)
        .next()
        .ok_or("an address is missing")??;
    Ok(match inner.kind() {
        IPV4 => Ipv4Addr::from(array::<4>(inner.value())?).into(),
        IPV6 => Ipv6Addr::from(array::<16>(inner.value())?).into(),
        other => return Err(format!("{other} is not an address family").into()),
    })
}

fn byte(value: &[u8]) -> Result<u8, DecodeError> {
    array::<1>(value).map(|[byte]| byte)
}

fn array<const N: usize>(value: &[u8]) -> Result<[u8; N], DecodeError> {
    value
        .try_into()
        .map_err(|_| format!("{} bytes instead of {N}", value.len()).into())
}

/// Parses text that ends with a zero byte.
fn text(value: &[u8]) -> Result<String, DecodeError> {
    let end = value.iter().position(|byte| *byte == 0);
    let text = std::str::from_utf8(&value[..end.unwrap_or(value.len())]);
    Ok(text.map_err(|_| "a name is not UTF-8")?.to_owned())
}
