//! Compares the results of a recording's probes with the list of differences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use regex::Regex;

use super::{Difference, Recorded, differences};

/// Results of the probes of a recording, compared with the list of differences.
#[derive(Debug)]
pub struct Comparison {
    list: Vec<Difference>,
    patterns: Vec<Vec<Regex>>,
    /// Number of probes that ended as recorded.
    pub equal: usize,
    /// Number of probes that ended differently for a listed reason, by deviation, release or
    /// artefact.
    pub listed: BTreeMap<String, usize>,
    /// Probes with an unlisted difference, and listed probes that ended as recorded: a line each.
    pub unlisted: Vec<String>,
    /// Patterns that matched a differing probe, by entry and position.
    used: BTreeSet<(usize, usize)>,
}

impl Comparison {
    /// Starts a comparison with the recording `name`, by the list in `folder`.
    ///
    /// # Errors
    ///
    /// The list cannot be read or is invalid.
    pub fn begin(folder: &Path, name: &str) -> Result<Self, String> {
        let list = differences(folder)?;
        let patterns = (list.iter())
            .map(|entry| entry.patterns(name))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            list,
            patterns,
            equal: 0,
            listed: BTreeMap::new(),
            unlisted: Vec::new(),
            used: BTreeSet::new(),
        })
    }

    /// Returns true if the list has the probe.
    #[must_use]
    pub fn lists(&self, recorded: &Recorded) -> bool {
        self.places(recorded).next().is_some()
    }

    /// Adds a probe. `found` is the difference, none if the probe ended as recorded.
    pub fn add(&mut self, recorded: &Recorded, found: Option<String>) {
        let places: Vec<(usize, usize)> = self.places(recorded).collect();
        match (found, places.first()) {
            (None, None) => self.equal += 1,
            (None, Some(_)) => {
                let what = "listed as different, but ended as recorded";
                self.unlisted.push(format!("{}: {what}", recorded.name));
            }
            (Some(text), None) => self.unlisted.push(text),
            (Some(_), Some((entry, _))) => {
                let entry = &self.list[*entry];
                for cause in entry.causes() {
                    *self.listed.entry(cause).or_default() += 1;
                }
                self.used.extend(places);
            }
        }
    }

    /// Returns the patterns of the list, each with whether a differing probe matched it.
    #[must_use]
    pub fn patterns(&self) -> Vec<(&str, bool)> {
        let mut all = Vec::new();
        for (entry, difference) in self.list.iter().enumerate() {
            for (place, pattern) in difference.probes.iter().enumerate() {
                all.push((pattern.as_str(), self.used.contains(&(entry, place))));
            }
        }
        all
    }

    fn places(&self, recorded: &Recorded) -> impl Iterator<Item = (usize, usize)> {
        (self.patterns.iter().enumerate()).flat_map(|(entry, patterns)| {
            (patterns.iter().enumerate())
                .filter(|(_, pattern)| pattern.is_match(&recorded.name))
                .map(move |(place, _)| (entry, place))
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed: Vec<String> = (self.listed.iter())
            .map(|(why, count)| format!("{why}: {count}"))
            .collect();
        write!(
            f,
            "{} as recorded, otherwise {}",
            self.equal,
            listed.join(", ")
        )
    }
}
