//! Definitions: `$NAME=text`, used as `$NAME` or `${NAME}`.

use std::collections::BTreeMap;

/// Maximum number of definitions inside each other.
const MAX_DEPTH: usize = 16;

/// Maximum length of a line after the replacement of definitions, bytes. Definitions that contain
/// others could otherwise grow without end.
const MAX_LENGTH: usize = 1 << 20;

/// The definitions so far.
#[derive(Debug, Default)]
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Returns the name and the text of a line that is a definition.
    pub(super) fn definition(line: &str) -> Option<(&str, &str)> {
        let (name, rest) = name(line.trim_start().strip_prefix('$')?)?;
        let text = rest.trim_start().strip_prefix('=')?;
        Some((name, text.trim()))
    }

    pub(super) fn define(&mut self, name: &str, text: String) {
        self.0.insert(name.to_owned(), text);
    }

    /// Replaces the definitions in `line`.
    ///
    /// # Errors
    ///
    /// An unknown definition, or definitions that grow without end. The message says which.
    pub(super) fn expand(&self, line: &str) -> Result<String, String> {
        let mut text = line.to_owned();
        for _ in 0..MAX_DEPTH {
            match self.expand_once(&text)? {
                None => return Ok(text),
                Some(longer) => text = longer,
            }
        }
        Err(format!(
            "definitions contain each other more than {MAX_DEPTH} times"
        ))
    }

    /// Returns `None` if `text` uses no definition.
    fn expand_once(&self, text: &str) -> Result<Option<String>, String> {
        let mut expanded = String::new();
        let mut rest = text;
        let mut is_used = false;
        while let Some(at) = rest.find('$') {
            let (before, after) = rest.split_at(at);
            expanded.push_str(before);
            let Some((used, left)) = used(&after[1..]) else {
                expanded.push('$');
                rest = &after[1..];
                continue;
            };
            let value = (self.0.get(used)).ok_or_else(|| format!("${used} is not defined"))?;
            expanded.push_str(value);
            if expanded.len() > MAX_LENGTH {
                return Err(format!(
                    "${used} makes the line longer than {MAX_LENGTH} bytes"
                ));
            }
            is_used = true;
            rest = left;
        }
        expanded.push_str(rest);
        Ok(is_used.then_some(expanded))
    }
}

/// Splits the name of a use, which follows `$`, from the text after it.
fn used(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('{') {
        Some(braced) => {
            let (name, rest) = name(braced)?;
            Some((name, rest.strip_prefix('}')?))
        }
        None => name(text),
    }
}

/// Splits a name from the text after it.
fn name(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    let first = name.chars().next()?;
    (!first.is_ascii_digit()).then_some((name, rest))
}
