//! Tests with messages between `ipset` and the kernel that `examples/record_ipset.rs` captured, and
//! with handmade messages that neither of them sends. Lengths are in host order, so that the files
//! are valid only on little-endian machines.
#![cfg(target_endian = "little")]

mod format;
mod meaning;

use std::collections::BTreeSet;
use std::path::Path;

use ipset::codec::{Attribute, Command, Message};

use format::{Captured, FROM_KERNEL, Golden, TO_KERNEL, explain};

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
            let name = path.file_stem().expect("a name").to_string_lossy();
            let golden = Golden::parse(&text);
            goldens.push((name.into_owned(), text, golden));
        }
    }
    goldens.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    goldens
}

/// Returns the golden `name`.
fn golden(name: &str) -> Golden {
    let mut goldens = goldens().into_iter();
    let found = goldens.find(|(known, ..)| known == name);
    found.unwrap_or_else(|| panic!("no golden {name}")).2
}

/// Decodes the message of a golden.
fn message(captured: &Captured) -> Message {
    Message::decode(captured.command(), &captured.bytes)
        .unwrap_or_else(|error| panic!("{}: {error}", captured.meaning))
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
fn messages_of_ipset_encode_to_the_same_bytes() {
    for (name, _, golden) in goldens() {
        for captured in golden
            .messages
            .iter()
            .filter(|one| one.direction == TO_KERNEL)
        {
            let bytes = message(captured).encode();
            assert_eq!(bytes, captured.bytes, "{name}: {}", captured.meaning);
        }
    }
}

/// The kernel does not set the flag of network order for its addresses.
#[test]
fn messages_of_the_kernel_encode_to_the_same_bytes_except_flags() {
    const MARK: u8 = 0x40;
    for (name, _, golden) in goldens() {
        for captured in (golden.messages.iter()).filter(|one| one.direction == FROM_KERNEL) {
            let message = message(captured);
            let mut bytes = message.encode();
            assert_eq!(bytes.len(), captured.bytes.len(), "{name}");
            for (written, read) in bytes.iter_mut().zip(&captured.bytes) {
                if *written == *read | MARK {
                    *written = *read;
                }
            }
            assert_eq!(bytes, captured.bytes, "{name}: {}", captured.meaning);
            let again = Message::decode(message.command, &message.encode());
            assert_eq!(again.ok().as_ref(), Some(&message), "{name}");
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
                if let Ok(message) = Message::decode(captured.command(), &captured.bytes[..length])
                {
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
                    if let Ok(message) = Message::decode(captured.command(), &bytes) {
                        meaning::read_all(&message);
                    }
                }
            }
        }
    }
}

#[test]
fn every_command_has_a_golden() {
    let seen: BTreeSet<Command> = (goldens().iter())
        .flat_map(|(_, _, golden)| golden.messages.iter().map(Captured::command))
        .collect();
    for command in Command::ALL {
        assert!(seen.contains(&command), "{command:?} has no golden");
    }
}

/// Finds attributes by the names with which they print.
#[test]
fn every_attribute_has_a_golden() {
    let mut seen = BTreeSet::new();
    for (_, _, golden) in goldens() {
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
    let unknown = (goldens().iter())
        .flat_map(|(_, _, golden)| golden.messages.iter().map(message))
        .flat_map(|message| message.attributes)
        .any(|attribute| matches!(attribute, Attribute::Other(_)));
    assert!(unknown, "an unknown attribute of a command has no golden");
}
