//! Patterns of names.

use std::fmt;

use wildmatch::WildMatch;

/// A pattern of a name: `*` is any text, `?` one character. Matching costs at most the product of
/// both lengths, whatever the pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(WildMatch);

// Two patterns are equal if their characters are.
impl Eq for Pattern {}

impl Pattern {
    /// Returns the pattern that `text` writes. Every text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(WildMatch::new(text))
    }

    /// Returns true if the whole `name` matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }

    /// Returns the number of characters.
    pub(super) fn length(&self) -> usize {
        self.0.pattern_chars().len()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
