//! Changes of tables, line by line.

use super::stream::Lines;
use super::{format_error, yaml_document};
use crate::cli::Format;
use crate::error::Error;
use crate::schema::TableChange;
use crate::style;

/// Minimum width of the column of changes.
const WIDTH: usize = 60;

/// Prints a change: as one line, or as one JSON or YAML document.
///
/// # Errors
///
/// The output cannot be written.
pub fn print(change: &TableChange, format: Format, lines: &mut Lines<'_>) -> Result<(), Error> {
    match format {
        Format::Json => {
            let text =
                serde_json::to_string(change).map_err(|error| format_error("JSON", error))?;
            lines.line(&model::escaped_json(text))
        }
        Format::Yaml => {
            let text = yaml_document(change)?;
            lines.line(&format!("---\n{}", text.trim_end()))
        }
        Format::Table | Format::Wide | Format::Text => lines.line(&text(change)),
    }
}

fn text(change: &TableChange) -> String {
    let TableChange {
        time,
        effect,
        line,
        service,
        author,
        reason,
        latency_seconds,
        ..
    } = change;
    let (mark, style) = match *effect {
        "add" => ('+', style::ADD),
        "delete" => ('-', style::DELETE),
        _ => ('~', style::CHANGE),
    };
    let quiet = style::QUIET;
    let service = (service.as_ref()).map_or_else(|| "-".to_owned(), ToString::to_string);
    let mut details: Vec<String> = reason.iter().cloned().collect();
    details.extend(latency_seconds.map(|seconds| format!("after {seconds:.3} s")));
    let details = match details.is_empty() {
        true => String::new(),
        false => format!(" ({})", details.join(", ")),
    };
    format!(
        "{time} {style}{mark} {line:WIDTH$}{style:#}  {service}  {quiet}by {author}{details}{quiet:#}"
    )
}
