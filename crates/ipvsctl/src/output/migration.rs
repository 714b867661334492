//! Text output of a take-over.

use std::fmt::Write as _;

use model::Summary;

use crate::migration::{Migration, WAY_BACK};
use crate::style;

/// Returns the text of the `plan`, its causes, blockers, notes and the rollback. Contains escape sequences for
/// colours.
#[must_use]
pub fn text(plan: &str, migration: &Migration) -> String {
    let mut text = plan.to_owned();
    let causes = migration.causes().into_iter().map(|(cause, summary)| {
        let Summary {
            add,
            change,
            delete,
        } = summary;
        format!("{cause}: {add} to add, {change} to change, {delete} to delete")
    });
    section(&mut text, "Causes of the changes", causes);
    let in_the_way = migration.in_the_way();
    section(&mut text, "Blockers", in_the_way.iter());
    section(&mut text, "Notes", migration.notes().iter());
    section(&mut text, "Rollback", WAY_BACK.iter());
    let heading = style::HEADING;
    let verdict = match in_the_way.len() {
        0 => "No blockers.".to_owned(),
        1 => "1 blocker: resolve it first.".to_owned(),
        count => format!("{count} blockers: resolve them first."),
    };
    let _ = writeln!(text, "\n{heading}{verdict}{heading:#}");
    text
}

/// Appends a section, unless it has no lines.
fn section(text: &mut String, title: &str, lines: impl Iterator<Item: std::fmt::Display>) {
    let heading = style::HEADING;
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "\n{heading}{title}{heading:#}");
    for line in lines {
        let _ = writeln!(text, "- {line}");
    }
}
