//! The form of a golden: messages as they were on the wire, and what they mean.
//!
//! ```text
//! command: ipset destroy A
//! origin: ipset 7.17, Linux 6.1.176
//!
//! to the kernel
//! | 02000000 05000100 07000000 06000200 41000000
//! Destroy
//!   Protocol(7)
//!   SetName("A")
//! ```
//!
//! The bytes begin at `struct nfgenmsg`: what is before it (`struct nlmsghdr`) differs between runs, but for
//! the command, which the first word of the meaning tells.

use std::fmt::Write as _;

use ipset::codec::{Attribute, Command, Message};

/// The words before the messages that the kernel receives.
pub(crate) const TO_KERNEL: &str = "to the kernel";
/// The words before the messages that the kernel sends.
pub(crate) const FROM_KERNEL: &str = "from the kernel";
/// The words before requests that the kernel sends back, refused with the error number that follows.
pub(crate) const REFUSED: &str = "refused by the kernel with error ";

/// A file of goldens.
#[derive(Debug)]
pub(crate) struct Golden {
    /// The command that made these messages.
    pub(crate) command: String,
    /// Where they were seen.
    pub(crate) origin: String,
    /// The messages, in order.
    pub(crate) messages: Vec<Captured>,
}

/// One message.
#[derive(Debug)]
pub(crate) struct Captured {
    /// One of the words above.
    pub(crate) direction: String,
    /// `struct nfgenmsg` and attributes.
    pub(crate) bytes: Vec<u8>,
    /// Their meaning, as [`explain`] prints it.
    pub(crate) meaning: String,
}

impl Golden {
    /// The file's text.
    pub(crate) fn print(&self) -> String {
        let Self {
            command,
            origin,
            messages,
        } = self;
        let mut text = format!("command: {command}\norigin: {origin}\n");
        for message in messages {
            let _ = writeln!(text, "\n{}", message.direction);
            for line in message.bytes.chunks(32) {
                text.push('|');
                for word in line.chunks(4) {
                    text.push(' ');
                    for byte in word {
                        let _ = write!(text, "{byte:02x}");
                    }
                }
                text.push('\n');
            }
            text.push_str(&message.meaning);
        }
        text
    }

    /// Reads a file's text.
    pub(crate) fn parse(text: &str) -> Self {
        let mut golden = Self {
            command: String::new(),
            origin: String::new(),
            messages: Vec::new(),
        };
        for line in text.lines() {
            if let Some(command) = line.strip_prefix("command: ") {
                golden.command = command.to_owned();
            } else if let Some(origin) = line.strip_prefix("origin: ") {
                golden.origin = origin.to_owned();
            } else if line == FROM_KERNEL || line == TO_KERNEL || line.starts_with(REFUSED) {
                golden.messages.push(Captured {
                    direction: line.to_owned(),
                    bytes: Vec::new(),
                    meaning: String::new(),
                });
            } else if let Some(message) = golden.messages.last_mut() {
                if let Some(hex) = line.strip_prefix('|') {
                    message.bytes.extend(bytes(hex));
                } else if !line.is_empty() {
                    message.meaning.push_str(line);
                    message.meaning.push('\n');
                }
            }
        }
        golden
    }
}

impl Captured {
    /// The command that the meaning begins with.
    pub(crate) fn command(&self) -> Command {
        let word = self.meaning.lines().next().unwrap_or_default();
        (Command::ALL.into_iter())
            .find(|command| format!("{command:?}") == word)
            .unwrap_or_else(|| panic!("`{word}` is no command"))
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_ascii_whitespace().collect();
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16);
    (0..digits.len())
        .step_by(2)
        .map(|at| pair(at).unwrap_or_else(|_| panic!("`{hex}` is no hexadecimal")))
        .collect()
}

/// Prints a message: its command, and a line for each attribute.
pub(crate) fn explain(message: &Message) -> String {
    let mut text = format!("{:?}\n", message.command);
    for attribute in &message.attributes {
        match attribute {
            Attribute::Header(attributes) => {
                text.push_str("  Header\n");
                leaves(&mut text, 2, attributes);
            }
            Attribute::Entry(attributes) => {
                text.push_str("  Entry\n");
                leaves(&mut text, 2, attributes);
            }
            Attribute::Entries(entries) => {
                text.push_str("  Entries\n");
                for attributes in entries {
                    text.push_str("    Entry\n");
                    leaves(&mut text, 3, attributes);
                }
            }
            other => leaf(&mut text, 1, other),
        }
    }
    text
}

fn leaves<T: std::fmt::Debug>(text: &mut String, depth: usize, attributes: &[T]) {
    for attribute in attributes {
        leaf(text, depth, attribute);
    }
}

fn leaf(text: &mut String, depth: usize, attribute: &impl std::fmt::Debug) {
    let _ = writeln!(text, "{}{attribute:?}", "  ".repeat(depth));
}
