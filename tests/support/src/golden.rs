//! Goldens: files with recorded netlink messages and their meaning.
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
//! The bytes exclude `struct nlmsghdr`, which differs between runs.

mod checks;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;

pub use checks::Goldens;

const REFUSED: &str = "refused by the kernel with error ";

/// A file of goldens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Golden {
    /// File name without the extension.
    pub name: String,
    /// Command that caused these messages.
    pub command: String,
    /// Versions of the program and the kernel.
    pub origin: String,
    /// Messages in the order of the recording.
    pub messages: Vec<Captured>,
}

/// A message of a golden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Direction of the message.
    pub direction: Direction,
    /// Bytes after the netlink header.
    pub bytes: Vec<u8>,
    /// Meaning of the bytes, one line per attribute.
    pub meaning: String,
}

/// Direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A program sends the message.
    ToKernel,
    /// The kernel sends the message.
    FromKernel,
    /// The kernel refuses the message with this error number and returns it.
    Refused(i32),
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToKernel => f.write_str("to the kernel"),
            Self::FromKernel => f.write_str("from the kernel"),
            Self::Refused(errno) => write!(f, "{REFUSED}{errno}"),
        }
    }
}

impl Direction {
    fn parse(line: &str) -> Option<Self> {
        match line {
            "to the kernel" => Some(Self::ToKernel),
            "from the kernel" => Some(Self::FromKernel),
            _ => Some(Self::Refused(line.strip_prefix(REFUSED)?.parse().ok()?)),
        }
    }
}

impl Golden {
    /// Returns the text of the file.
    #[must_use]
    pub fn print(&self) -> String {
        let mut text = format!("command: {}\norigin: {}\n", self.command, self.origin);
        for message in &self.messages {
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

    /// Parses the text of a file.
    ///
    /// # Panics
    ///
    /// Panics if a line of bytes is not hexadecimal.
    #[must_use]
    pub fn parse(name: &str, text: &str) -> Self {
        let mut golden = Self {
            name: name.to_owned(),
            command: String::new(),
            origin: String::new(),
            messages: Vec::new(),
        };
        for line in text.lines() {
            if let Some(command) = line.strip_prefix("command: ") {
                golden.command = command.to_owned();
            } else if let Some(origin) = line.strip_prefix("origin: ") {
                golden.origin = origin.to_owned();
            } else if let Some(direction) = Direction::parse(line) {
                golden.messages.push(Captured {
                    direction,
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

    /// Writes the file to `folder` and prints its path and the number of messages.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn record(&self, folder: &Path) -> io::Result<()> {
        let path = folder.join(format!("{}.txt", self.name));
        std::fs::write(&path, self.print())?;
        println!("{}: {} messages", path.display(), self.messages.len());
        Ok(())
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_ascii_whitespace().collect();
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len())
        .step_by(2)
        .map(|at| pair(at).unwrap_or_else(|| panic!("`{hex}` is not hexadecimal")))
        .collect()
}

/// Returns the origin of a recording: the program and its version, and the kernel version.
///
/// # Errors
///
/// The kernel version cannot be read.
pub fn origin(program: &str, version: &str) -> io::Result<String> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let version = version.trim_start_matches('v');
    Ok(format!("{program} {version}, Linux {}", kernel.trim()))
}

/// Appends an attribute to `text`, as a line of a meaning.
pub fn leaf(text: &mut String, depth: usize, attribute: &impl fmt::Debug) {
    let _ = writeln!(text, "{}{attribute:?}", "  ".repeat(depth));
}

/// Appends attributes to `text`, as lines of a meaning.
pub fn leaves<T: fmt::Debug>(text: &mut String, depth: usize, attributes: &[T]) {
    for attribute in attributes {
        leaf(text, depth, attribute);
    }
}
