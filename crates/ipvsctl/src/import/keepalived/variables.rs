//! Definitions: `$NAME=text`, used as `$NAME` or `${NAME}`.

use std::collections::BTreeMap;

/// Maximum length of a line after the replacement of definitions, bytes.
const MAX_LENGTH: usize = 1 << 20;

/// Maximum length of all lines after the replacement of definitions, bytes. Definitions that contain
/// others could otherwise grow without end.
const MAX_TOTAL: usize = 16 << 20;

/// The definitions so far.
#[derive(Debug)]
pub(super) struct Variables {
    texts: BTreeMap<String, String>,
    /// Number of bytes that further replacements may produce.
    left: usize,
}

/// A line after one round of replacements.
#[derive(Debug)]
pub(super) struct Expanded {
    /// The lines; several if a definition has several. `None` if the line uses no definition.
    pub(super) text: Option<String>,
    /// A name that is used and not defined. It stays as it is.
    pub(super) undefined: Option<String>,
}

impl Default for Variables {
    fn default() -> Self {
        Self {
            texts: BTreeMap::new(),
            left: MAX_TOTAL,
        }
    }
}

impl Variables {
    /// Returns the name and the text of a line that is a definition.
    pub(super) fn definition(line: &str) -> Option<(&str, &str)> {
        let (name, rest) = name(line.trim_start().strip_prefix('$')?)?;
        let text = rest.trim_start().strip_prefix('=')?;
        Some((name, text.trim()))
    }

    pub(super) fn define(&mut self, name: &str, text: String) {
        self.texts.insert(name.to_owned(), text);
    }

    /// Replaces each definition in `line` once. The replacement may use other definitions.
    ///
    /// A definition of several lines is replaced only at the end of a line (`find_definition`,
    /// lib/parser.c of keepalived 2.2).
    ///
    /// # Errors
    ///
    /// The lines grow beyond a limit. The message says which.
    pub(super) fn expand(&mut self, line: &str) -> Result<Expanded, String> {
        let mut text = String::new();
        let (mut is_used, mut undefined) = (false, None);
        let mut rest = line;
        while let Some(at) = rest.find('$') {
            let (before, after) = rest.split_at(at);
            text.push_str(before);
            let found = used(&after[1..]);
            let value = found.and_then(|(name, left)| {
                let value = self.texts.get(name);
                let value = value.filter(|value| left.is_empty() || !value.contains('\n'));
                if value.is_none() {
                    undefined.get_or_insert_with(|| name.to_owned());
                }
                Some((value?, left))
            });
            let Some((value, left)) = value else {
                text.push('$');
                rest = &after[1..];
                continue;
            };
            is_used = true;
            rest = left;
            let most = MAX_LENGTH.min(self.left);
            if text.len() + value.len() > most {
                self.left -= text.len().min(self.left);
                return Err(match most {
                    MAX_LENGTH => {
                        format!("definitions make the line longer than {MAX_LENGTH} bytes")
                    }
                    _ => {
                        format!("definitions make the configuration longer than {MAX_TOTAL} bytes")
                    }
                });
            }
            text.push_str(value);
        }
        text.push_str(rest);
        if is_used {
            self.left -= text.len().min(self.left);
        }
        Ok(Expanded {
            text: is_used.then_some(text),
            undefined,
        })
    }
}

/// Splits the name of a use, which follows `$`, from the text after it: `NAME` before white space or
/// the end of the line, or `{NAME}`.
fn used(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('{') {
        Some(braced) => {
            let (name, rest) = name(braced)?;
            Some((name, rest.strip_prefix('}')?))
        }
        None => name(text).filter(|(_, rest)| rest.is_empty() || rest.starts_with([' ', '\t'])),
    }
}

/// Splits a name from the text after it.
fn name(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    let first = name.chars().next()?;
    (!first.is_ascii_digit()).then_some((name, rest))
}
