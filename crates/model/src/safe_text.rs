//! Text chosen by tenants, servers and files, made safe for logs, terminals, Events and metrics.

#[cfg(test)]
mod tests;

use std::fmt::{self, Write};
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::names::Name;

/// Text from outside that is safe to print: it has only printable characters, and at most
/// [`SafeText::MAX`] of them.
///
/// Types store text from outside in this form, so that no output has to escape or cut it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SafeText(Name);

impl SafeText {
    /// Maximum length, characters. Names and label values in Kubernetes are shorter.
    pub const MAX: usize = 256;

    /// Escapes and cuts `text`. Characters that do not print are escaped as by
    /// [`char::escape_debug`]:
    ///
    /// - controls (C0, C1, DEL),
    /// - line and paragraph separators,
    /// - bidirectional overrides,
    /// - characters without width.
    ///
    /// Text that was cut ends in an ellipsis. Safe text stays unchanged.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.len() < Self::MAX && text.chars().all(prints) {
            return Self(text.into());
        }
        let mut safe = String::new();
        let mut length = 0;
        for character in text.chars() {
            let before = safe.len();
            // Writing to a `String` cannot fail.
            let _ = write_escaped(&mut safe, character);
            length += safe[before..].chars().count();
            if length >= Self::MAX {
                safe.truncate(before);
                safe.push('…');
                break;
            }
        }
        Self(safe.into())
    }

    /// Returns the text as a name.
    #[must_use]
    pub fn into_name(self) -> Name {
        self.0
    }
}

impl Deref for SafeText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl From<&str> for SafeText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for SafeText {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

/// Writer that escapes text as [`SafeText`] does, without cutting it. Used for lines with several
/// texts, such as log lines.
#[derive(Debug)]
pub struct Escaping<W>(pub W);

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.chars().all(prints) {
            return self.0.write_str(text);
        }
        (text.chars()).try_for_each(|character| write_escaped(&mut self.0, character))
    }
}

/// Escapes `text` as [`SafeText`] does, without cutting it.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut safe = String::new();
    // Writing to a `String` cannot fail.
    let _ = Escaping(&mut safe).write_str(text);
    safe
}

/// Escapes characters that do not print in the JSON document `text`. The result is the same JSON:
/// whitespace between tokens stays, and all other such characters are within strings. JSON writers
/// escape only the ASCII controls.
#[must_use]
pub fn escaped_json(text: String) -> String {
    let stays = |character: char| character.is_ascii_whitespace() || prints(character);
    if text.chars().all(stays) {
        return text;
    }
    let mut safe = String::new();
    for character in text.chars() {
        if stays(character) {
            safe.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a `String` cannot fail.
            let _ = write!(safe, "\\u{unit:04x}");
        }
    }
    safe
}

fn write_escaped(out: &mut impl Write, character: char) -> fmt::Result {
    if prints(character) {
        out.write_char(character)
    } else {
        write!(out, "{}", character.escape_debug())
    }
}

/// Returns true if `character` prints as itself. Quotes and backslashes do: only Rust's debug
/// format escapes them.
fn prints(character: char) -> bool {
    (' '..='~').contains(&character) || character.escape_debug().len() == 1
}
