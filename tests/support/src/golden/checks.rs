//! Checks a codec against its goldens.

use std::path::Path;

use netlink_packet_core::DecodeError;

use super::{Captured, Golden};

/// Goldens of a crate, and the codec that they check.
#[derive(Debug)]
pub struct Goldens<M> {
    /// Folder that contains the folders `captured` and `by_hand`.
    pub folder: &'static str,
    /// Decodes bytes as a message of the same command as the captured one.
    pub decode: fn(&Captured, &[u8]) -> Result<M, DecodeError>,
    /// Returns the meaning of a message.
    pub explain: fn(&M) -> String,
    /// Calls every function that reads messages, to check that none of them panics.
    pub read_all: fn(&M),
}

impl<M> Goldens<M> {
    /// Returns every golden, ordered by name.
    ///
    /// # Panics
    ///
    /// Panics if a file cannot be read or the folder has no golden.
    #[must_use]
    pub fn all(&self) -> Vec<Golden> {
        let files = self.files().into_iter();
        files
            .map(|(name, text)| Golden::parse(&name, &text))
            .collect()
    }

    /// Returns the golden `name`.
    ///
    /// # Panics
    ///
    /// Panics if the golden does not exist.
    #[must_use]
    pub fn get(&self, name: &str) -> Golden {
        let found = self.all().into_iter().find(|golden| golden.name == name);
        found.unwrap_or_else(|| panic!("no golden {name}"))
    }

    /// Decodes a message of a golden.
    ///
    /// # Panics
    ///
    /// Panics if the message cannot be decoded.
    #[must_use]
    pub fn message(&self, captured: &Captured) -> M {
        let message = (self.decode)(captured, &captured.bytes);
        message.unwrap_or_else(|error| panic!("{}: {error}", captured.meaning))
    }

    /// Checks that each message decodes to the recorded meaning.
    ///
    /// # Panics
    ///
    /// Panics if a message has a different meaning or a golden has no message.
    pub fn check_meanings(&self) {
        for golden in self.all() {
            assert!(!golden.messages.is_empty(), "{} is empty", golden.name);
            for captured in &golden.messages {
                let meaning = (self.explain)(&self.message(captured));
                assert_eq!(meaning, captured.meaning, "{}", golden.name);
            }
        }
    }

    /// Checks that each file has the canonical format.
    ///
    /// # Panics
    ///
    /// Panics if a file has a different format or lacks its command or origin.
    pub fn check_texts(&self) {
        for (name, text) in self.files() {
            let golden = Golden::parse(&name, &text);
            assert_eq!(golden.print(), text, "{name}");
            assert!(!golden.origin.is_empty(), "{name}");
            assert!(!golden.command.is_empty(), "{name}");
        }
    }

    /// Checks that a truncated message decodes to its first attributes or is rejected.
    ///
    /// # Panics
    ///
    /// Panics if the meaning is not a prefix of the whole message's meaning, or a reader panics.
    pub fn check_cut_messages(&self) {
        for captured in self.all().iter().flat_map(|golden| &golden.messages) {
            let whole = (self.explain)(&self.message(captured));
            for length in 0..captured.bytes.len() {
                if let Ok(message) = (self.decode)(captured, &captured.bytes[..length]) {
                    let part = (self.explain)(&message);
                    assert!(whole.starts_with(&part), "{length}: {part} in {whole}");
                    (self.read_all)(&message);
                }
            }
        }
    }

    /// Checks that a message with a wrong byte decodes to a wrong value or is rejected.
    ///
    /// # Panics
    ///
    /// Panics if the decoder or a reader panics.
    pub fn check_wrong_bytes(&self) {
        for captured in self.all().iter().flat_map(|golden| &golden.messages) {
            for position in 0..captured.bytes.len() {
                for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                    let mut bytes = captured.bytes.clone();
                    bytes[position] = value;
                    if let Ok(message) = (self.decode)(captured, &bytes) {
                        (self.read_all)(&message);
                    }
                }
            }
        }
    }

    /// Returns the name and the text of each file.
    fn files(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        for folder in ["captured", "by_hand"] {
            let folder = Path::new(self.folder).join(folder);
            let entries = folder.read_dir();
            for entry in entries.unwrap_or_else(|error| panic!("{folder:?}: {error}")) {
                let path = entry.expect("a file").path();
                let text = std::fs::read_to_string(&path);
                let text = text.unwrap_or_else(|error| panic!("{path:?}: {error}"));
                let name = path.file_stem().expect("a name").to_string_lossy();
                files.push((name.into_owned(), text));
            }
        }
        assert!(!files.is_empty(), "no goldens in {}", self.folder);
        files.sort();
        files
    }
}
