//! The committed counts, and the comparison of new ones with them.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use toml::Table;

/// Command that rewrites the baseline.
pub(super) const BLESS: &str = "cargo xtask bless --instructions";

/// Maximum distance of a count from the baseline, each way, in percent.
const TOLERANCE: u128 = 2;

/// Head of the file.
const ABOUT: &str = "\
# Instructions of each workload of tests/workloads, counted by callgrind. `cargo xtask test` fails if a
# count differs by more than 2 %; `cargo xtask bless --instructions` writes this file. See
# docs/testing.md.
";

/// Instructions of each workload, and the tools with which they were counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Baseline {
    /// Names and versions of the tools that determine machine code, and of the counter.
    pub(super) tools: BTreeMap<String, String>,
    /// By the name of the workload; never zero.
    pub(super) instructions: BTreeMap<String, u64>,
}

impl Baseline {
    /// Parses the file. The error describes the first mistake.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| error.to_string())?;
        let mut baseline = Self::default();
        for (title, value) in table {
            let entries = value
                .as_table()
                .ok_or_else(|| format!("{title} is not a table"))?;
            for (name, value) in entries {
                match title.as_str() {
                    "tools" => {
                        let version = value
                            .as_str()
                            .ok_or_else(|| format!("the version of {name} is not a string"))?;
                        baseline.tools.insert(name.clone(), version.to_owned());
                    }
                    "instructions" => {
                        let count = value
                            .as_integer()
                            .and_then(|count| u64::try_from(count).ok());
                        let count = count
                            .filter(|count| *count > 0)
                            .ok_or_else(|| format!("{name} has no number of instructions"))?;
                        baseline.instructions.insert(name.clone(), count);
                    }
                    _ => return Err(format!("[{title}] is unknown")),
                }
            }
        }
        Ok(baseline)
    }

    /// Returns the text of the file.
    pub(super) fn print(&self) -> String {
        let mut text = format!("{ABOUT}\n[tools]\n");
        for (name, version) in &self.tools {
            let _ = writeln!(text, "{name} = {version:?}");
        }
        text.push_str("\n[instructions]\n");
        for (name, count) in &self.instructions {
            let _ = writeln!(text, "{name:?} = {}", grouped(*count, '_'));
        }
        text
    }

    /// Compares a count of the workload `name` with the baseline: an error if it is too high or too
    /// low.
    pub(super) fn judge(&self, name: &str, counted: u64) -> Result<String, String> {
        let instructions = format!("{} instructions", grouped(counted, ','));
        let Some(known) = self.instructions.get(name).copied() else {
            return Err(format!(
                "{instructions}, not in the baseline: `{BLESS}` adds it"
            ));
        };
        let line = format!(
            "{instructions}, {} against the baseline's {}",
            percent(counted, known),
            grouped(known, ',')
        );
        if u128::from(counted.abs_diff(known)) * 100 <= u128::from(known) * TOLERANCE {
            Ok(line)
        } else if counted > known {
            Err(format!(
                "{line}: more than {TOLERANCE} % more. If the change is worth it, run `{BLESS}` and commit"
            ))
        } else {
            Err(format!(
                "{line}: more than {TOLERANCE} % fewer. To keep the improvement, run `{BLESS}` and commit"
            ))
        }
    }

    /// Returns the workloads of the baseline that are not in `names`.
    pub(super) fn without_workload<'a>(
        &'a self,
        names: &'a [String],
    ) -> impl Iterator<Item = &'a String> {
        (self.instructions.keys()).filter(|name| !names.contains(name))
    }

    /// Returns a remark for failures if `tools` differ from those of the baseline; empty otherwise.
    pub(super) fn tools_that_differ(&self, tools: &BTreeMap<String, String>) -> String {
        let differ: Vec<String> = (tools.iter())
            .filter_map(|(name, version)| {
                let known = self.tools.get(name).map_or("nothing", String::as_str);
                (known != version).then(|| format!("{name} {known} then, {version} now"))
            })
            .collect();
        match differ.is_empty() {
            true => String::new(),
            false => format!(" (the baseline has other tools: {})", differ.join("; ")),
        }
    }
}

/// Returns the distance of `counted` from `known`, which is not zero: `+1.25 %`.
pub(super) fn percent(counted: u64, known: u64) -> String {
    format!("{:+.2} %", (counted as f64 / known as f64 - 1.0) * 100.0)
}

/// Prints `1234567` as `1,234,567` with ',' for `between`.
fn grouped(number: u64, between: char) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(between);
        }
        text.push(digit);
    }
    text
}
