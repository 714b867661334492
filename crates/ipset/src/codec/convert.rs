//! Conversion between the types of this crate and messages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

use super::{Attribute, Command, EntryAttribute, HeaderAttribute, Message};
use crate::types::{Entry, Family, HashType, Header, Protocol, SetName};

/// Largest initial size of a hash. The kernel lets the hash grow beyond it when needed.
const HASH_SIZE_MAX: u32 = 1 << 20;

/// `NFPROTO_IPV4`, `NFPROTO_IPV6` and `NFPROTO_UNSPEC`.
const INET: u8 = 2;
const INET6: u8 = 10;
const UNSPECIFIED: u8 = 0;

/// Returns the message that creates a set for about `expected` entries. The hash starts large
/// enough for them, since growing it moves every entry.
#[must_use]
pub fn create(
    protocol: u8,
    name: &SetName,
    header: Header,
    revision: u8,
    expected: usize,
) -> Option<Message> {
    let (type_name, family) = create_type(header)?;
    let attributes = match header {
        Header::Hash { max_elements, .. } => vec![
            HeaderAttribute::HashSize(hash_size(expected, max_elements)),
            HeaderAttribute::MaxElements(max_elements),
        ],
        Header::BitmapPort { first, last } => {
            vec![HeaderAttribute::Port(first), HeaderAttribute::PortTo(last)]
        }
        Header::Unsupported => return None,
    };
    Some(Message::new(
        Command::Create,
        vec![
            Attribute::Protocol(protocol),
            Attribute::SetName(name.to_string()),
            Attribute::TypeName(type_name),
            Attribute::Revision(revision),
            Attribute::Family(family),
            Attribute::Header(attributes),
        ],
    ))
}

/// Returns the initial size of a hash: a quarter of the entries, at least ipset's default of 1024.
/// A bucket has room for 12 entries by default and should be about half full.
fn hash_size(expected: usize, max_elements: u32) -> u32 {
    let expected = u32::try_from(expected)
        .unwrap_or(u32::MAX)
        .min(max_elements);
    (expected / 4)
        .clamp(1_024, HASH_SIZE_MAX)
        .checked_next_power_of_two()
        .unwrap_or(HASH_SIZE_MAX)
}

/// Returns the type's name and the family's number for a set with this header; `None` if the header
/// is unsupported.
#[must_use]
pub fn create_type(header: Header) -> Option<(String, u8)> {
    match header {
        Header::Hash {
            hash_type, family, ..
        } => {
            let family = match family {
                Family::Inet => INET,
                Family::Inet6 => INET6,
            };
            Some((hash_type.to_string(), family))
        }
        Header::BitmapPort { .. } => Some(("bitmap:port".to_owned(), UNSPECIFIED)),
        Header::Unsupported => None,
    }
}

/// Returns the request for the revisions of a type.
#[must_use]
pub fn type_request(protocol: u8, type_name: String, family: u8) -> Message {
    Message::new(
        Command::Type,
        vec![
            Attribute::Protocol(protocol),
            Attribute::TypeName(type_name),
            Attribute::Family(family),
        ],
    )
}

/// Returns the message that adds or deletes `entries`, numbered from 1.
///
/// If the kernel refuses an entry, it ignores the later ones and sends the message back with
/// [`Attribute::Line`] set to the number (`ip_set_ad` and `call_ad`,
/// net/netfilter/ipset/ip_set_core.c, Linux 6.1).
#[must_use]
pub fn changes(
    protocol: u8,
    command: Command,
    name: &SetName,
    entries: impl Iterator<Item = Entry>,
) -> Message {
    let numbered = (1..).zip(entries).map(|(line, entry)| {
        let mut attributes = entry_attributes(entry);
        attributes.push(EntryAttribute::Line(line));
        attributes
    });
    Message::new(
        command,
        vec![
            Attribute::Protocol(protocol),
            Attribute::SetName(name.to_string()),
            Attribute::Line(0),
            Attribute::Entries(numbered.collect()),
        ],
    )
}

/// Returns the number of the refused entry in a message of [`changes`] that the kernel sent back;
/// `None` if the refusal does not concern an entry.
#[must_use]
pub fn refused_line(message: &Message) -> Option<usize> {
    let line = (message.attributes.iter()).find_map(|attribute| match attribute {
        Attribute::Line(line) => Some(*line),
        _ => None,
    })?;
    usize::try_from(line).ok().filter(|line| *line > 0)
}

/// Returns the attributes that identify an entry.
#[must_use]
pub fn entry_attributes(entry: Entry) -> Vec<EntryAttribute> {
    use EntryAttribute as A;
    let of_port = |address, protocol: Protocol, port| {
        vec![A::Ip(address), A::Port(port), A::Protocol(protocol.0)]
    };
    match entry {
        Entry::Ip(address) => vec![A::Ip(address)],
        Entry::IpPort(address, protocol, port) => of_port(address, protocol, port),
        Entry::IpPortIp(address, protocol, port, other) => {
            let mut attributes = of_port(address, protocol, port);
            attributes.push(A::Ip2(other));
            attributes
        }
        Entry::IpPortNet(address, protocol, port, network) => {
            let mut attributes = of_port(address, protocol, port);
            attributes.extend([A::Ip2(network.ip()), A::Cidr2(network.prefix())]);
            attributes
        }
        Entry::Port(port) => vec![A::Port(port)],
    }
}

