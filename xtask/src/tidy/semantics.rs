//! `docs/semantics.md` must explain every field and deviation, and name a scenario with the field
//! for each.

mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use self::table::{Row, rows};
use crate::error::Result;
use crate::files;
use crate::project::Project;

const PAGE: &str = "docs/semantics.md";
const FIELDS: &str = "tests/conformance/fields.txt";
const SCENARIOS: &str = "tests/conformance/scenarios";
const RECORDINGS: &str = "tests/conformance/recordings";

/// Sections of the page with a table of fields, by the first word of a line of [`FIELDS`].
const KINDS: [&str; 4] = ["Service", "EndpointSlice", "Node", "Configuration"];

/// Section with the table of deviations.
const DEVIATIONS: &str = "Deviations";

/// Number of the last deviation; the first is D1.
const LAST_DEVIATION: u32 = 27;

/// Deviations that tables do not show. Their rows may state this instead of a scenario.
const DATA_PLANE: [u32; 6] = [13, 14, 17, 19, 21, 27];
const ELSEWHERE: [&str; 2] = ["data plane", "health"];

/// Prefix of the name of a recording.
const RECORDING: &str = "recording ";

/// Returns complaints about missing and wrong rows of the page.
pub(crate) fn complaints(project: &Project) -> Result<Vec<String>> {
    let read = |name: &str| files::read(&project.root.join(name));
    let shown = |path: &str| text_of(&project.root.join(path));
    Ok(check(&read(PAGE)?, &read(FIELDS)?, &shown))
}

/// Returns the text of a scenario, or that of all manifests of a recording; none if the path does
/// not exist.
fn text_of(path: &Path) -> Option<String> {
    if path.is_file() {
        return fs::read_to_string(path).ok();
    }
    let mut text = String::new();
    for entry in fs::read_dir(path).ok()? {
        let path = entry.ok()?.path();
        if path.is_dir() || path.extension().is_some_and(|end| end == "yaml") {
            text.push_str(&text_of(&path)?);
        }
    }
    Some(text)
}

/// Returns the text of the scenario or recording at a path; none if the path does not exist.
type Shown<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Compares the text of [`PAGE`] with that of [`FIELDS`] and with scenarios and recordings.
fn check(page: &str, fields: &str, shown: Shown<'_>) -> Vec<String> {
    let rows = rows(page);
    let mut all = Vec::new();
    for row in rows
        .iter()
        .filter(|row| is_of_fields(row) || row.section == DEVIATIONS)
    {
        all.extend(about_row(row, shown));
    }
    all.extend(about_fields(&rows, fields));
    all.extend(about_deviations(&rows));
    all
}

fn is_of_fields(row: &Row) -> bool {
    KINDS.contains(&row.section.as_str())
}

/// Checks one row.
fn about_row(row: &Row, shown: Shown<'_>) -> Vec<String> {
    let [subject, behaviour, evidence] = row.cells.as_slice() else {
        let what = format!("a row has three cells, this one {}", row.cells.len());
        return vec![at(row, what)];
    };
    let mut all = Vec::new();
    if behaviour.text.is_empty() {
        all.push(at(row, format!("the row of {} has no text", subject.text)));
    }
    if evidence.names.is_empty() && !is_data_plane(row) {
        let what = format!("the row of {} names no scenario", subject.text);
        all.push(at(row, what));
    }
    let mut texts = Vec::new();
    for name in &evidence.names {
        let path = match name.strip_prefix(RECORDING) {
            Some(name) => format!("{RECORDINGS}/{name}"),
            None => format!("{SCENARIOS}/{name}.scenario"),
        };
        match shown(&path) {
            Some(text) => texts.push(text),
            None => all.push(at(row, format!("`{name}` is missing: there is no {path}"))),
        }
    }
    if is_of_fields(row) && texts.len() == evidence.names.len() && !texts.is_empty() {
        let silent = (row.subject().iter())
            .filter(|field| !texts.iter().any(|text| mentions(text, field)))
            .map(|field| {
                at(
                    row,
                    format!("no scenario of this row has the field `{field}`"),
                )
            });
        all.extend(silent);
    }
    all
}

/// Returns true if a manifest in `text` has the last part of `field` as a key: `clusterIP:` for
/// `spec.clusterIP`, the label itself for `metadata.labels[LABEL]`.
fn mentions(text: &str, field: &str) -> bool {
    let label = (field.split_once('[')).and_then(|(_, rest)| rest.strip_suffix(']'));
    let key = match label {
        Some(label) if !label.is_empty() => label,
        _ => field.rsplit('.').next().unwrap_or(field),
    };
    let wanted = format!("{}:", key.trim_end_matches("[]"));
    text.match_indices(&wanted).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '/' | '-' | '_'))
    })
}

/// Checks that every field has one row, and that every field in a row exists.
fn about_fields(rows: &[Row], fields: &str) -> Vec<String> {
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, field) in fields.lines().enumerate() {
        lines.insert(field, index + 1);
    }
    let mut all = Vec::new();
    let mut explained: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows
        .iter()
        .filter(|row| KINDS.contains(&row.section.as_str()))
    {
        let names = row.subject();
        if names.is_empty() {
            all.push(at(row, "the row names no field in backquotes"));
        }
        for name in names {
            let field = format!("{} {name}", row.section);
            if !lines.contains_key(field.as_str()) {
                all.push(at(
                    row,
                    format!("{} has no field `{name}`, says {FIELDS}", row.section),
                ));
            }
            if let Some(first) = explained.insert(field, row.line) {
                all.push(at(row, format!("`{name}` has a row already, line {first}")));
            }
        }
    }
    let silent = (lines.iter())
        .filter(|(field, _)| !explained.contains_key(**field))
        .map(|(field, line)| format!("{FIELDS}:{line}: {field} has no row in {PAGE}"));
    all.extend(silent);
    all
}

/// Checks that every deviation has one row.
fn about_deviations(rows: &[Row]) -> Vec<String> {
    let mut all = Vec::new();
    let mut explained: BTreeMap<u32, usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.section == DEVIATIONS) {
        match deviation(row) {
            Some(number) if (1..=LAST_DEVIATION).contains(&number) => {
                if let Some(first) = explained.insert(number, row.line) {
                    all.push(at(
                        row,
                        format!("D{number} has a row already, line {first}"),
                    ));
                }
            }
            _ => all.push(at(
                row,
                format!("the row begins with no deviation from D1 to D{LAST_DEVIATION}"),
            )),
        }
    }
    let silent = (1..=LAST_DEVIATION)
        .filter(|number| !explained.contains_key(number))
        .map(|number| format!("{PAGE}: deviation D{number} has no row"));
    all.extend(silent);
    all
}

fn deviation(row: &Row) -> Option<u32> {
    let subject = row.cells.first()?;
    subject.text.strip_prefix('D')?.parse().ok()
}

/// Returns true if the row states that tables do not show it, and may do so.
fn is_data_plane(row: &Row) -> bool {
    let says = (row.cells.last()).is_some_and(|cell| ELSEWHERE.contains(&&*cell.text));
    let may = deviation(row).is_some_and(|number| DATA_PLANE.contains(&number));
    says && may && row.section == DEVIATIONS
}

fn at(row: &Row, what: impl std::fmt::Display) -> String {
    format!("{PAGE}:{}: {what}", row.line)
}
