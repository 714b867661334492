//! Parses the output of the benchmark in the VM.

#[cfg(test)]
mod tests;

use serde_json::Value;
use std::collections::BTreeMap;

use crate::error::{Context, Result};

/// Start of each line of results.
const MARK: &str = "bench: ";

/// An operation at a size, in the order of their first occurrence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    pub(crate) operation: String,
    pub(crate) size: String,
}

/// Times and figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) cases: Vec<Case>,
    /// Seconds of each case by program, in the order of the runs.
    pub(crate) times: BTreeMap<(Case, String), Vec<f64>>,
    /// Figures other than times: name, values, unit.
    pub(crate) figures: BTreeMap<Case, BTreeMap<String, (Vec<f64>, String)>>,
    lines: Vec<Value>,
}

impl Measured {
    /// Parses the results in an output.
    ///
    /// # Errors
    /// When a line is malformed.
    pub(crate) fn read(output: &str) -> Result<Self> {
        let mut measured = Self::default();
        for line in output.lines().filter_map(|line| line.strip_prefix(MARK)) {
            let value: Value = serde_json::from_str(line).context(|| format!("reading {line}"))?;
            measured.take(&value);
            measured.lines.push(value);
        }
        Ok(measured)
    }

    fn take(&mut self, line: &Value) {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let case = Case {
            operation: text("operation"),
            size: text("size"),
        };
        if !self.cases.contains(&case) {
            self.cases.push(case.clone());
        }
        if let Some(seconds) = line["seconds"].as_f64() {
            let times = self.times.entry((case, text("who"))).or_default();
            times.push(seconds);
        } else if let Some(value) = line["value"].as_f64() {
            let figures = self.figures.entry(case).or_default();
            let figure = figures.entry(text("figure")).or_default();
            figure.0.push(value);
            figure.1 = text("unit");
        }
    }

    /// Returns the other programs that ran this case, sorted by name.
    pub(crate) fn others<'a>(
        &'a self,
        case: &'a Case,
        ours: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a [f64])> {
        (self.times.iter())
            .filter(move |((of, who), _)| of == case && who != ours)
            .map(|((_, who), times)| (who.as_str(), times.as_slice()))
    }

    /// Returns every line as JSON, unchanged.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(&self.lines).unwrap_or_default() + "\n"
    }
}

/// Median, minimum, maximum and 99th percentile of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) p99: f64,
    pub(crate) count: usize,
}

impl Spread {
    /// Returns `None` if there are no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let at = |part: usize| values.get((count.saturating_sub(1) * part).div_ceil(100));
        Some(Self {
            median: *values.get(count / 2)?,
            min: *values.first()?,
            max: *values.last()?,
            p99: *at(99)?,
            count,
        })
    }
}
