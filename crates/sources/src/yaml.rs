//! Reads YAML and JSON with limits and places of errors, for files of objects and of configuration.

mod locate;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub(crate) use self::locate::{Step, locate, steps};

/// A place in a text. Lines and columns count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl Place {
    /// Returns the place after `lines` lines are inserted in front of the text.
    pub(crate) fn below(self, lines: u64) -> Self {
        Self {
            line: self.line + lines,
            ..self
        }
    }
}

/// A syntax error of YAML or JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) place: Option<Place>,
    /// Description in one line.
    pub(crate) what: String,
}

/// A part of a stream of YAML documents, from one `---` to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// Number of lines in front of the part.
    pub(crate) lines_before: u64,
    pub(crate) text: &'a str,
}

/// Splits a stream at its `---` lines, so that an error in one document does not affect the others.
/// A line that begins with `---`, followed by white space or the end of the line, is always a
/// document marker, even in block and quoted text (YAML 1.2.2, production 206, `c-forbidden`).
pub(crate) fn parts(stream: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 0, 0);
    for (number, line) in (0..).zip(stream.split_inclusive('\n')) {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marker && offset > start {
            parts.push(Part {
                lines_before: start_line,
                text: &stream[start..offset],
            });
            (start, start_line) = (offset, number);
        }
        offset += line.len();
    }
    parts.push(Part {
        lines_before: start_line,
        text: &stream[start..],
    });
    parts
}

/// Returns true if a text contains only document markers, comments and white space. A carriage
/// return alone ends a line in YAML, so content may follow a comment there; such a text is not
/// empty.
pub(crate) fn is_empty(text: &str) -> bool {
    let blank = [' ', '\t'];
    text.split('\n').all(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let marker = line.strip_prefix("---").or(line.strip_prefix("..."));
        let rest = match marker {
            Some(rest) if rest.is_empty() || rest.starts_with(blank) => rest,
            _ => line,
        };
        let rest = rest.trim_start_matches(blank);
        rest.is_empty() || rest.starts_with('#') && !rest.contains('\r')
    })
}

/// Reads all documents of a YAML or JSON text. Empty documents are skipped. After an error the
/// documents before it are returned, too.
pub(crate) fn documents(text: &str) -> (Vec<Value>, Option<SyntaxError>) {
    documents_by(text, options())
}

/// Reads documents in which keys may be repeated. The last value of a key is used.
pub(crate) fn documents_with_repeated_keys(text: &str) -> (Vec<Value>, Option<SyntaxError>) {
    let mut options = options();
    options.duplicate_keys = serde_saphyr::DuplicateKeyPolicy::LastWins;
    documents_by(text, options)
}

fn documents_by(text: &str, options: serde_saphyr::Options) -> (Vec<Value>, Option<SyntaxError>) {
    if text.trim_start().starts_with('{') {
        let (values, error) = json_documents(text);
        if error.is_none() || !values.is_empty() {
            return (values, error);
        }
        // The text may be a YAML flow mapping, which begins like JSON.
    }
    match serde_saphyr::from_multiple_with_options::<Value>(text, options) {
        Ok(values) => (
            values
                .into_iter()
                .filter(|value| !value.is_null())
                .collect(),
            None,
        ),
        Err(error) => (Vec::new(), Some(syntax_error(&error))),
    }
}

fn json_documents(text: &str) -> (Vec<Value>, Option<SyntaxError>) {
    let mut values = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match value {
            Ok(value) => values.push(value),
            Err(error) => {
                let place = Place {
                    line: error.line() as u64,
                    column: error.column() as u64,
                };
                let what = error.to_string();
                let what = what.split(" at line ").next().unwrap_or_default();
                return (
                    values,
                    Some(SyntaxError {
                        place: Some(place),
                        what: what.to_owned(),
                    }),
                );
            }
        }
    }
    (values, None)
}

/// Returns options that accept large inputs, since a cluster of 10,000 Services has tens of
/// millions of YAML nodes, and refuse inputs that grow by aliases and merge keys.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        // `y`, `no` and `on` are read as text; boolean fields may accept them as booleans.
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_events: 400_000_000,
            max_nodes: 200_000_000,
            max_total_scalar_bytes: 4 << 30,
            max_total_comment_bytes: 1 << 30,
            max_documents: 1_000_000,
            max_aliases: 10_000,
            max_anchors: 10_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 16,
        },
        with_snippet: false,
    }
}

fn syntax_error(error: &serde_saphyr::Error) -> SyntaxError {
    let error = error.without_snippet();
    let place = error
        .location()
        .filter(|location| location.line() > 0)
        .map(|location| Place {
            line: location.line(),
            column: location.column(),
        });
    let what = error.to_string();
    let mut what = what.lines().next().unwrap_or_default().to_owned();
    // The place is printed in front of the message, so it is removed here.
    if let Some(end) = what.find(" at line ") {
        what.truncate(end);
    }
    SyntaxError { place, what }
}
