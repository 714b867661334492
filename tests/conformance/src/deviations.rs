//! The list of deliberate differences from kube-proxy, and its matching.

#[cfg(test)]
mod tests;

use regex::Regex;
use serde::Deserialize;

use crate::difference::{Difference, Side};
use crate::section::Section;

/// The list of deviations. Every difference between the tables must be on it, and every line of it
/// must be needed.
#[derive(Clone, Debug)]
pub struct Deviations {
    /// Entries in the order of the file.
    pub entries: Vec<Deviation>,
}

/// One entry of the list.
#[derive(Clone, Debug)]
pub struct Deviation {
    /// Title for the name of a test: `D13 49-exclude-cidrs ipvs`.
    pub title: String,
    scenario: Regex,
    section: Section,
    side: Side,
    lines: Vec<(String, Regex)>,
}

/// A line of an entry: the index of the entry, and that of the line within it.
pub type Place = (usize, usize);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    difference: Vec<RawDeviation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDeviation {
    scenario: String,
    section: String,
    side: Side,
    lines: Vec<String>,
    deviation: Option<String>,
    release: Option<String>,
    reason: String,
}

impl Deviations {
    /// Parses the list.
    ///
    /// # Errors
    ///
    /// A mistake in the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw: Raw = toml::from_str(text).map_err(|error| error.to_string())?;
        let entries = (1..)
            .zip(raw.difference)
            .map(|(number, raw)| entry(raw).map_err(|what| format!("entry {number}: {what}")));
        Ok(Self {
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    /// Returns the first line of the list that allows `difference` at the moment `name` of a
    /// recording. A line that is made redundant by another one is never the first.
    #[must_use]
    pub fn place(&self, name: &str, difference: &Difference) -> Option<Place> {
        let fits = |entry: &Deviation| {
            entry.section == difference.section
                && entry.side == difference.side
                && entry.scenario.is_match(name)
        };
        let entries = self.entries.iter().enumerate();
        (entries.filter(|(_, entry)| fits(entry))).find_map(|(index, entry)| {
            let is_this = |(_, line): &(String, Regex)| line.is_match(&difference.line);
            Some((index, entry.lines.iter().position(is_this)?))
        })
    }
}

impl Deviation {
    /// Returns its lines, unchanged.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|(text, _)| text.as_str())
    }
}

fn entry(raw: RawDeviation) -> Result<Deviation, String> {
    let why = match (&raw.deviation, &raw.release) {
        (Some(number), None) if is_deviation(number) => number.clone(),
        (Some(number), None) => {
            return Err(format!("`{number}` is not a deviation: expected D1, D2 …"));
        }
        (None, Some(release)) => format!("since {release}"),
        _ => return Err("either `deviation` or `release` is wanted".to_owned()),
    };
    if raw.reason.trim().is_empty() || raw.lines.is_empty() {
        return Err("an entry needs a reason and lines".to_owned());
    }
    let section = Section::named(&raw.section).ok_or_else(|| {
        format!(
            "unknown section `{}`, expected one of {}",
            raw.section,
            Section::names()
        )
    })?;
    let lines = (raw.lines.into_iter())
        .map(|line| {
            let pattern = glob(&line)?;
            Ok((line, pattern))
        })
        .collect::<Result<_, String>>()?;
    Ok(Deviation {
        title: format!("{why} {} {}", raw.scenario, raw.section),
        scenario: glob(&raw.scenario)?,
        section,
        side: raw.side,
        lines,
    })
}

fn is_deviation(text: &str) -> bool {
    let digits = text.strip_prefix('D').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Compiles a pattern in which `*` matches anything and every other character itself.
pub(crate) fn glob(pattern: &str) -> Result<Regex, String> {
    let text = format!("^{}$", regex::escape(pattern).replace(r"\*", ".*"));
    Regex::new(&text).map_err(|error| format!("{pattern}: {error}"))
}
