//! Output that is written while its input is still read, in bounded memory.

#[cfg(test)]
mod tests;

use std::io::Write;

use model::{escaped, escaped_json};
use serde::Serialize;

use super::{format_error, printable};
use crate::cli::Format;
use crate::error::Error;
use crate::schema::API_VERSION;

/// Number of bytes that are collected before they are written.
const CHUNK: usize = 32 << 10;

/// Writes lines in chunks.
pub struct Lines<'a> {
    out: Box<dyn Write + 'a>,
    waiting: String,
}

impl std::fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl<'a> Lines<'a> {
    /// Returns a writer to standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(anstream::stdout())
    }

    /// Returns a writer to `out`.
    #[must_use]
    pub fn new(out: impl Write + 'a) -> Self {
        Self {
            out: Box::new(out),
            waiting: String::new(),
        }
    }

    /// Writes `text` and a line end. Characters that do not print are escaped, except the styles of
    /// [`style`](crate::style).
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn line(&mut self, text: &str) -> Result<(), Error> {
        // Almost all lines are plain, and there may be a million of them.
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            self.text(text)?;
        } else {
            self.text(&printable(text))?;
        }
        self.text("\n")
    }

    /// Writes `text`, which prints as it is.
    fn text(&mut self, text: &str) -> Result<(), Error> {
        self.waiting.push_str(text);
        match self.waiting.len() {
            ..CHUNK => Ok(()),
            CHUNK.. => self.flush(),
        }
    }

    /// Clears the screen of a terminal.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn clear_screen(&mut self) -> Result<(), Error> {
        self.text("\u{1b}[H\u{1b}[2J")
    }

    /// Writes what was collected.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn flush(&mut self) -> Result<(), Error> {
        let text = std::mem::take(&mut self.waiting);
        (self.out.write_all(text.as_bytes()))
            .and_then(|()| self.out.flush())
            .map_err(Error::Output)
    }
}

/// Writes a JSON or YAML object with one list, item by item. The result is the same as if the
/// object were written at once.
#[derive(Debug)]
pub struct ListObject<'l, 'a> {
    lines: &'l mut Lines<'a>,
    is_json: bool,
    is_empty: bool,
}

impl<'l, 'a> ListObject<'l, 'a> {
    /// Begins an object of this `kind` with a list that has the field name `list`. Formats other
    /// than JSON and YAML are written as YAML.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn begin(
        lines: &'l mut Lines<'a>,
        format: Format,
        kind: &str,
        list: &str,
    ) -> Result<Self, Error> {
        let is_json = format == Format::Json;
        lines.text(&if is_json {
            format!(
                "{{\n  \"apiVersion\": \"{API_VERSION}\",\n  \"kind\": \"{kind}\",\n  \"{list}\": ["
            )
        } else {
            format!("apiVersion: {API_VERSION}\nkind: {kind}\n{list}:")
        })?;
        Ok(Self {
            lines,
            is_json,
            is_empty: true,
        })
    }

    /// Writes an item.
    ///
    /// # Errors
    ///
    /// The item cannot be encoded, or the output cannot be written.
    pub fn item(&mut self, item: &impl Serialize) -> Result<(), Error> {
        let first = std::mem::replace(&mut self.is_empty, false);
        let text = if self.is_json {
            let comma = if first { "\n" } else { ",\n" };
            let text =
                serde_json::to_string_pretty(item).map_err(|error| format_error("JSON", error))?;
            comma.to_owned() + &indented(&escaped_json(text), "    ")
        } else {
            let begin = if first { "\n" } else { "" };
            begin.to_owned() + &yaml_item(item)?
        };
        self.lines.text(&text)
    }

    /// Writes what was collected so far.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.lines.flush()
    }

    /// Ends the object.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn end(self) -> Result<(), Error> {
        self.lines.text(match (self.is_json, self.is_empty) {
            (true, true) => "]\n}\n",
            (true, false) => "\n  ]\n}\n",
            (false, true) => " []\n",
            (false, false) => "",
        })?;
        self.lines.flush()
    }
}

/// Returns an item of a YAML list. An item with characters that the encoder does not escape is
/// written as JSON, which is valid YAML.
fn yaml_item(item: &impl Serialize) -> Result<String, Error> {
    let text = serde_saphyr::to_string(&[item]).map_err(|error| format_error("YAML", error))?;
    if text.lines().all(|line| escaped(line) == line) {
        return Ok(text);
    }
    let text = serde_json::to_string(item).map_err(|error| format_error("JSON", error))?;
    Ok(format!("- {}\n", escaped_json(text)))
}

fn indented(text: &str, indent: &str) -> String {
    let lines: Vec<String> = (text.lines())
        .map(|line| format!("{indent}{line}"))
        .collect();
    lines.join("\n")
}
