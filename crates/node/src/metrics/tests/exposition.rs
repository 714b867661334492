//! Parser of text 0.0.4 for the tests.

use std::collections::BTreeMap;

pub(super) type Labels = BTreeMap<String, String>;

/// The exposed metrics.
pub(super) struct Exposition {
    /// Types by metric.
    pub(super) types: BTreeMap<String, String>,
    series: Vec<(String, Labels, f64)>,
}

impl Exposition {
    /// Parses `text` and checks that each metric has its help, its type and then its series, each
    /// once.
    pub(super) fn parse(text: &str) -> Self {
        let mut types = BTreeMap::new();
        let mut series: Vec<(String, Labels, f64)> = Vec::new();
        let mut help = None;
        let mut metric = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                help = rest.split_once(' ').map(|(name, _)| name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(help.as_deref(), Some(name), "help comes first");
                metric = name.to_owned();
                let before = types.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} is exposed twice");
            } else {
                let (name, labels, value) = sample(line);
                let ending = name.strip_prefix(&metric);
                let ending = ending.expect("series follow their type");
                assert!(
                    ["", "_bucket", "_sum", "_count"].contains(&ending),
                    "{line}"
                );
                let known = |(other, others, _): &(String, Labels, f64)| {
                    *other == name && *others == labels
                };
                assert!(!series.iter().any(known), "{line} is exposed twice");
                series.push((name, labels, value));
            }
        }
        Self { types, series }
    }

    pub(super) fn series_of(&self, name: &str) -> impl Iterator<Item = &Labels> {
        let of = self.series.iter().filter(move |(of, ..)| of == name);
        of.map(|(_, labels, _)| labels)
    }

    /// Returns the value of the only series with this name.
    pub(super) fn value(&self, name: &str) -> Option<f64> {
        let mut of = self.series.iter().filter(|(of, ..)| of == name);
        let (_, _, value) = of.next()?;
        assert!(of.next().is_none(), "{name} has several series");
        Some(*value)
    }
}

fn sample(line: &str) -> (String, Labels, f64) {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    let value = value.parse().expect("a number");
    let Some((name, labels)) = series.split_once('{') else {
        return (series.to_owned(), Labels::new(), value);
    };
    let labels = labels.strip_suffix("\"}").expect("an end");
    let pairs = labels.split("\",").map(|pair| {
        let (name, value) = pair.split_once("=\"").expect("a label");
        (name.to_owned(), value.to_owned())
    });
    (name.to_owned(), pairs.collect(), value)
}
