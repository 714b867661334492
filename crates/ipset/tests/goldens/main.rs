//! The bytes of `ipset` and of the kernel, as `examples/record_ipset.rs` saw them, and what neither of them
//! sends, by hand. Lengths are in the order of the machine, so the files are those of one kind of machine.
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

/// The command that the meaning begins with.
fn command(captured: &Captured) -> Command {
    let word = captured.meaning.lines().next().unwrap_or_default();
    (Command::ALL.into_iter())
        .find(|command| format!("{command:?}") == word)
        .unwrap_or_else(|| panic!("`{word}` is not a command"))
}

/// Every message that is sent in this direction.
fn messages(direction: Direction) -> Vec<Captured> {
    let messages = GOLDENS.all().into_iter().flat_map(|golden| golden.messages);
    let messages: Vec<_> = messages
        .filter(|captured| captured.direction == direction)
        .collect();
    assert!(!messages.is_empty(), "no message {direction}");
    messages
}

/// The message of a golden.
fn message(captured: &Captured) -> Message {
    GOLDENS.message(captured)
}

#[test]
fn bytes_mean_what_is_written_beside_them() {
    GOLDENS.check_meanings();
}

#[test]
fn what_the_program_sends_is_written_byte_for_byte() {
    for captured in messages(Direction::ToKernel) {
        let bytes = message(&captured).encode();
        assert_eq!(bytes, captured.bytes, "{}", captured.meaning);
    }
}

/// The kernel does not mark its addresses as being in network order.
#[test]
fn what_the_kernel_sends_is_written_but_for_the_mark_of_addresses() {
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
fn files_are_as_they_would_be_written() {
    GOLDENS.check_texts();
}

/// Cut at any length a message is read in part or not at all; nothing panics, and nothing is made up.
#[test]
fn messages_cut_at_every_length() {
    GOLDENS.check_cut_messages();
}

/// A wrong byte anywhere is a wrong value or an error, never a panic.
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

/// By the words with which they print.
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
