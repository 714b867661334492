use std::net::IpAddr;

use netlink_packet_core::{DefaultNla, NetlinkSerializable as _};
use proptest::prelude::*;

use super::convert::{
    changes, create, entries_of, entry_attributes, header_of, refused_line, set_name_of,
};
use super::{Attribute, Command, EntryAttribute, HeaderAttribute, Message};
use crate::testing::{entry, header, name, set};
use crate::types::{Entry, Family, HashType, Header, Protocol, SetName};

fn command() -> impl Strategy<Value = Command> {
    prop::sample::select(Command::ALL.to_vec())
}

/// Returns attributes with unknown numbers.
fn other() -> impl Strategy<Value = DefaultNla> {
    let value = prop::collection::vec(any::<u8>(), 0..9);
    (100_u16..200, value).prop_map(|(kind, value)| DefaultNla::new(kind, value))
}

fn header_attribute() -> impl Strategy<Value = HeaderAttribute> {
    use HeaderAttribute as A;
    prop_oneof![
        any::<u16>().prop_map(A::Port),
        any::<u16>().prop_map(A::PortTo),
        any::<u32>().prop_map(A::HashSize),
        any::<u32>().prop_map(A::MaxElements),
        any::<u32>().prop_map(A::Elements),
        any::<u32>().prop_map(A::References),
        any::<u32>().prop_map(A::MemorySize),
        any::<u8>().prop_map(A::BucketSize),
        any::<u32>().prop_map(A::InitialValue),
        other().prop_map(A::Other),
    ]
}

fn entry_attribute() -> impl Strategy<Value = EntryAttribute> {
    use EntryAttribute as A;
    prop_oneof![
        any::<IpAddr>().prop_map(A::Ip),
        any::<u16>().prop_map(A::Port),
        any::<u8>().prop_map(A::Protocol),
        any::<IpAddr>().prop_map(A::Ip2),
        any::<u8>().prop_map(A::Cidr2),
        any::<u32>().prop_map(A::Line),
        other().prop_map(A::Other),
    ]
}

fn attribute(of_entry: bool) -> BoxedStrategy<Attribute> {
    use Attribute as A;
    let entry = || prop::collection::vec(entry_attribute(), 0..5);
    let data = if of_entry {
        entry().prop_map(A::Entry).boxed()
    } else {
        prop::collection::vec(header_attribute(), 0..5)
            .prop_map(A::Header)
            .boxed()
    };
    prop_oneof![
        any::<u8>().prop_map(A::Protocol),
        "[!-~]{0,40}".prop_map(A::SetName),
        "[!-~]{0,40}".prop_map(A::TypeName),
        any::<u8>().prop_map(A::Revision),
        any::<u8>().prop_map(A::Family),
        any::<u32>().prop_map(A::Flags),
        data,
        prop::collection::vec(entry(), 0..4).prop_map(A::Entries),
        any::<u32>().prop_map(A::Line),
        any::<u8>().prop_map(A::Minimum),
        any::<u16>().prop_map(A::Index),
        other().prop_map(A::Other),
    ]
    .boxed()
}

fn message() -> impl Strategy<Value = Message> {
    (command(), any::<u8>()).prop_flat_map(|(command, family)| {
        let attributes = prop::collection::vec(attribute(command.is_about_entries()), 0..6);
        attributes.prop_map(move |attributes| Message {
            command,
            family,
            attributes,
        })
    })
}

