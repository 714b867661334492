//! The bytes of `ipvsadm` and of the kernel, as `examples/record.rs` saw them, and what neither of
//! them sends, by hand. Numbers are in the order of the machine, so the files are those of one kind of
//! machine.
#![cfg(target_endian = "little")]

mod coverage;
mod format;
mod meaning;

use ipvs::codec::Message;
use netlink_packet_core::{DecodeError, Emitable as _, ParseableParametrized as _};
use netlink_packet_generic::GenlHeader;
use support::golden::{Captured, Goldens};

use format::explain;

const GOLDENS: Goldens<Message> = Goldens {
    folder: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens"),
    decode,
    explain,
    read_all: meaning::read_all,
};

fn decode(_: &Captured, bytes: &[u8]) -> Result<Message, DecodeError> {
    let header = GenlHeader::parse(bytes)?;
    Message::parse_with_param(bytes.get(4..).unwrap_or_default(), header)
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
fn what_was_read_is_written_byte_for_byte() {
    for golden in GOLDENS.all() {
        for captured in &golden.messages {
            let message = message(captured);
            let mut bytes = vec![message.command.number(), ipvs::codec::FAMILY_VERSION, 0, 0];
            bytes.resize(4 + message.buffer_len(), 0xaa);
            message.emit(&mut bytes[4..]);
            assert_eq!(
                bytes, captured.bytes,
                "{}: {}",
                golden.name, captured.meaning
            );
        }
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
