//! Output for people.

pub mod doctor;
pub mod drains;
pub mod findings;
pub mod log;
pub mod migration;
pub mod plan;
pub mod progress;
pub mod servers;
pub mod style;

use std::io::Write as _;

use serde::Serialize;

use crate::error::Error;

/// Prints `text` on standard output as it is.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::Output)
}

/// Prints `value` as JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::Format {
        format: "JSON",
        source: Box::new(error),
    })?;
    print(&(text + "\n"))
}

/// Prints `value` as YAML.
pub(crate) fn print_yaml(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_saphyr::to_string(value).map_err(|error| Error::Format {
        format: "YAML",
        source: Box::new(error),
    })?;
    print(&text)
}
