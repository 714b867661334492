//! Prints log lines in the format of the program's own messages.

use std::fmt;

use model::escaped;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::style;

/// Starts logging to standard error: warnings of our own libraries, and more with each `-v`.
pub fn start(verbose: u8) {
    let filter = match verbose {
        // Third-party libraries return their failures as errors.
        0 => "off,sources=warn,kernel=warn,planner=warn,netlink=warn,ipvs=warn,ipvsctl=warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(style::colored_stderr())
        .event_format(Lines);
    // A second start in one process keeps the first one's settings.
    let _ = lines.try_init();
}

/// Format of a line: `warning: …`.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (style, word) = match *event.metadata().level() {
            Level::ERROR => (style::ERROR, "error"),
            Level::WARN => (style::WARNING, "warning"),
            Level::INFO => (style::QUIET, "info"),
            Level::DEBUG => (style::QUIET, "debug"),
            Level::TRACE => (style::QUIET, "trace"),
        };
        if writer.has_ansi_escapes() {
            write!(writer, "{style}{word}:{style:#} ")?;
        } else {
            write!(writer, "{word}: ")?;
        }
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        writeln!(writer, "{}", escaped(&text))
    }
}