/// Returns the name of the set in a message of a list.
#[must_use]
pub fn set_name_of(message: &Message) -> Option<SetName> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            Attribute::SetName(name) => SetName::new(name).ok(),
            _ => None,
        })
}

/// Returns the header of the set in a message of a list; `None` if the message continues the
/// entries of the previous set.
#[must_use]
pub fn header_of(message: &Message) -> Option<Header> {
    let mut type_name = None;
    let mut family = None;
    let mut header = None;
    for attribute in &message.attributes {
        match attribute {
            Attribute::TypeName(name) => type_name = Some(name.as_str()),
            Attribute::Family(number) => family = Some(*number),
            Attribute::Header(attributes) => header = Some(attributes),
            _ => {}
        }
    }
    Some(known_header(type_name?, family, header?).unwrap_or(Header::Unsupported))
}

fn known_header(
    type_name: &str,
    family: Option<u8>,
    attributes: &[HeaderAttribute],
) -> Option<Header> {
    let (mut ports, mut max_elements) = ((None, None), None);
    for attribute in attributes {
        match attribute {
            HeaderAttribute::Port(port) => ports.0 = Some(*port),
            HeaderAttribute::PortTo(port) => ports.1 = Some(*port),
            HeaderAttribute::MaxElements(number) => max_elements = Some(*number),
            // A set with a timeout, counters, comments or a netmask is not supported.
            HeaderAttribute::Other(_) => return None,
            _ => {}
        }
    }
    if type_name == "bitmap:port" {
        return Some(Header::BitmapPort {
            first: ports.0?,
            last: ports.1?,
        });
    }
    Some(Header::Hash {
        hash_type: hash_type(type_name)?,
        family: match family? {
            INET => Family::Inet,
            INET6 => Family::Inet6,
            _ => return None,
        },
        max_elements: max_elements?,
    })
}

fn hash_type(name: &str) -> Option<HashType> {
    use HashType::{Ip, IpPort, IpPortIp, IpPortNet};
    let mut types = [Ip, IpPort, IpPortIp, IpPortNet].into_iter();
    types.find(|known| known.to_string() == name)
}

/// Returns the entries in a message about a set with this header; `None` if an entry has an
/// unsupported attribute, such as a timeout or `nomatch`, or does not fit the set. For an
/// unsupported header the result is empty.
#[must_use]
pub fn entries_of(message: &Message, header: Header) -> Option<Vec<Entry>> {
    if header == Header::Unsupported {
        return Some(Vec::new());
    }
    let lists = message
        .attributes
        .iter()
        .filter_map(|attribute| match attribute {
            Attribute::Entries(entries) => Some(entries),
            _ => None,
        });
    lists
        .flatten()
        .map(|attributes| header.fit(entry(attributes, header)?).ok())
        .collect()
}

fn entry(attributes: &[EntryAttribute], header: Header) -> Option<Entry> {
    let (mut ip, mut port, mut protocol, mut ip2, mut cidr2) = (None, None, None, None, None);
    for attribute in attributes {
        match attribute {
            EntryAttribute::Ip(address) => ip = Some(*address),
            EntryAttribute::Port(number) => port = Some(*number),
            EntryAttribute::Protocol(number) => protocol = Some(Protocol(*number)),
            EntryAttribute::Ip2(address) => ip2 = Some(*address),
            EntryAttribute::Cidr2(length) => cidr2 = Some(*length),
            EntryAttribute::Line(_) => {}
            EntryAttribute::Other(_) => return None,
        }
    }
    let hash_type = match header {
        Header::BitmapPort { .. } => return port.map(Entry::Port),
        Header::Hash { hash_type, .. } => hash_type,
        Header::Unsupported => return None,
    };
    Some(match hash_type {
        HashType::Ip => Entry::Ip(ip?),
        HashType::IpPort => Entry::IpPort(ip?, protocol?, port?),
        HashType::IpPortIp => Entry::IpPortIp(ip?, protocol?, port?, ip2?),
        HashType::IpPortNet => {
            let network = network(ip2?, cidr2)?;
            Entry::IpPortNet(ip?, protocol?, port?, network)
        }
    })
}

/// Returns the network. The length may be missing for a network of one host.
fn network(address: IpAddr, length: Option<u8>) -> Option<IpNetwork> {
    let length = length.unwrap_or(match address {
        IpAddr::V4(_) => Ipv4Addr::BITS,
        IpAddr::V6(_) => Ipv6Addr::BITS,
    } as u8);
    IpNetwork::new(address, length).ok()
}