proptest! {
    #[test]
    fn encoded_message_decodes_unchanged(message in message()) {
        let read = Message::decode(message.command, &message.encode());
        prop_assert_eq!(read.ok(), Some(message));
    }

    #[test]
    fn decode_never_panics(command in command(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::decode(command, &bytes) {
            let _ = (set_name_of(&message), header_of(&message), refused_line(&message));
        }
    }

    #[test]
    fn headers_decode_unchanged(name in name(), header in header(), expected in any::<usize>()) {
        let message = create(7, &name, header, 5, expected).expect("a type that can be created");
        prop_assert_eq!(set_name_of(&message), Some(name));
        prop_assert_eq!(header_of(&message), Some(header));
    }

    #[test]
    fn entries_decode_unchanged(name in name(), set in set()) {
        let message = changes(7, Command::Add, &name, set.entries.iter().copied());
        let message = Message::decode(Command::Add, &message.encode()).expect("readable");
        let entries = entries_of(&message, set.header).expect("all of them");
        prop_assert!(entries.into_iter().eq(set.entries));
        prop_assert_eq!(refused_line(&message), None);
    }

    /// The maximum number of entries in a message fits an attribute's 64 KiB.
    #[test]
    fn entry_has_at_most_84_bytes(entry in header().prop_flat_map(entry)) {
        let name = SetName::cut("A");
        let length = |count| changes(7, Command::Add, &name, std::iter::repeat_n(entry, count)).buffer_len();
        prop_assert!(length(2) - length(1) <= 84);
    }
}

#[test]
fn commands_have_their_numbers() {
    for (number, command) in (1..).zip(Command::ALL) {
        assert_eq!(command.number(), number);
        assert_eq!(Command::try_from(number).ok(), Some(command));
        let message = Message::new(command, Vec::new());
        assert_eq!(message.message_type(), 0x0600 | u16::from(number));
    }
    let error = Command::try_from(16).expect_err("unknown");
    assert_eq!(error.to_string(), "16 is not a command of ipset");
}

/// Checks the initial size of a hash.
fn check_size(expected: usize, max_elements: u32, size: u32) {
    let header = Header::Hash {
        hash_type: HashType::Ip,
        family: Family::Inet,
        max_elements,
    };
    let message = create(7, &SetName::cut("A"), header, 5, expected).expect("a known type");
    let attributes = match message.attributes.last() {
        Some(Attribute::Header(attributes)) => attributes,
        other => panic!("{other:?}"),
    };
    assert_eq!(attributes[0], HeaderAttribute::HashSize(size));
}

#[test]
fn initial_hash_size_fits_the_entries() {
    check_size(0, 65_536, 1_024);
    check_size(4_096, 65_536, 1_024);
    check_size(5_000, 65_536, 2_048);
    check_size(20_000, 65_536, 8_192);
    // At most the set's limit, and at most the size that the kernel reaches by growing.
    check_size(20_000, 100, 1_024);
    check_size(usize::MAX, u32::MAX, 1 << 20);
}

/// No entry is decoded for an unsupported set, and all or none for a supported one.
#[test]
fn unsupported_entry_rejects_the_message() {
    let name = SetName::cut("A");
    let entry = Entry::IpPort([10, 0, 0, 1].into(), Protocol::TCP, 80);
    let header = Header::Hash {
        hash_type: HashType::IpPort,
        family: Family::Inet,
        max_elements: 65_536,
    };
    let check = |attributes: Vec<EntryAttribute>, expected: Option<Vec<Entry>>| {
        let mut message = changes(7, Command::Add, &name, [entry].into_iter());
        message
            .attributes
            .push(Attribute::Entries(vec![attributes]));
        assert_eq!(entries_of(&message, header), expected);
        assert_eq!(entries_of(&message, Header::Unsupported), Some(Vec::new()));
    };
    check(entry_attributes(entry), Some(vec![entry, entry]));
    check(entry_attributes(entry)[..2].to_vec(), None);
    let mut timed = entry_attributes(entry);
    timed.push(EntryAttribute::Other(DefaultNla::new(6, vec![0; 4])));
    check(timed, None);
    // An IPv6 address in a set of IPv4 addresses.
    let other = Entry::IpPort(IpAddr::from([0; 16]), Protocol::TCP, 80);
    check(entry_attributes(other), None);
}

#[test]
fn refused_line_is_found() {
    let check = |attributes: Vec<Attribute>, line: Option<usize>| {
        assert_eq!(refused_line(&Message::new(Command::Add, attributes)), line);
    };
    check(vec![], None);
    check(vec![Attribute::Line(0)], None);
    check(vec![Attribute::Protocol(7), Attribute::Line(3)], Some(3));
}
