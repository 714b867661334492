//! Tests with messages between `ipset` and the kernel that `examples/record_ipset.rs` captured, and
//! with handmade messages that neither of them sends. Lengths are in host order, so that the files
//! are valid only on little-endian machines.
#![cfg(target_endian = "little")]

mod format;
mod meaning;

use std::collections::BTreeSet;

use ipset::codec::{Attribute, Command, Message};
use netlink_packet_core::DecodeError;
use support::golden::{Captured, Direction, Goldens};

use format::explain;

const GOLDENS: Goldens<Message> = Goldens {
    folder: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens"),
    decode,
    explain,
    read_all: meaning::read_all,
};

fn decode(captured: &Captured, bytes: &[u8]) -> Result<Message, DecodeError> {
    Message::decode(command(captured), bytes)
}

/// Returns the command in the first line of the meaning.
fn command(captured: &Captured) -> Command {
    let word = captured.meaning.lines().next().unwrap_or_default();
    (Command::ALL.into_iter())
        .find(|command| format!("{command:?}") == word)
        .unwrap_or_else(|| panic!("`{word}` is not a command"))
}

/// Returns every message in this direction.
fn messages(direction: Direction) -> Vec<Captured> {
    let messages = GOLDENS.all().into_iter().flat_map(|golden| golden.messages);
    let messages: Vec<_> = messages
        .filter(|captured| captured.direction == direction)
        .collect();
    assert!(!messages.is_empty(), "no message {direction}");
    messages
}

/// Decodes the message of a golden.
fn message(captured: &Captured) -> Message {
    GOLDENS.message(captured)
}

#[test]
fn bytes_decode_to_the_recorded_meaning() {
    GOLDENS.check_meanings();
}

#[test]
fn messages_of_ipset_encode_to_the_same_bytes() {
    for captured in messages(Direction::ToKernel) {
        let bytes = message(&captured).encode();
        assert_eq!(bytes, captured.bytes, "{}", captured.meaning);
    }
}

/// The kernel does not set the flag of network order for its addresses.
#[test]
fn messages_of_the_kernel_encode_to_the_same_bytes_except_flags() {
    const MARK: u8 = 0x40;
    for captured in messages(Direction::FromKernel) {
        let message = message(&captured);
        let mut bytes = message.encode();
        assert_eq!(bytes.len(), captured.bytes.len(), "{}", captured.meaning);
        for (written, read) in bytes.iter_mut().zip(&captured.bytes) {
            if *written == *read | MARK {
                *written = *read;
            }
        }
        assert_eq!(bytes, captured.bytes, "{}", captured.meaning);
        let again = Message::decode(message.command, &message.encode());
        assert_eq!(again.ok().as_ref(), Some(&message), "{}", captured.meaning);
    }
}

#[test]
fn files_have_the_canonical_format() {
    GOLDENS.check_texts();
}

/// A message cut at any length decodes to its first attributes or not at all. Nothing panics.
#[test]
fn messages_cut_at_every_length() {
    GOLDENS.check_cut_messages();
}

/// A wrong byte results in a wrong value or an error, never a panic.
#[test]
fn messages_with_a_wrong_byte() {
    GOLDENS.check_wrong_bytes();
}

#[test]
fn every_command_has_a_golden() {
    let seen: BTreeSet<Command> = (GOLDENS.all().iter())
        .flat_map(|golden| golden.messages.iter().map(command))
        .collect();
    for command in Command::ALL {
        assert!(seen.contains(&command), "{command:?} has no golden");
    }
}

/// Finds attributes by the names with which they print.
#[test]
fn every_attribute_has_a_golden() {
    let mut seen = BTreeSet::new();
    for golden in GOLDENS.all() {
        for line in golden.messages.iter().flat_map(|one| one.meaning.lines()) {
            let word = line.trim().split('(').next().unwrap_or_default();
            seen.insert(word.to_owned());
        }
    }
    for word in [
        "Protocol",
        "SetName",
        "TypeName",
        "Revision",
        "Family",
        "Flags",
        "Header",
        "Entry",
        "Entries",
        "Line",
        "Minimum",
        "Index",
        "Port",
        "PortTo",
        "HashSize",
        "MaxElements",
        "Elements",
        "References",
        "MemorySize",
        "BucketSize",
        "InitialValue",
        "Ip",
        "Ip2",
        "Cidr2",
        "Other",
    ] {
        assert!(seen.contains(word), "{word} has no golden");
    }
    let unknown = (GOLDENS.all().iter())
        .flat_map(|golden| golden.messages.iter().map(message))
        .flat_map(|message| message.attributes)
        .any(|attribute| matches!(attribute, Attribute::Other(_)));
    assert!(unknown, "an unknown attribute of a command has no golden");
}
