//! Text output.

pub mod changes;
pub mod columns;
pub mod connections;
pub mod doctor;
pub mod drains;
pub mod explain;
pub mod findings;
pub mod log;
pub mod manifests;
pub mod migration;
pub mod patch;
pub mod plan;
pub mod progress;
pub mod server_list;
pub mod servers;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod traffic;

use std::io::Write as _;

use model::{escaped, escaped_json};
use serde::Serialize;

use crate::cli::Format;
use crate::error::Error;
use crate::schema::Document;
use crate::style;

/// Prints `text` on standard output. Keeps its line ends and the styles of [`style`], and escapes
/// all other characters that do not print, since objects, files and answers may contain them.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    write(&printable(text))
}

/// Prints what a command reports: `object` as JSON or YAML, else `text`.
pub(crate) fn show<T: Document>(
    format: Format,
    object: impl FnOnce() -> T,
    text: impl FnOnce() -> String,
) -> Result<(), Error> {
    match format {
        Format::Json => print_json(&object()),
        Format::Yaml => print_yaml(&object()),
        Format::Table | Format::Wide | Format::Text => print(&text()),
    }
}

/// Returns an address with a port: `10.96.0.10:80`, or `[fd00::10]:80`. The address may be any text
/// of an object.
pub(crate) fn at_port(address: &str, port: u16) -> String {
    match address.contains(':') {
        true => format!("[{address}]:{port}"),
        false => format!("{address}:{port}"),
    }
}

/// Prints `value` as JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Error> {
    write(&json(value)?)
}

/// Prints `value` as YAML. If a text needs escapes that the YAML encoder does not write, prints
/// JSON, which is valid YAML.
pub(crate) fn print_yaml(value: &impl Serialize) -> Result<(), Error> {
    write(&yaml_document(value)?)
}

/// Returns `value` as YAML, or as JSON if a text needs escapes.
pub(crate) fn yaml_document(value: &impl Serialize) -> Result<String, Error> {
    let text = serde_saphyr::to_string(value).map_err(|error| format_error("YAML", error))?;
    match text.lines().all(|line| escaped(line) == line) {
        true => Ok(text),
        false => json(value),
    }
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(value).map_err(|error| format_error("JSON", error))?;
    Ok(escaped_json(text) + "\n")
}

fn format_error(
    format: &'static str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    let source = Box::new(error);
    Error::Format { format, source }
}

fn write(text: &str) -> Result<(), Error> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::Output)
}

fn printable(text: &str) -> String {
    let styles = style::sequences();
    let mut safe = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            safe.push('\n');
        }
        let mut rest = line;
        while let Some(at) = rest.find('\u{1b}') {
            let (before, after) = rest.split_at(at);
            let style = (styles.iter()).find(|style| after.starts_with(style.as_str()));
            safe.push_str(&escaped(before));
            let taken = style.map_or(1, String::len);
            match style {
                Some(style) => safe.push_str(style),
                None => safe.push_str(&escaped(&after[..taken])),
            }
            rest = &after[taken..];
        }
        safe.push_str(&escaped(rest));
    }
    safe
}
