//! The form of a golden: messages as they were on the wire, and what they mean.
//!
//! ```text
//! command: ipvsadm -C
//! origin: ipvsadm 1.31, Linux 6.1.176
//!
//! to the kernel
//! | 11010000
//! Flush
//! ```
//!
//! The bytes begin at the generic header: what is before it (`struct nlmsghdr`) differs between runs.

use std::fmt::Write as _;

use ipvs::codec::attributes::Nested;
use ipvs::codec::{Attributes, CommandAttribute, DestinationAttribute, Message, ServiceAttribute};

/// The words before the messages that the kernel sends.
pub(crate) const FROM_KERNEL: &str = "from the kernel";
/// The words before the messages that the kernel receives.
pub(crate) const TO_KERNEL: &str = "to the kernel";

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
    /// True if the kernel sent it.
    pub(crate) from_kernel: bool,
    /// Generic header and attributes.
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
            let direction = if message.from_kernel {
                FROM_KERNEL
            } else {
                TO_KERNEL
            };
            let _ = writeln!(text, "\n{direction}");
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
            } else if line == FROM_KERNEL || line == TO_KERNEL {
                golden.messages.push(Captured {
                    from_kernel: line == FROM_KERNEL,
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
    match &message.attributes {
        Attributes::Info(attributes) => leaves(&mut text, 1, attributes),
        Attributes::Command(attributes) => {
            for attribute in attributes {
                match attribute {
                    CommandAttribute::Service(nested) => {
                        title(&mut text, 1, "Service", nested);
                        nested
                            .attributes
                            .iter()
                            .for_each(|each| service(&mut text, each));
                    }
                    CommandAttribute::Destination(nested) => {
                        title(&mut text, 1, "Destination", nested);
                        (nested.attributes.iter()).for_each(|each| destination(&mut text, each));
                    }
                    CommandAttribute::Daemon(nested) => {
                        title(&mut text, 1, "Daemon", nested);
                        leaves(&mut text, 2, &nested.attributes);
                    }
                    other => leaf(&mut text, 1, other),
                }
            }
        }
    }
    text
}

fn service(text: &mut String, attribute: &ServiceAttribute) {
    match attribute {
        ServiceAttribute::Statistics(nested) => {
            title(text, 2, "Statistics", nested);
            leaves(text, 3, &nested.attributes);
        }
        ServiceAttribute::Statistics64(nested) => {
            title(text, 2, "Statistics64", nested);
            leaves(text, 3, &nested.attributes);
        }
        other => leaf(text, 2, other),
    }
}

fn destination(text: &mut String, attribute: &DestinationAttribute) {
    match attribute {
        DestinationAttribute::Statistics(nested) => {
            title(text, 2, "Statistics", nested);
            leaves(text, 3, &nested.attributes);
        }
        DestinationAttribute::Statistics64(nested) => {
            title(text, 2, "Statistics64", nested);
            leaves(text, 3, &nested.attributes);
        }
        other => leaf(text, 2, other),
    }
}

fn title<T>(text: &mut String, depth: usize, name: &str, nested: &Nested<T>) {
    let flag = if nested.flagged { ", flagged" } else { "" };
    let _ = writeln!(text, "{}{name}{flag}", "  ".repeat(depth));
}

fn leaves<T: std::fmt::Debug>(text: &mut String, depth: usize, attributes: &[T]) {
    for attribute in attributes {
        leaf(text, depth, attribute);
    }
}

fn leaf(text: &mut String, depth: usize, attribute: &impl std::fmt::Debug) {
    let _ = writeln!(text, "{}{attribute:?}", "  ".repeat(depth));
}
