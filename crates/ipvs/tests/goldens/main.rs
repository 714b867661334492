//! Tests with messages between `ipvsadm` and the kernel that `examples/record.rs` captured, and
//! with handmade messages that neither of them sends. Numbers are in host order, so that the files
//! are valid only on little-endian machines.
#![cfg(target_endian = "little")]

mod coverage;
mod format;
mod meaning;

use std::path::Path;

use ipvs::codec::Message;
use netlink_packet_core::{DecodeError, Emitable as _, ParseableParametrized as _};
use netlink_packet_generic::GenlHeader;

use format::{Captured, Golden, explain};

/// Returns every golden with its file's name and text, ordered by name.
fn goldens() -> Vec<(String, String, Golden)> {
    let mut goldens = Vec::new();
    for folder in ["captured", "by_hand"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/goldens")
            .join(folder);
        let entries =
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        for entry in entries {
            let path = entry.expect("a file").path();
            let text =
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let golden = Golden::parse(&text);
            goldens.push((name, text, golden));
        }
    }
    goldens.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    goldens
}

fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
    let header = GenlHeader::parse(bytes)?;
    Message::parse_with_param(bytes.get(4..).unwrap_or_default(), header)
}

/// Decodes the message of a golden.
fn message(captured: &Captured) -> Message {
    decode(&captured.bytes).unwrap_or_else(|error| panic!("{}: {error}", captured.meaning))
}

#[test]
fn bytes_decode_to_the_recorded_meaning() {
    for (name, _, golden) in goldens() {
        assert!(!golden.messages.is_empty(), "{name} has no messages");
        for captured in &golden.messages {
            assert_eq!(explain(&message(captured)), captured.meaning, "{name}");
        }
    }
}

#[test]
fn decoded_messages_encode_to_the_same_bytes() {
    for (name, _, golden) in goldens() {
        for captured in &golden.messages {
            let message = message(captured);
            let mut bytes = vec![message.command.number(), ipvs::codec::FAMILY_VERSION, 0, 0];
            bytes.resize(4 + message.buffer_len(), 0xaa);
            message.emit(&mut bytes[4..]);
            assert_eq!(bytes, captured.bytes, "{name}: {}", captured.meaning);
        }
    }
}

#[test]
fn files_have_the_canonical_format() {
    for (name, text, golden) in goldens() {
        assert_eq!(golden.print(), text, "{name}");
        assert!(
            !golden.origin.is_empty() && !golden.command.is_empty(),
            "{name}"
        );
    }
}

/// A message cut at any length decodes to its first attributes or not at all. Nothing panics.
#[test]
fn messages_cut_at_every_length() {
    for (_, _, golden) in goldens() {
        for captured in &golden.messages {
            let whole = explain(&message(captured));
            for length in 0..captured.bytes.len() {
                if let Ok(message) = decode(&captured.bytes[..length]) {
                    let part = explain(&message);
                    assert!(whole.starts_with(&part), "{length}: {part} in {whole}");
                    meaning::read_all(&message);
                }
            }
        }
    }
}

/// A wrong byte results in a wrong value or an error, never a panic.
#[test]
fn messages_with_a_wrong_byte() {
    for (_, _, golden) in goldens() {
        for captured in &golden.messages {
            for position in 0..captured.bytes.len() {
                for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                    let mut bytes = captured.bytes.clone();
                    bytes[position] = value;
                    if let Ok(message) = decode(&bytes) {
                        meaning::read_all(&message);
                    }
                }
            }
        }
    }
}
