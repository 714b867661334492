//! Text output of a plan.

mod rules;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::fmt::Write as _;

use model::{Op, OpEffect, PlannedOp, Reason, Summary, escaped};

pub use self::rules::{ChainChange, LiveRules, RuleHunk, RuleLine, RuleLines};
use crate::grouping::{Change, Changes, Group, Kind};
use crate::style;

/// Maximum width of the column of changes. Longer lines do not move the column of reasons.
const WIDEST: usize = 72;

/// Returns a summary by kind, the changes by group, and a line with their numbers. `live` are the
/// rules before the plan. Contains escape sequences for colours.
#[must_use]
pub fn text(changes: &Changes<'_>, live: &LiveRules) -> String {
    let mut text = summary(changes);
    let mut lines = RuleLines::new(live);
    for (group, changes) in &changes.groups {
        write_group(&mut text, group, changes, &mut lines);
        text.push('\n');
    }
    write_total(&mut text, changes.summary());
    text
}

/// Returns a summary by kind, and one line for each Service with its numbers of changes, the
/// largest number first.
#[must_use]
pub fn stat(changes: &Changes<'_>) -> String {
    let mut services: Vec<(Group, Summary)> = changes.by_service().into_iter().collect();
    // The sort is stable, so rows with equal numbers stay in the order of their names.
    services.sort_by_key(|(group, counts)| (Reverse(counts.total()), group.service().is_none()));
    let mut text = summary(changes);
    let rows = services.into_iter();
    text.push_str(&table(
        rows.map(|(group, counts)| (group.to_string(), counts)),
    ));
    if !text.is_empty() {
        text.push('\n');
    }
    write_total(&mut text, changes.summary());
    text
}

/// Returns the change in the syntax of `ipvsadm`, `ip`, `ipset`, `iptables` or `sysctl`, on one
/// line.
#[must_use]
pub fn line(op: &Op) -> String {
    // A name of a scheduler in a file may contain a line end.
    escaped(&op.line())
}

/// Returns a line for each kind with changes, and an empty line; nothing if there are no changes.
fn summary(changes: &Changes<'_>) -> String {
    let rows =
        (changes.by_kind().into_iter()).map(|(kind, counts)| (kind.plural().to_owned(), counts));
    let mut text = table(rows);
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Returns lines such as `real servers  +10  ~2  -1`, with the numbers in columns.
fn table(rows: impl Iterator<Item = (String, Summary)>) -> String {
    let rows: Vec<(String, [String; 3])> = rows
        .map(|(name, counts)| {
            let Summary {
                add,
                change,
                delete,
            } = counts;
            let cell = |mark, count| match count {
                0 => String::new(),
                count => format!("{mark}{count}"),
            };
            (name, [cell('+', add), cell('~', change), cell('-', delete)])
        })
        .collect();
    let name_width = rows.iter().map(|(name, _)| name.chars().count()).max();
    let name_width = name_width.unwrap_or(0).min(WIDEST);
    let widths = [0, 1, 2].map(|column| {
        let cells = rows.iter().map(|(_, cells)| cells[column].len());
        cells.max().unwrap_or(0)
    });
    let styles = [style::ADD, style::CHANGE, style::DELETE];
    let mut text = String::new();
    for (name, cells) in rows {
        text.push_str(&name);
        let mut spaces = name_width.saturating_sub(name.chars().count());
        for ((cell, width), style) in cells.iter().zip(widths).zip(styles) {
            let gap = if width > 0 { 2 } else { 0 };
            if cell.is_empty() {
                spaces += gap + width;
            } else {
                let _ = write!(text, "{:1$}{style}{cell}{style:#}", "", spaces + gap);
                spaces = width - cell.len();
            }
        }
        text.push('\n');
    }
    text
}

fn write_total(text: &mut String, counts: Summary) {
    let heading = style::HEADING;
    let _ = writeln!(text, "{heading}{counts}{heading:#}");
}

fn write_group(text: &mut String, group: &Group, changes: &[Change<'_>], rules: &mut RuleLines) {
    let mut notes: Vec<Option<String>> = changes.iter().map(note).collect();
    // A note that every line would repeat is in the heading.
    let common = (notes.first().cloned().flatten())
        .filter(|first| notes.len() > 1 && notes.iter().all(|note| note.as_ref() == Some(first)));
    if common.is_some() {
        notes.fill(None);
    }
    let heading = style::HEADING;
    let _ = write!(text, "{heading}{group}{heading:#}");
    end_line(text, common.as_deref());
    let lines: Vec<String> = (changes.iter())
        .map(|change| line(&change.planned.op))
        .collect();
    let noted = notes.iter().zip(&lines).filter(|(note, _)| note.is_some());
    let width = (noted.map(|(_, line)| line.len()))
        .filter(|width| *width <= WIDEST)
        .max()
        .unwrap_or(0);
    for ((change, note), line) in changes.iter().zip(notes).zip(lines) {
        if let Op::PatchRules(family, patch) = &change.planned.op {
            write_rules(text, &rules.apply(*family, patch), note.as_deref());
            continue;
        }
        let effect = change.planned.op.effect();
        let (mark, style) = (effect.mark(), style::of_effect(effect));
        let width = if note.is_some() { width } else { 0 };
        let _ = write!(text, "{style}{mark} {line:width$}{style:#}");
        end_line(text, note.as_deref());
    }
}

/// Writes the changes of each chain. The note of the patch follows the first heading.
fn write_rules(text: &mut String, hunks: &[RuleHunk], mut note: Option<&str>) {
    let heading = style::HEADING;
    for hunk in hunks {
        let _ = write!(text, "{heading}@@ {hunk}{heading:#}");
        end_line(text, note.take());
        for line in &hunk.lines {
            let style = match line {
                RuleLine::Same(_) => style::QUIET,
                RuleLine::Added(_) => style::ADD,
                RuleLine::Deleted(_) => style::DELETE,
            };
            let _ = writeln!(text, "{style}{line}{style:#}");
        }
    }
}

fn end_line(text: &mut String, note: Option<&str>) {
    let quiet = style::QUIET;
    if let Some(note) = note {
        let _ = write!(text, "    {quiet}{note}{quiet:#}");
    }
    text.push('\n');
}

/// Returns what the mark and the group of a change do not say: the differences, an unusual reason,
/// and the number of other Services with the same entry.
fn note(change: &Change<'_>) -> Option<String> {
    let reason = unusual(change.planned).map(|reason| escaped(&reason.to_string()));
    let shared = match change.others {
        0 => None,
        1 => Some("also for 1 other Service".to_owned()),
        others => Some(format!("also for {others} other Services")),
    };
    match (reason, shared) {
        (Some(reason), Some(shared)) => Some(format!("{reason}; {shared}")),
        (reason, shared) => reason.or(shared),
    }
}

/// Returns the reason, unless the mark and the lines of the change say the same.
fn unusual(planned: &PlannedOp) -> Option<&Reason> {
    let is_usual = match (&planned.reason, planned.op.effect()) {
        (Reason::Missing, OpEffect::Add) | (Reason::Unwanted, OpEffect::Delete) => true,
        // The lines of a chain show the differences.
        (Reason::Missing | Reason::Differs(_), _) => Kind::of(&planned.op) == Kind::Rule,
        _ => false,
    };
    (!is_usual).then_some(&planned.reason)
}
