//! Between messages and words.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

use super::{Attribute, Command, EntryAttribute, HeaderAttribute, Message};
use crate::types::{Entry, Family, HashType, Header, Protocol, SetName};

/// The largest initial hash: beyond it the kernel lets the hash grow by itself.
const HASH_SIZE_MAX: u32 = 1 << 20;

/// `NFPROTO_IPV4`, `NFPROTO_IPV6` and `NFPROTO_UNSPEC`.
const INET: u8 = 2;
const INET6: u8 = 10;
const UNSPECIFIED: u8 = 0;

/// Creates a set for about `expected` entries. The hash begins large enough: growing it means moving
/// all that it holds.
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

/// ipset's own default is 1024; a bucket holds 12 entries by default, half full is good.
fn hash_size(expected: usize, max_elements: u32) -> u32 {
    let expected = u32::try_from(expected)
        .unwrap_or(u32::MAX)
        .min(max_elements);
    (expected / 4)
        .clamp(1_024, HASH_SIZE_MAX)
        .checked_next_power_of_two()
        .unwrap_or(HASH_SIZE_MAX)
}

/// The name of the type and the number of the family of a set like `header`.
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

/// Asks for the revisions of a type.
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

/// Adds or deletes `entries`, which are numbered from 1: where the kernel refuses one it sends the message
/// back with [`Attribute::Line`] set to its number, and does none behind it (`ip_set_ad` and `call_ad`,
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

/// The number of the entry that the kernel refused, in a message of [`changes`] that it sent back. None
/// where the refusal is not about an entry.
#[must_use]
pub fn refused_line(message: &Message) -> Option<usize> {
    let line = (message.attributes.iter()).find_map(|attribute| match attribute {
        Attribute::Line(line) => Some(*line),
        _ => None,
    })?;
    usize::try_from(line).ok().filter(|line| *line > 0)
}

/// Returns the attributes by which the kernel knows an entry.
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

/// The name of the set that a message of a list is about.
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

/// Returns the header of the set in a list; none in a message that goes on with the entries of the set before.
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
            // A timeout, counters, comments, a netmask.
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

/// The entries in a message about a set like `header`. None where one of them cannot be told: it has what
/// is not known here, such as a time-out or `nomatch`, or does not fit the set. Of sets that are not supported nothing is read.
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

/// A network of one host may come without its length.
fn network(address: IpAddr, length: Option<u8>) -> Option<IpNetwork> {
    let length = length.unwrap_or(match address {
        IpAddr::V4(_) => Ipv4Addr::BITS,
        IpAddr::V6(_) => Ipv6Addr::BITS,
    } as u8);
    IpNetwork::new(address, length).ok()
}
