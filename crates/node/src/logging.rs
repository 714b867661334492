//! Log lines as text or JSON.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::ValueEnum;
use model::{Escaping, escaped_json};
use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Format of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text.
    #[default]
    Text,
    /// One JSON object in each line.
    Json,
}

/// Writes the log of this process to standard error. `filter` is a level or a list of directives
/// (`info,node=debug`).
///
/// # Errors
///
/// `filter` is invalid.
pub fn start(format: LogFormat, filter: &str) -> Result<(), LogFilterError> {
    // The sources log broken connections themselves, with more detail than the client.
    let directives = format!("kube_client=off,{filter}");
    let filter = EnvFilter::try_new(directives).map_err(|source| LogFilterError {
        filter: filter.to_owned(),
        source,
    })?;
    lines(format, filter, std::io::stderr, is_terminal()).init();
    Ok(())
}

/// Returns a subscriber that writes a line of `format` to `writer` for each event that passes
/// `filter`.
#[must_use]
pub fn lines<W: Write>(
    format: LogFormat,
    filter: EnvFilter,
    writer: impl Fn() -> W + Send + Sync + 'static,
    ansi: bool,
) -> Dispatch {
    let lines = fmt().with_env_filter(filter);
    match format {
        LogFormat::Text => {
            let lines = lines.fmt_fields(fields()).with_ansi(ansi);
            lines.with_writer(writer).finish().into()
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true);
            let writer = move || EscapedJson(writer());
            lines.with_writer(writer).finish().into()
        }
    }
}

/// Escapes lines of JSON. Each write is one line.
struct EscapedJson<W>(W);

impl<W: Write> Write for EscapedJson<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line).into_owned();
        self.0.write_all(escaped_json(text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Returns a formatter that escapes each field, so that an event stays one line whatever its fields
/// contain.
fn fields() -> impl for<'a> FormatFields<'a> + Send + Sync + 'static {
    fmt::format::debug_fn(|writer, field, value| {
        let mut writer = Escaping(writer);
        match field.name() {
            "message" => write!(writer, "{value:?}"),
            name => write!(writer, "{name}={value:?}"),
        }
    })
    .delimited(" ")
}

fn is_terminal() -> bool {
    use std::io::IsTerminal as _;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// An invalid log filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "invalid --log-level {filter}: use a level (error, warn, info, debug, trace) or a filter such as info,node=debug"
)]
pub struct LogFilterError {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}
