//! Tests with messages between `ipvsadm` and the kernel that `examples/record.rs` captured, and
//! with handmade messages that neither of them sends. Numbers are in host order, so that the files
//! are valid only on little-endian machines.
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

/// Decodes the message of a golden.
fn message(captured: &Captured) -> Message {
    GOLDENS.message(captured)
}

#[test]
fn bytes_decode_to_the_recorded_meaning() {
    GOLDENS.check_meanings();
}

#[test]
fn decoded_messages_encode_to_the_same_bytes() {
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
