//! Logs: text for people, JSON for machines.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use clap::ValueEnum;
use model::Escaping;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::FormatFields;

/// Format of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends what this process logs to standard error. `filter` is a level or a list of directives
/// (`info,node=debug`).
///
/// # Errors
///
/// Says what is wrong with `filter`.
pub fn start(format: LogFormat, filter: &str) -> Result<(), LogFilterError> {
    // What the client says of broken connections, the sources say again in our own words.
    let directives = format!("kube_client=off,{filter}");
    let filter = EnvFilter::try_new(directives).map_err(|source| LogFilterError {
        filter: filter.to_owned(),
        source,
    })?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => (lines.fmt_fields(fields())).with_ansi(is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// The fields of a line of text, each escaped: whatever they hold, an event stays one line.
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

/// A log filter that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("--log-level {filter} is not a level (error, warn, info, debug, trace) or a filter")]
pub struct LogFilterError {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}
